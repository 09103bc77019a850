"""The checks of images, one class each: ClassPerformance().add_condition_test_performance_greater_than(0.7)."""

from .. import _document
from ._run import VisionCheck

CLASSES = _document.checks_of("vision", VisionCheck, __name__)
globals().update(CLASSES)
__all__ = sorted(CLASSES)
