"""Suites and checks of texts."""

import contextlib
import os
import tempfile

from .. import _document, _engine, _tables
from .._output import keep, places, run_number
from .._result import SuiteResult
from ..core import errors
from ._data import TextData


@contextlib.contextmanager
def _vocabulary(checks):
    """The file of the vocabulary that a check was given, None for none."""
    tokenizers = [c._tokenizer for c in checks if getattr(c, "_tokenizer", None) is not None]
    if not tokenizers:
        yield None
        return
    t = tokenizers[0]
    if isinstance(t, (str, os.PathLike)):
        yield os.path.abspath(t)
        return
    if not hasattr(t, "get_vocab"):
        raise errors.DeepchecksValueError("tokenizer must be the path of a vocab.txt, or have get_vocab() as a WordPiece tokenizer of transformers has, not a %s" % type(t).__name__)
    pieces = t.get_vocab()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "vocab.txt")
        with open(path, "w", encoding="utf-8") as f:
            f.write("\n".join(sorted(pieces, key=pieces.get)) + "\n")
        yield path


def _names(model_classes, sides, answers):
    """The classes of probabilities."""
    if model_classes is not None:
        return [str(c) for c in model_classes]
    if any(d._multi for d in sides.values()):
        lists = [v for d in sides.values() for v in d._given or [] if isinstance(v, (list, tuple))]
        names = {x for v in lists for x in v}
        if names <= {0, 1}:
            return [str(k) for k in range(max(map(len, lists), default=0))]
        return sorted(map(str, names))
    labels = {v for d in sides.values() for v in d._label or [] if v is not None}
    labels.update(str(v) for pred, _ in answers.values() if pred is not None for v in pred if isinstance(v, (str, int)))
    return sorted(labels)


def run(name, checks, documents, own, train, test, options, fail_on="fail"):
    """Runs checks on texts."""
    for w, d in (("train", train), ("test", test)):
        if d is not None and not isinstance(d, TextData):
            raise errors.DeepchecksValueError("the %s dataset must be a TextData, not a %s" % (w, type(d).__name__))
    sides = {w: d for w, d in (("train", train), ("test", test)) if d is not None}
    if not sides:
        raise errors.DeepchecksValueError("At least one dataset (or model) must be passed to the method!")
    answers = {w: (options.get(w + "_predictions"), options.get(w + "_probabilities")) for w in ("train", "test")}
    if "train" not in sides:
        sides, answers = {"train": sides["test"]}, {"train": answers["test"]}
    if "test" in sides and sides["train"].task_type != sides["test"].task_type:
        raise errors.DatasetValidationError("train and test are of different tasks: %s and %s" % (sides["train"].task_type, sides["test"].task_type))
    document = dict(documents, fail_on=fail_on)
    if options.get("random_state") is not None:
        document["seed"] = int(options["random_state"])
    classes = _names(options.get("model_classes"), sides, answers)
    tables = {}
    for w, d in sides.items():
        columns, about = d._sent(*answers[w], classes)
        for k, v in about.items():
            before = document.setdefault(k, v)
            if k in ("metadata", "properties", "label", "embeddings", "predictions") and before != v:
                _merge(document, k, before, v)
        tables[w] = columns
    _fill(tables)
    if options.get("model_classes") is not None:
        document["classes"] = classes
    document["name"] = sides["train"].name or name
    with _vocabulary(checks) as vocabulary:
        if vocabulary:
            document["vocabulary"] = vocabulary
        request = {"kind": "nlp", "document": document, "dir": ".", "ranks": options.get("ranks") or 0, "run": run_number()}
        with _engine.Engine(dict(request, **places(name)), _engine.progress_line()) as engine:
            _send(engine, {w: (sides[w].name or w, c) for w, c in tables.items()})
            beside = []
            for c in own:
                if c.per_dataset:
                    beside += [c._outcome(w, lambda d=d: c.function(d)) for w, d in sides.items()]
                else:
                    beside.append(c._outcome(None, lambda: c.function(*sides.values())))
            return keep(SuiteResult(name, engine.run(beside)))


def _merge(document, key, a, b):
    """What the document says where both sides differ: all columns of either."""
    if key == "metadata":
        document[key] = a + [c for c in b if c not in a]
    elif key == "properties":
        columns = a.get("columns", [])
        document[key] = dict(a, columns=columns + [c for c in b.get("columns", []) if c not in columns])
    else:
        raise errors.DeepchecksValueError("train and test must both have %s of the same kind, or neither" % key)


def _fill(tables):
    """Gives both tables the columns of either: what only one of them has is missing in the other."""
    names = list(dict.fromkeys(k for columns in tables.values() for k in columns))
    for w, columns in tables.items():
        n = len(next(iter(columns.values())))
        for k in names:
            if k not in columns:
                if k.startswith("__"):
                    raise errors.DeepchecksValueError("the %s texts lack what the others have: labels, predictions, probabilities and embeddings must be given for both or for none" % w)
                columns[k] = [None] * n


def _send(engine, tables):
    for w, (name, columns) in tables.items():
        engine.begin(w, name=name)
        for pieces in _tables.stream(columns):
            engine.pieces(pieces)
        engine.end()


def compute(data, include, ignore, long):
    """The properties that the engine computes: a dict of lists, and what it does not, with why."""
    columns, document = TextData(data._text, data._tokenized)._sent(None, None, [])
    document["properties"] = {"compute": list(include) if include is not None else "default"}
    if ignore is not None:
        document["properties"]["exclude"] = list(ignore)
    if long and include is None:
        document["properties"]["compute"] = "all"
    document["checks"] = ["TextPropertyOutliers"]
    with _engine.Engine({"kind": "nlp", "document": document, "dir": "."}) as engine:
        _send(engine, {"train": ("train", columns)})
        answer = engine.properties()
    return dict(answer["properties"]), dict(answer["not_computed"])


class NLPCheck(_document.BaseCheck):
    """A check of texts."""

    kind = "nlp"

    def run(self, train_dataset=None, test_dataset=None, dataset=None, predictions=None, probabilities=None, with_display=True, **options):
        """Runs the check alone and returns its CheckResult; of a check that looks at one data set, that of the first."""
        train = train_dataset if train_dataset is not None else dataset
        options.setdefault("train_predictions", predictions)
        options.setdefault("train_probabilities", probabilities)
        first = run(type(self).__name__, [self], {"checks": [self._document()]}, [], train, test_dataset, options).results[0]
        if hasattr(first, "exception"):
            raise first.exception
        return first


class SingleDatasetCheck(NLPCheck):
    """A check of one data set."""


class TrainTestCheck(NLPCheck):
    """A check that compares train with test."""


class Suite(_document.BaseSuite):
    """Checks of texts to run together."""

    kind = "nlp"

    def run(self, train_dataset=None, test_dataset=None, with_display=True, fail_on="fail", **options):
        """Runs the suite and returns its SuiteResult. options are train_predictions, test_predictions, train_probabilities,
        test_probabilities, model_classes, random_state, ranks."""
        known = {"train_predictions", "test_predictions", "train_probabilities", "test_probabilities", "model_classes", "random_state", "ranks"}
        for name in options:
            if name not in known:
                raise TypeError("run() has no parameter %r; it has %s" % (name, ", ".join(sorted(known))))
        return run(self.name, self.checks, self._checks_document(), self._own(), train_dataset, test_dataset, options, fail_on)
