"""Turns tables into Arrow streams."""

import datetime
import math

from . import _arrow

_ROWS = 1 << 16
_EPOCH = datetime.datetime(1970, 1, 1)


def stream(columns):
    """The pieces of the stream of a table: a dict of names to columns of equal lengths."""
    typed = [(name,) + _typed(values) for name, values in columns.items()]
    rows = len(typed[0][2]) if typed else 0
    yield [_arrow.schema([(name, kind) for name, kind, _ in typed])]
    for start in range(0, rows, _ROWS):
        end = min(start + _ROWS, rows)
        yield _arrow.batch(end - start, [_buffers(kind, values[start:end]) for _, kind, values in typed])
    yield [_arrow.end()]


def _typed(values):
    """The kind of a column, and its values so that they can be sliced."""
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    dtype = getattr(values, "dtype", None)
    kind = getattr(dtype, "kind", None)
    if kind in "iu" if kind else False:
        return "int64", _numpy(values).astype("<i8")
    if kind == "f":
        return "float64", _numpy(values).astype("<f8")
    if kind == "b":
        return "bool", [bool(v) for v in values]
    if kind == "M":
        return "datetime", _times(_numpy(values).astype("datetime64[ns]").tolist())
    values = [None if _missing(v) else v for v in list(values)]
    kinds = {type(v) for v in values if v is not None}
    if hasattr(next((v for v in values if v is not None), None), "item"):
        values = [v.item() if hasattr(v, "item") else v for v in values]
        kinds = {type(v) for v in values if v is not None}
    if kinds and kinds <= {bool}:
        return "bool", values
    if kinds and kinds <= {int} and all(v is None or -(1 << 63) <= v < 1 << 63 for v in values):
        return "int64", values
    if kinds and kinds <= {int, float}:
        return "float64", [None if v is None else float(v) for v in values]
    if kinds and all(issubclass(k, datetime.datetime) for k in kinds):
        return "datetime", [None if v is None else _nanoseconds(v) for v in values]
    return "utf8", [None if v is None else str(v) for v in values]


def _numpy(values):
    return values.to_numpy() if hasattr(values, "to_numpy") else values


def _missing(v):
    if v is None:
        return True
    if isinstance(v, float):
        return math.isnan(v)
    return type(v).__name__ in ("NAType", "NaTType")


def _times(list_):
    return [None if v is None or v == -(1 << 63) else v for v in list_]


def _nanoseconds(v):
    if v.tzinfo is not None:
        v = v.astimezone(datetime.timezone.utc).replace(tzinfo=None)
    d = v - _EPOCH
    return ((d.days * 86400 + d.seconds) * 1000000 + d.microseconds) * 1000 + getattr(v, "nanosecond", 0)


def _buffers(kind, values):
    if kind == "utf8":
        return _arrow.variable(values)
    if kind == "bool":
        return _arrow.truths(values)
    code = "d" if kind == "float64" else "q"
    if hasattr(values, "dtype"):
        if code == "d":
            valid = values == values
            nulls = int(len(values) - valid.sum())
            return nulls, [_arrow.bitmap(valid.tolist()) if nulls else b"", memoryview(values.copy()).cast("B") if len(values) else b""]
        return 0, [b"", memoryview(values.copy()).cast("B") if len(values) else b""]
    return _arrow.plain(values, code)
