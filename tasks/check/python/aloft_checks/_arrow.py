"""Writes Arrow IPC streams: what the engine reads tables and images from.

Only what is needed is here, by the published format. Values go out as the
buffers they are in; nothing is copied that need not be.
"""

import struct

_PAD = b"\0" * 64
_VERSION = 4  # metadata version 5

# Numbers of the format: headers of messages and types of fields.
_SCHEMA, _BATCH = 1, 3
_INT, _FLOAT, _BINARY, _UTF8, _BOOL, _TIMESTAMP, _LARGE_BINARY = 2, 3, 4, 5, 6, 10, 19


class Type:
    """A type of a column, by its name here."""

    NUMBERS = {
        "int8": (_INT, ((0, "i", 8), (1, "?", True))), "int16": (_INT, ((0, "i", 16), (1, "?", True))),
        "int32": (_INT, ((0, "i", 32), (1, "?", True))), "int64": (_INT, ((0, "i", 64), (1, "?", True))),
        "uint8": (_INT, ((0, "i", 8),)), "uint16": (_INT, ((0, "i", 16),)),
        "uint32": (_INT, ((0, "i", 32),)), "uint64": (_INT, ((0, "i", 64),)),
        "float32": (_FLOAT, ((0, "h", 1),)), "float64": (_FLOAT, ((0, "h", 2),)),
        "bool": (_BOOL, ()), "utf8": (_UTF8, ()), "binary": (_BINARY, ()), "large_binary": (_LARGE_BINARY, ()),
        "datetime": (_TIMESTAMP, ((0, "h", 3),)),
    }


class _Flat:
    """A flatbuffer, written from its root on: offsets point forward."""

    def __init__(self):
        self.b = bytearray(4)
        self._later = []

    def finish(self, root):
        self._later.append((0, root))
        while self._later:
            at, node = self._later.pop(0)
            start = node(self)
            struct.pack_into("<I", self.b, at, start - at)
        self._align(8)
        return bytes(self.b)

    def _align(self, to):
        self.b += _PAD[: -len(self.b) % to]

    def table(self, fields):
        """fields: (slot, format, value), or (slot, None, node) for what an offset points to."""
        sizes = [(slot, fmt or "I", value, fmt is None) for slot, fmt, value in fields if value is not None]
        sizes.sort(key=lambda f: -struct.calcsize("<" + f[1]))
        slots = max([f[0] for f in sizes], default=-1) + 1
        place, at = [0] * slots, 8  # the offset to the vtable, and padding: all is aligned to 8
        for slot, fmt, _, _ in sizes:
            size = struct.calcsize("<" + fmt)
            at += -at % size
            place[slot] = at
            at += size
        size = at
        self._align(2)
        vtable = len(self.b)
        self.b += struct.pack("<HH%dH" % slots, 4 + 2 * slots, size, *place)
        self._align(8)
        start = len(self.b)
        self.b += bytes(size)
        struct.pack_into("<i", self.b, start, start - vtable)
        for slot, fmt, value, is_node in sizes:
            if is_node:
                self._later.append((start + place[slot], value))
            else:
                struct.pack_into("<" + fmt, self.b, start + place[slot], value)
        return start

    def text(self, value):
        raw = value.encode("utf-8", "surrogatepass")
        self._align(4)
        start = len(self.b)
        self.b += struct.pack("<I", len(raw)) + raw + b"\0"
        return start

    def nodes(self, items):
        self._align(4)
        start = len(self.b)
        self.b += struct.pack("<I", len(items)) + bytes(4 * len(items))
        for i, node in enumerate(items):
            self._later.append((start + 4 + 4 * i, node))
        return start

    def structs(self, fmt, rows):
        self.b += _PAD[: (4 - len(self.b)) % 8]  # the elements are aligned to 8
        start = len(self.b)
        self.b += struct.pack("<I", len(rows))
        for row in rows:
            self.b += struct.pack(fmt, *row)
        return start


def _message(kind, header, body):
    meta = _Flat().finish(lambda f: f.table([(0, "h", _VERSION), (1, "B", kind), (2, None, header), (3, "q", body)]))
    return struct.pack("<II", 0xFFFFFFFF, len(meta)) + meta


def schema(fields, metadata=None):
    """The first message of a stream. fields: (name, type) pairs; metadata: a dict of texts."""

    def field(name, kind):
        number, params = Type.NUMBERS[kind]

        def write(f):
            return f.table([
                (0, None, lambda f: f.text(name)), (1, "?", True), (2, "B", number),
                (3, None, lambda f: f.table(list(params))), (5, None, lambda f: f.nodes([])),
            ])
        return write

    def pair(k, v):
        return lambda f: f.table([(0, None, lambda f: f.text(k)), (1, None, lambda f: f.text(v))])

    def header(f):
        extra = [(2, None, lambda f: f.nodes([pair(k, v) for k, v in metadata.items()]))] if metadata else []
        return f.table([(0, "h", 0), (1, None, lambda f: f.nodes([field(n, k) for n, k in fields]))] + extra)

    return _message(_SCHEMA, header, 0)


def batch(rows, columns):
    """A record batch: what to send, piece by piece. columns: (null count, [buffers]) in the schema's order; each
    buffer is an object with the buffer protocol, or a list of those that follow one another."""
    spans, pieces, at = [], [], 0
    for _, buffers in columns:
        for b in buffers:
            parts = b if isinstance(b, list) else [b]
            size = 0
            for p in parts:
                view = memoryview(p)
                if view.ndim != 1 or view.format != "B":
                    view = view.cast("B") if view.nbytes else memoryview(b"")
                if view.nbytes:
                    pieces.append(view)
                    size += view.nbytes
            spans.append((at, size))
            pad = -size % 8
            if pad:
                pieces.append(_PAD[:pad])
            at += size + pad

    def header(f):
        return f.table([
            (0, "q", rows),
            (1, None, lambda f: f.structs("<qq", [(rows, nulls) for nulls, _ in columns])),
            (2, None, lambda f: f.structs("<qq", spans)),
        ])

    return [_message(_BATCH, header, at)] + pieces


def end():
    """The end of a stream."""
    return struct.pack("<II", 0xFFFFFFFF, 0)


def bitmap(flags):
    """A buffer of bits, the first the lowest; flags is a sequence of truths."""
    out = bytearray((len(flags) + 7) // 8)
    for i, on in enumerate(flags):
        if on:
            out[i >> 3] |= 1 << (i & 7)
    return out


def variable(values):
    """The buffers of a column of texts or bytes (None is missing): (null count, [validity, offsets, data])."""
    import array

    offsets = array.array("i", [0])
    data, valid, nulls, total = [], [], 0, 0
    for v in values:
        if v is None:
            nulls += 1
            valid.append(False)
        else:
            raw = v.encode("utf-8", "replace") if isinstance(v, str) else bytes(v)
            data.append(raw)
            total += len(raw)
            valid.append(True)
        if total > 0x7FFFFFFF:
            raise OverflowError("a column of texts holds more than 2 GiB")
        offsets.append(total)
    return nulls, [bitmap(valid) if nulls else b"", offsets, b"".join(data)]


def plain(values, code):
    """The buffers of a column of numbers given as Python values (None is missing); code is an array type code."""
    import array

    valid = [v is not None for v in values]
    nulls = len(valid) - sum(valid)
    data = array.array(code, [0 if v is None else v for v in values])
    return nulls, [bitmap(valid) if nulls else b"", data]


def truths(values):
    """The buffers of a column of True, False and None."""
    valid = [v is not None for v in values]
    nulls = len(valid) - sum(valid)
    return nulls, [bitmap(valid) if nulls else b"", bitmap(values)]
