"""Turns batches of loaders into record batches of images."""

import array
import sys

from . import _arrow
from .core import errors

TASKS = ("classification", "object_detection", "semantic_segmentation", "other")

FIELDS = [
    ("id", "utf8"), ("image", "large_binary"), ("height", "int32"), ("width", "int32"), ("channels", "int32"), ("real", "int32"),
    ("label", "int64"), ("boxes", "large_binary"), ("mask", "large_binary"), ("proba", "large_binary"),
    ("predicted_boxes", "large_binary"), ("predicted_mask", "large_binary"), ("mask_height", "int32"), ("mask_width", "int32"),
    ("values", "large_binary"), ("fault", "utf8"),
]


class Fault(Exception):
    """Why one sample cannot be used."""


def numpy():
    """NumPy, where the user has it."""
    module = sys.modules.get("numpy")
    if module is None:
        try:
            import numpy as module
        except ImportError:
            return None
    return module


def as_array(v):
    """Tensors of torch, TensorFlow and others as NumPy has them; what is none of them stays."""
    if hasattr(v, "detach"):
        v = v.detach()
    if hasattr(v, "cpu"):
        v = v.cpu()
    if hasattr(v, "numpy") and not isinstance(v, (list, tuple)):
        v = v.numpy()
    np = numpy()
    if np is not None and not isinstance(v, np.ndarray) and not isinstance(v, (list, tuple, str, bytes, int, float)):
        if hasattr(v, "__array__"):
            v = np.asarray(v)
    return v


def image(v):
    """The buffer of an image, its shape, and whether its numbers are real."""
    v = as_array(v)
    np = numpy()
    if np is not None:
        if isinstance(v, (list, tuple)):
            try:
                v = np.asarray(v)
            except ValueError as e:
                raise Fault("the image is a list of lists of unequal lengths") from e
        if not isinstance(v, np.ndarray):
            raise Fault("the image is a %s, not an array of numbers" % type(v).__name__)
        if v.ndim == 2:
            v = v[:, :, None]
        if v.ndim != 3:
            raise Fault("the image's shape must be height x width x 1 or 3, not %s" % " x ".join(map(str, v.shape)))
        if v.dtype == np.uint8:
            pass
        elif v.dtype == np.float32:
            pass
        elif v.dtype.kind in "iu":
            low, high = (v.min(), v.max()) if v.size else (0, 0)
            if low < 0 or high > 255:
                raise Fault("the image's values lie between %s and %s: they must be between 0 and 255" % (low, high))
            v = v.astype(np.uint8)
        elif v.dtype.kind == "f":
            v = v.astype(np.float32)
        elif v.dtype.kind == "b":
            v = v.astype(np.uint8)
        else:
            raise Fault("the image holds values of type %s, not numbers" % v.dtype)
        v = np.ascontiguousarray(v)
        return memoryview(v).cast("B") if v.size else b"", v.shape, int(v.dtype == np.float32)
    if isinstance(v, (list, tuple)):  # without NumPy: rows of pixels
        h = len(v)
        w = len(v[0]) if h else 0
        gray = not w or not isinstance(v[0][0], (list, tuple))
        c = 1 if gray else len(v[0][0])
        try:
            flat = [x for row in v for x in row] if gray else [x for row in v for p in row for x in p]
            data = bytes(flat) if all(isinstance(x, int) for x in flat) else array.array("f", flat)
        except (TypeError, ValueError) as e:
            raise Fault("the image's values must be between 0 and 255") from e
        return memoryview(data).cast("B"), (h, w, c), int(not isinstance(data, bytes))
    view = memoryview(v)
    if view.format != "B" or view.ndim not in (2, 3):
        raise Fault("the image must be an array of bytes, height x width x channels (install numpy for others)")
    return view.cast("B"), tuple(view.shape) if view.ndim == 3 else tuple(view.shape) + (1,), 0


def doubles(v, what, width):
    """Numbers as a buffer of doubles; width is that of a row, or None."""
    v = as_array(v)
    np = numpy()
    if np is not None:
        if isinstance(v, (list, tuple)):
            v = [as_array(x) for x in v]
        try:
            a = np.ascontiguousarray(np.asarray(v, dtype=np.float64))
        except (ValueError, TypeError) as e:
            raise Fault("the %s are no numbers of equal rows: %s" % (what, e)) from e
        if width is not None and a.size and (a.ndim != 2 or a.shape[1] != width) and not (a.ndim == 1 and a.size == width):
            raise Fault("the %s must be an array of n x %d numbers, not %s" % (what, width, " x ".join(map(str, a.shape))))
        if width is None and a.ndim != 1:
            raise Fault("the %s must be a list of numbers, one for each class, not an array of %s" % (what, " x ".join(map(str, a.shape))))
        return memoryview(a).cast("B") if a.size else b""
    try:
        flat = [float(x) for row in v for x in row] if width is not None and len(v) and isinstance(v[0], (list, tuple)) else [float(x) for x in v]
    except (TypeError, ValueError) as e:
        raise Fault("the %s are no numbers: %s" % (what, e)) from e
    return memoryview(array.array("d", flat)).cast("B")


def mask(v, what):
    """The buffer of a mask of classes, and its shape; probabilities become the most probable class."""
    np = numpy()
    if np is None:
        raise Fault("masks need numpy")
    a = np.asarray(as_array(v))
    if a.ndim == 3 and what == "prediction":
        a = a.argmax(axis=0)
    if a.ndim != 2:
        raise Fault("the mask of the %s must be an array of height x width, not %s" % (what, " x ".join(map(str, a.shape))))
    if a.size and (a.min() < 0 or a.max() > 0xFFFF or a.dtype.kind == "f" and (a != a.astype(np.int64)).any()):
        raise Fault("the mask of the %s must hold classes from 0 to 65535" % what)
    return memoryview(np.ascontiguousarray(a.astype("<u2"))).cast("B"), a.shape


def whole(v):
    """A class as a whole number."""
    v = as_array(v)
    if hasattr(v, "item"):
        if getattr(v, "size", 1) != 1:
            raise Fault("the label must be the number of one class, not an array of shape %s" % (getattr(v, "shape", ()),))
        v = v.item()
    if isinstance(v, float) and v == int(v):
        v = int(v)
    if isinstance(v, bool) or not isinstance(v, int):
        raise Fault("the label must be the number of a class, not %r" % (v,))
    return v


class Batches:
    """Writes batches of one data set."""

    def __init__(self, task, properties=()):
        self.task = task
        self.properties = list(properties)
        self.count = 0

    def schema(self):
        return _arrow.schema(FIELDS)

    def record(self, batch):
        """The pieces of a record batch out of a batch of a loader."""
        get = getattr(batch, "get", None)
        if get is None:
            raise errors.ValidationError(
                "a batch must be a dict with some of images, labels, predictions, image_identifiers; the loader gave a %s. "
                "Write a collate_fn that returns such a dict." % type(batch).__name__
            )
        columns, n = {}, None
        for key in ("images", "labels", "predictions", "image_identifiers", "embeddings", "additional_data"):
            v = get(key)
            if v is None:
                continue
            if hasattr(v, "detach"):
                v = as_array(v)
            try:
                size = len(v)
            except TypeError as e:
                raise errors.ValidationError("%r of a batch is a %s, which has no length" % (key, type(v).__name__)) from e
            if n is not None and size != n:
                raise errors.ValidationError("%r of a batch has %d elements, others have %d" % (key, size, n))
            columns[key], n = v, size
        if n is None:
            raise errors.ValidationError("a batch has none of images, labels, predictions; its keys are %s" % ", ".join(map(repr, batch)))
        rows = [self._row(columns, i) for i in range(n)]
        self.count += n
        return _arrow.batch(n, [self._column(name, kind, rows) for name, kind in FIELDS])

    def _row(self, columns, i):
        row = {}
        try:
            if "image_identifiers" in columns:
                row["id"] = str(as_array(columns["image_identifiers"][i]))
            if "images" in columns:
                row["image"], (row["height"], row["width"], row["channels"]), row["real"] = image(columns["images"][i])
            if "labels" in columns:
                self._label(row, columns["labels"][i])
            if "predictions" in columns:
                self._prediction(row, columns["predictions"][i])
            if self.properties:
                row["values"] = self._values(columns, i)
        except Fault as f:
            row = {"id": row.get("id"), "fault": str(f)}
        return row

    def _label(self, row, v):
        if self.task == "classification":
            row["label"] = whole(v)
        elif self.task == "object_detection":
            row["boxes"] = doubles(v, "boxes of the label (class, x, y, width, height)", 5)
        elif self.task == "semantic_segmentation":
            row["mask"], (row["mask_height"], row["mask_width"]) = mask(v, "label")

    def _prediction(self, row, v):
        if self.task == "classification":
            row["proba"] = doubles(v, "predicted probabilities", None)
        elif self.task == "object_detection":
            row["predicted_boxes"] = doubles(v, "predicted boxes (x, y, width, height, confidence, class)", 6)
        elif self.task == "semantic_segmentation":
            row["predicted_mask"], (row["mask_height"], row["mask_width"]) = mask(v, "prediction")

    def _values(self, columns, i):
        out = []
        for p in self.properties:
            if "images" not in columns:
                raise Fault("the property %s needs images, and the batch has none" % p.name)
            v = p.function(as_array(columns["images"][i]))
            try:
                out.append(float("nan") if v is None else float(v))
            except (TypeError, ValueError) as e:
                raise Fault("the property %s gave %r, which is no number" % (p.name, v)) from e
        return memoryview(array.array("d", out)).cast("B")

    @staticmethod
    def _column(name, kind, rows):
        values = [r.get(name) for r in rows]
        if kind == "utf8":
            return _arrow.variable(values)
        if kind in ("int32", "int64"):
            return _arrow.plain(values, "i" if kind == "int32" else "q")
        offsets, total, parts, nulls = array.array("q", [0]), 0, [], 0
        for v in values:
            if v is None:
                nulls += 1
            else:
                total += v.nbytes if isinstance(v, memoryview) else len(v)
                parts.append(v)
            offsets.append(total)
        return nulls, [_arrow.bitmap([v is not None for v in values]) if nulls else b"", offsets, parts]
