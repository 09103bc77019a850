"""Images: VisionData, suites and checks, with deepchecks' names."""

from ._data import BatchOutputFormat, VisionData
from ._run import SingleDatasetCheck, Suite, TrainTestCheck, VisionCheck
from ..custom import image_property

__all__ = ["BatchOutputFormat", "SingleDatasetCheck", "Suite", "TrainTestCheck", "VisionCheck", "VisionData", "image_property"]
