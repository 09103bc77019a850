"""Where deepchecks has these names."""

from ._data import BatchOutputFormat, VisionData

__all__ = ["BatchOutputFormat", "TaskType", "VisionData"]


class TaskType:
    """The tasks by name."""

    CLASSIFICATION = "classification"
    OBJECT_DETECTION = "object_detection"
    SEMANTIC_SEGMENTATION = "semantic_segmentation"
    OTHER = "other"

    @classmethod
    def values(cls):
        return ["classification", "object_detection", "semantic_segmentation", "other"]
