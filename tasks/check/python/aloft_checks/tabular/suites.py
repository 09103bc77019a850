"""The suites of tables."""

from .. import _document
from ._run import Suite
from .checks import CLASSES as _CLASSES

__all__ = ["data_integrity", "train_test_validation", "model_evaluation", "full_suite", "production_suite"]


def data_integrity(**params):
    """Checks of one table: nulls, mixed types, duplicates, conflicting labels, outliers."""
    return _document.builtin(Suite, _CLASSES, "data_integrity", "Data Integrity Suite", params)


def train_test_validation(**params):
    """Checks that compare train with test: drift, leakage, new categories."""
    return _document.builtin(Suite, _CLASSES, "train_test_validation", "Train Test Validation Suite", params)


def model_evaluation(**params):
    """Checks of predictions: performance, weak segments, calibration, overfitting."""
    return _document.builtin(Suite, _CLASSES, "model_evaluation", "Model Evaluation Suite", params)


def full_suite(**params):
    """All of them."""
    return _document.builtin(Suite, _CLASSES, "full_suite", "Full Suite", params)


def production_suite(**params):
    """Checks of a model at work."""
    return _document.builtin(Suite, _CLASSES, "production_suite", "Production Suite", params)
