"""The checks of tables, one class each: FeatureDrift().add_condition_drift_score_less_than(0.1, 0.1)."""

from .. import _document
from ._run import TabularCheck

CLASSES = _document.checks_of("tabular", TabularCheck, __name__)
globals().update(CLASSES)
__all__ = sorted(CLASSES)
