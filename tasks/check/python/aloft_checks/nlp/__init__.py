"""Texts. The engine has no checks of texts as such; their properties and metadata can be checked as a table."""

from ..core import errors
from ..tabular import Dataset

__all__ = ["TextData"]

_TASKS = ("text_classification", "token_classification", "other", None)


class TextData:
    """Texts with labels, metadata and properties.

    Checks of the texts themselves are not there. to_dataset() is a table of metadata, properties and label, for the suites
    of aloft_checks.tabular: drift, integrity and performance by segments of these.
    """

    def __init__(self, raw_text=None, tokenized_text=None, label=None, task_type="other", name=None, metadata=None, properties=None, **_):
        if task_type not in _TASKS:
            raise errors.DeepchecksValueError("task_type must be one of text_classification, token_classification, other, not %r" % (task_type,))
        if raw_text is None and tokenized_text is None:
            raise errors.DeepchecksValueError("raw_text or tokenized_text is needed")
        self.text = list(raw_text) if raw_text is not None else [" ".join(t) for t in tokenized_text]
        self.label = None if label is None else list(label)
        if self.label is not None and len(self.label) != len(self.text):
            raise errors.DeepchecksValueError("there are %d labels for %d texts" % (len(self.label), len(self.text)))
        self.task_type, self.name = task_type, name
        self.metadata, self.properties = metadata, properties

    def __len__(self):
        return len(self.text)

    def set_metadata(self, metadata, *_, **__):
        self.metadata = metadata

    def set_properties(self, properties, *_, **__):
        self.properties = properties

    def to_dataset(self):
        """Metadata, properties and label as a Dataset."""
        columns = {"Text Length": [len(t) for t in self.text]}
        for part in (self.metadata, self.properties):
            for name in list(part) if part is not None else []:
                columns[str(name)] = list(part[name])
        if self.label is None:
            return Dataset(columns, dataset_name=self.name)
        columns["label"] = self.label
        return Dataset(columns, label="label", dataset_name=self.name)
