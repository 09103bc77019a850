"""Suites and checks of images."""

from .. import _document, _engine, _own
from .._output import keep, places, run_number
from .._result import SuiteResult
from ..core import errors
from ._data import VisionData, send


def run(name, checks, own, train, test, max_samples, random_state, properties, fail_on="fail", ranks=None):
    """Runs checks on data sets; checks is the part of a suite document that names them."""
    if train is None and test is not None:
        train, test = test, None
    if train is None:
        raise errors.DeepchecksValueError("At least one dataset (or model) must be passed to the method!")
    for d in (train, test):
        if d is not None and not isinstance(d, VisionData):
            raise errors.DeepchecksValueError("expected a VisionData, got a %s" % type(d).__name__)
    if test is not None and test.task_type != train.task_type:
        raise errors.DeepchecksValueError("Cannot compare datasets with different task types: %s and %s" % (train.task_type, test.task_type))
    document = dict(checks, task_type=train.task_type, fail_on=fail_on)
    if max_samples:
        document["max_samples"] = int(max_samples)
    if random_state is not None:
        document["seed"] = int(random_state)
    if not checks:
        document["checks"] = []
    title = train.name or (test.name if test is not None else None) or name
    document["name"] = title
    out = places(name)
    with _engine.Engine(dict({"kind": "vision", "document": document, "dir": ".", "ranks": ranks or 0, "run": run_number()}, **out), _engine.progress_line()) as engine:
        sides = {"train": train}
        if test is not None:
            sides["test"] = test
        beside = _own.Beside(own, list(sides))
        for which, data in sides.items():
            send(engine, which, data, properties or data.properties, [beside.observe] if own else [])
            beside.end(which)
        return keep(SuiteResult(name, engine.run(beside.results())))


class VisionCheck(_document.BaseCheck):
    """A check of images."""

    kind = "vision"

    def run(self, train_dataset=None, test_dataset=None, dataset=None, random_state=42, with_display=True, max_samples=None, properties=None, ranks=None):
        """Runs the check alone and returns its CheckResult; of a check that looks at one data set, that of the first."""
        train = train_dataset if train_dataset is not None else dataset
        result = run(type(self).__name__, {"checks": [self._document()]}, [], train, test_dataset, max_samples, random_state, properties, ranks=ranks)
        first = result.results[0]
        if hasattr(first, "exception"):
            raise first.exception
        return first


class SingleDatasetCheck(VisionCheck):
    """A check of one data set."""


class TrainTestCheck(VisionCheck):
    """A check that compares train with test."""


class Suite(_document.BaseSuite):
    """Checks of images to run together."""

    kind = "vision"

    def run(self, train_dataset=None, test_dataset=None, random_state=42, with_display=True, max_samples=None, run_single_dataset=None,
            properties=None, fail_on="fail", ranks=None):
        """Runs the suite and returns its SuiteResult. properties are image_property functions of your own. In a job of
        several nodes every rank gives its part of the data, and all get the result of the whole; ranks=1 judges this
        rank's data alone."""
        return run(self.name, self._checks_document(), self._own(), train_dataset, test_dataset, max_samples, random_state, properties, fail_on, ranks)
