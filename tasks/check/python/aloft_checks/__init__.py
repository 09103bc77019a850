"""Validation suites for data and models, with the names of deepchecks, computed by the engine of Aloft.

Change `from deepchecks...` to `from aloft_checks...` in a script, or leave it as it is and run it with
`sky test --python script.py`.
"""

from .core import BaseCheck, BaseSuite, CheckFailure, CheckResult, ConditionCategory, ConditionResult, SuiteResult
from .core import errors
from .custom import check, image_property

__version__ = "0.1.0"
__all__ = [
    "BaseCheck", "BaseSuite", "CheckFailure", "CheckResult", "ConditionCategory", "ConditionResult", "SuiteResult", "check", "errors",
    "image_property",
]
