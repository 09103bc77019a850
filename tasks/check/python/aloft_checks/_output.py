"""Where reports go: beside those of a job's suites on a node, into the folder that `sky test --python` names, or nowhere."""

import itertools
import os
import sys

_count = itertools.count(1)
_runs = itertools.count(1)


def run_number():
    """Numbers the runs of this program, the same on every rank of a job that makes the same runs."""
    return next(_runs)


def places(name):
    """The request's `out`, or nothing."""
    folder = os.environ.get("ALOFT_REPORTS")
    if not folder:
        return {}
    plain = "".join(c if c.isalnum() or c in "_-" else "_" for c in name.lower()) or "suite"
    n = next(_count)
    path = os.path.join(folder, plain)
    if os.path.exists(path):
        path = os.path.join(folder, "%s_%d_%d" % (plain, os.getpid(), n))
    return {"out": path}


def keep(result):
    """Prints the result where nobody else would."""
    if os.environ.get("ALOFT_SHOW_REPORTS"):
        sys.stderr.write(result._answer["text"])
    return result
