"""The suites of texts."""

from .. import _document
from ._run import Suite
from .checks import CLASSES as _CLASSES

__all__ = ["data_integrity", "train_test_validation", "model_evaluation", "full_suite"]


def data_integrity(n_samples=None, random_state=None, **params):
    """Checks of one data set: unusual texts, duplicates, conflicting or missing labels, boilerplate."""
    return _document.builtin(Suite, _CLASSES, "data_integrity", "Data Integrity Suite", dict(params, n_samples=n_samples, random_state=random_state))


def train_test_validation(n_samples=None, random_state=None, **params):
    """Checks that compare train with test: drift of properties, labels and embeddings, leaks."""
    return _document.builtin(
        Suite, _CLASSES, "train_test_validation", "Train Test Validation Suite", dict(params, n_samples=n_samples, random_state=random_state)
    )


def model_evaluation(n_samples=None, random_state=None, **params):
    """Checks of predictions: performance, drift, weak segments."""
    return _document.builtin(Suite, _CLASSES, "model_evaluation", "Model Evaluation Suite", dict(params, n_samples=n_samples, random_state=random_state))


def full_suite(n_samples=None, random_state=None, **params):
    """All of them."""
    return _document.builtin(Suite, _CLASSES, "full_suite", "Full Suite", dict(params, n_samples=n_samples, random_state=random_state))
