"""Suites and their results, where deepchecks has them."""

from .._document import BaseSuite
from .._result import SuiteResult

__all__ = ["BaseSuite", "SuiteResult"]
