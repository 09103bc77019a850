"""Texts: TextData, suites and checks, with deepchecks' names."""

from ._data import TextData
from ._run import NLPCheck, SingleDatasetCheck, Suite, TrainTestCheck

__all__ = ["NLPCheck", "SingleDatasetCheck", "Suite", "TextData", "TrainTestCheck"]
