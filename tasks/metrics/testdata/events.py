"""Writes an event file as TensorBoard's writers do, from the descriptions of TFRecord and of Event alone.

    python3 events.py > events.out.tfevents.1700000000.host
"""
import struct
import sys


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data):
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def record(data):
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked(length)) + data + struct.pack("<I", masked(data))


def varint(n):
    out = b""
    while True:
        byte, n = n & 0x7F, n >> 7
        out += bytes([byte | (0x80 if n else 0)])
        if not n:
            return out


def field(number, wire, payload):
    return varint(number << 3 | wire) + payload


def message(number, payload):
    return field(number, 2, varint(len(payload)) + payload)


def event(step, *values, version=None):
    out = field(1, 1, struct.pack("<d", 1700000000 + step)) + field(2, 0, varint(step))
    if version:
        out += message(3, version.encode())
    if values:
        out += message(5, b"".join(message(1, v) for v in values))
    return record(out)


def simple(tag, x):
    return message(1, tag.encode()) + field(2, 5, struct.pack("<f", x))


def plugin(name):
    return message(9, message(1, message(1, name.encode())))


def tensor(tag, dtype, content=b"", floats=(), dims=(), name="scalars"):
    shape = b"".join(message(2, field(1, 0, varint(d))) for d in dims)
    body = field(1, 0, varint(dtype)) + message(2, shape)
    if content:
        body += message(4, content)
    if floats:
        body += message(5, struct.pack("<%df" % len(floats), *floats))
    return message(1, tag.encode()) + message(8, body) + plugin(name)


out = sys.stdout.buffer
out.write(event(0, version="brain.Event:2"))
for i in range(1, 21):
    out.write(event(i, simple("loss", 1 / i), tensor("epoch_accuracy", 1, floats=[i / 20])))
out.write(event(21, tensor("lr", 2, content=struct.pack("<d", 0.125)), tensor("note", 7, content=b"text", name="text")))
out.write(event(22, tensor("weights", 1, floats=[1, 2, 3], dims=[3], name="histograms"), simple("bad", float("nan"))))
