"""What all kinds of data have in common."""

from .._document import BaseCheck, BaseSuite
from .._result import CheckFailure, CheckResult, ConditionCategory, ConditionResult, SuiteResult
from . import errors

__all__ = ["BaseCheck", "BaseSuite", "CheckFailure", "CheckResult", "ConditionCategory", "ConditionResult", "SuiteResult", "errors"]
