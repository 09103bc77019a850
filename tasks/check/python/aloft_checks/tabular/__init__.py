"""Tables: Dataset, suites and checks, with deepchecks' names."""

from ._data import Dataset
from ._run import SingleDatasetCheck, Suite, TabularCheck, TrainTestCheck

__all__ = ["Dataset", "SingleDatasetCheck", "Suite", "TabularCheck", "TrainTestCheck"]
