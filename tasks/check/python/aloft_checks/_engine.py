"""Finds the engine, starts it, and streams data to it. docs/bridge-protocol.md describes what goes over the socket."""

import json
import os
import select
import shutil
import socket
import struct
import subprocess
import sys
import traceback

from .core import errors

PROTOCOL = 1


def find():
    """The command line that starts the engine: the agent's on a node, else the program sky."""
    for name in ("ALOFT_ENGINE", "ALOFT_SKY"):
        path = os.environ.get(name)
        if path:
            if not os.access(path, os.X_OK):
                raise errors.EngineNotFoundError("%s is %s, which is no program that can be run" % (name, path))
            return [path, "bridge"]
    path = shutil.which("sky")
    if path:
        return [path, "bridge"]
    raise errors.EngineNotFoundError(
        "aloft_checks needs the program `sky`, which computes the checks, and found none on PATH: download it from the "
        "releases of Aloft, or build it with `make build`, and put it on PATH or name it by the variable ALOFT_SKY"
    )


class Engine:
    """One run of the engine."""

    def __init__(self, request, progress=None):
        command = find()
        ours, theirs = socket.socketpair()
        for s in (ours, theirs):
            for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
                try:
                    s.setsockopt(socket.SOL_SOCKET, option, 4 << 20)
                except OSError:
                    pass
        args = ["--fd", str(theirs.fileno())]
        if sys.stderr.isatty() and not os.environ.get("NO_COLOR"):
            args.append("--color")
        try:
            self.process = subprocess.Popen(command + args, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        except OSError as e:
            ours.close()
            raise errors.EngineNotFoundError("cannot start %s: %s" % (command[0], e)) from e
        finally:
            theirs.close()
        self.socket = ours
        self.enough = set()
        self.answer = None
        self.progress = progress
        self._frame(b"J", json.dumps(dict(request, protocol=PROTOCOL)).encode())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Ends the engine, whatever it does."""
        self.socket.close()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def begin(self, which, **about):
        """Begins a data set."""
        self._frame(b"D", json.dumps(dict(about, which=which)).encode())

    def pieces(self, parts):
        """Sends a piece of an Arrow stream: a list of bytes-like objects, none of which is copied."""
        views = [v for v in (memoryview(p).cast("B") if not isinstance(p, bytes) else memoryview(p) for p in parts) if v.nbytes]
        group, size = [], 0
        for v in views:  # a frame holds at most 1 GiB
            while v.nbytes:
                room = (1 << 30) - size
                group.append(v[:room])
                size += min(room, v.nbytes)
                v = v[room:]
                if size == 1 << 30:
                    self._send([struct.pack("<cI", b"A", size)] + group)
                    group, size = [], 0
        if group:
            self._send([struct.pack("<cI", b"A", size)] + group)

    def end(self, error=None):
        """Ends a data set, with the traceback of what ended it early."""
        self._frame(b"E", json.dumps({"error": error} if error else {}).encode())

    def run(self, checks=()):
        """Tells the engine to run and returns its answer."""
        self._frame(b"G", json.dumps({"checks": list(checks)}, default=_plain).encode())
        while self.answer is None:
            self._receive()
        return self.answer

    def properties(self):
        """Asks for the properties of the train texts instead of a run."""
        self._frame(b"G", json.dumps({"properties": True}).encode())
        while self.answer is None:
            self._receive()
        return self.answer

    def wanted(self, which):
        """Whether more samples of a data set are wanted; raises what the engine has to say."""
        while self.answer is None and select.select([self.socket], [], [], 0)[0]:
            self._receive()
        return which not in self.enough

    def _frame(self, kind, content):
        self._send([kind + struct.pack("<I", len(content)), content])

    def _send(self, parts):
        parts = [memoryview(p) for p in parts]
        try:
            while parts:
                sent = self.socket.sendmsg(parts[:256])
                while parts and sent >= parts[0].nbytes:
                    sent -= parts.pop(0).nbytes
                if sent:
                    parts[0] = parts[0][sent:]
        except (BrokenPipeError, ConnectionResetError):
            self._gone()

    def _gone(self):
        """The engine has closed the socket: what it said before, if anything, is the reason."""
        try:
            while True:
                self._receive()
        except errors.EngineError:
            raise
        except OSError:
            self._ended()

    def _ended(self):
        code = self.process.wait()
        why = "it was ended by signal %d" % -code if code < 0 else "its exit code was %d" % code
        raise errors.EngineError("the engine ended before it answered: " + why)

    def _read(self, n):
        out = bytearray()
        while len(out) < n:
            try:
                got = self.socket.recv(min(n - len(out), 1 << 20))
            except ConnectionResetError:
                got = b""
            if not got:
                self._ended()
            out += got
        return bytes(out)

    def _receive(self):
        kind, length = struct.unpack("<cI", self._read(5))
        content = json.loads(self._read(length) or b"null")
        if kind == b"C":
            self.enough.add(content["which"])
        elif kind == b"P":
            if self.progress:
                self.progress(content)
        elif kind == b"R":
            self.answer = content
        elif kind == b"X":
            raise errors.by_class(content["class"])(content["message"])
        else:
            raise errors.EngineError("the engine sent a frame %r, which this version of aloft_checks does not know" % kind)


def _plain(v):
    """Numbers and arrays of NumPy as JSON has them."""
    for name in ("tolist", "item"):
        if hasattr(v, name):
            return getattr(v, name)()
    return str(v)


def failure_text():
    """The traceback of the exception being handled, without our own frames above the user's."""
    kind, value, tb = sys.exc_info()
    here = os.path.dirname(os.path.abspath(__file__))
    while tb is not None and tb.tb_next is not None and os.path.abspath(tb.tb_frame.f_code.co_filename).startswith(here):
        tb = tb.tb_next
    return "".join(traceback.format_exception(kind, value, tb)).rstrip()


def progress_line():
    """A function that shows how far a run is on a terminal; None without one."""
    if not sys.stderr.isatty():
        return None

    def show(step):
        done = step["done"] >= step["total"]
        sys.stderr.write("\r\x1b[K" if done else "\r\x1b[K%d/%d %s" % (step["done"], step["total"], step["check"]))
        sys.stderr.flush()

    return show
