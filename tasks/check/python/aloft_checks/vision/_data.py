"""VisionData: a loader of batches and what is known of it."""

from .. import _images
from ..core import errors

try:
    from typing import Any, List, TypedDict

    class BatchOutputFormat(TypedDict, total=False):
        """What a batch of a loader is: a dict with some of these."""

        images: List[Any]
        labels: List[Any]
        predictions: List[Any]
        additional_data: List[Any]
        embeddings: List[Any]
        image_identifiers: List[Any]

except ImportError:  # pragma: no cover
    BatchOutputFormat = dict

_TASKS = {"classification": "classification", "object_detection": "object_detection", "semantic_segmentation": "semantic_segmentation", "other": "other"}


class VisionData:
    """Images with labels and predictions, batch by batch.

    batch_loader is anything that can be iterated over and gives dicts (BatchOutputFormat): a PyTorch DataLoader with a
    collate_fn, a TensorFlow dataset, a generator, a list. It is gone through once for a suite. The model is never called:
    predictions are data, made in collate_fn where the loader makes them on demand. Batches are taken in the order in which
    they come; reshuffle_data is accepted and not needed.
    """

    def __init__(self, batch_loader, task_type, label_map=None, dataset_name=None, reshuffle_data=True):
        task = getattr(task_type, "value", task_type)
        if task not in _TASKS:
            raise errors.DeepchecksValueError("task_type must be one of %s, not %r" % (", ".join(_TASKS), task_type))
        if not hasattr(batch_loader, "__iter__"):
            raise errors.DeepchecksValueError("batch_loader must be something to iterate over, not a %s" % type(batch_loader).__name__)
        if label_map is not None and not isinstance(label_map, dict):
            raise errors.DeepchecksValueError("label_map must be a dict of class numbers to names, not a %s" % type(label_map).__name__)
        self.batch_loader = batch_loader
        self.task_type = task
        self.label_map = {} if label_map is None else dict(label_map)
        self.name = dataset_name
        self.properties = []

    @property
    def num_classes(self):
        return len(self.label_map)

    def __iter__(self):
        return iter(self.batch_loader)

    def head(self, *_, **__):
        """The first batch, as the loader gives it."""
        return next(iter(self.batch_loader))

    def copy(self, **_):
        return VisionData(self.batch_loader, self.task_type, self.label_map, self.name)

    def _total(self):
        data = getattr(self.batch_loader, "dataset", None)
        sampler = getattr(self.batch_loader, "sampler", None)
        for v in (sampler, data):
            try:
                return len(v)
            except (TypeError, NotImplementedError):
                continue
        return 0

    def _about(self):
        return {
            "name": self.name or "", "label_map": {str(int(k)): str(v) for k, v in self.label_map.items()}, "total": self._total(),
        }


def send(engine, which, data, properties, observers):
    """Streams a data set to the engine. A loader that raises ends it early; the traceback goes along."""
    from .. import _engine

    about = data._about()
    about["custom"] = [{"name": p.name, "kind": p.kind} for p in properties]
    engine.begin(which, **about)
    batches = _images.Batches(data.task_type, properties)
    engine.pieces([batches.schema()])
    error = None
    try:
        for batch in data.batch_loader:
            if not engine.wanted(which):
                break
            engine.pieces(batches.record(batch))
            for o in observers:
                o(which, batch)
    except errors.EngineError:
        raise
    except errors.DeepchecksBaseError as e:
        if batches.count == 0:
            raise
        error = str(e)
    except Exception:
        error = _engine.failure_text()
    from .. import _arrow

    engine.pieces([_arrow.end()])
    engine.end(error)
    return error
