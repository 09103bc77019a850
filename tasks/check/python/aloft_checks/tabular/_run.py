"""Suites and checks of tables."""

from .. import _document, _engine, _own, _tables
from .._images import as_array
from .._output import keep, places, run_number
from .._result import SuiteResult
from ..core import errors
from ._data import Dataset


def _answers(data, model, y_pred, y_proba, classes):
    """The columns of predictions, and the classes of probabilities."""
    if model is not None and (y_pred is not None or y_proba is not None):
        raise errors.DeepchecksValueError("give a model or its predictions, not both")
    if model is not None:
        if data.label_type == "regression" or not hasattr(model, "predict_proba"):
            y_pred = model.predict(data.features_columns)
        else:
            y_pred, y_proba = model.predict(data.features_columns), model.predict_proba(data.features_columns)
        if classes is None and hasattr(model, "classes_"):
            classes = list(model.classes_)
    out = {}
    if y_pred is not None:
        y_pred = as_array(y_pred)
        if len(y_pred) != len(data):
            raise errors.ValidationError("there are %d predictions for %d rows" % (len(y_pred), len(data)))
        out["y_pred"] = y_pred
    if y_proba is not None:
        rows = as_array(y_proba)
        rows = rows.tolist() if hasattr(rows, "tolist") else [list(r) for r in rows]
        if len(rows) != len(data):
            raise errors.ValidationError("there are probabilities for %d rows of %d" % (len(rows), len(data)))
        if classes is None:
            label = data.label_col
            classes = sorted({v.item() if hasattr(v, "item") else v for v in label if v == v}) if label is not None else []
        if len(classes) != len(rows[0]):
            raise errors.ModelValidationError("there are probabilities of %d classes, and the classes %s" % (len(rows[0]), list(classes)))
        for k, c in enumerate(classes):
            out["proba_%s" % (c.item() if hasattr(c, "item") else c)] = [float(r[k]) for r in rows]
    return out, classes


def run(name, checks, own, train, test, options, fail_on="fail"):
    """Runs checks on tables."""
    if train is None and test is None:
        raise errors.DeepchecksValueError("At least one dataset (or model) must be passed to the method!")
    sides = {w: d if isinstance(d, Dataset) else Dataset(d) for w, d in (("train", train), ("test", test)) if d is not None}
    if "train" not in sides:
        sides = {"train": sides["test"]}
    document = dict(checks, fail_on=fail_on, **sides["train"]._roles())
    if options.get("random_state") is not None:
        document["seed"] = int(options["random_state"])
    weights = options.get("feature_importance")
    if weights is not None:
        document["feature_importance"] = {str(k): float(v) for k, v in (weights.items() if hasattr(weights, "items") else zip(sides["train"].features, weights))}
    tables, classes = {}, options.get("model_classes")
    for w, d in sides.items():
        answers, classes = _answers(d, options.get("model"), options.get("y_pred_" + w), options.get("y_proba_" + w), classes)
        clash = [c for c in answers if c in d.columns]
        if clash:
            raise errors.DeepchecksValueError("the table has columns named as predictions are: %s" % ", ".join(clash))
        tables[w] = dict(d._columns, **answers)
        if answers and "predictions" not in document:
            document["predictions"] = dict([("column", "y_pred")] if "y_pred" in answers else [], **({"proba": "proba_*"} if any(a.startswith("proba_") for a in answers) else {}))
    if classes is not None and any(k.startswith("proba_") for k in tables["train"]):
        document["classes"] = [c.item() if hasattr(c, "item") else c for c in classes]
    document["name"] = sides["train"].name or name
    with _engine.Engine(dict({"kind": "tabular", "document": document, "dir": ".", "ranks": options.get("ranks") or 0, "run": run_number()}, **places(name)), _engine.progress_line()) as engine:
        for w, columns in tables.items():
            engine.begin(w, name=sides[w].name or w)
            for pieces in _tables.stream(columns):
                engine.pieces(pieces)
            engine.end()
        beside = []
        for c in own:
            if c.per_dataset:
                beside += [c._outcome(w, lambda d=d: c.function(d)) for w, d in sides.items()]
            else:
                beside.append(c._outcome(None, lambda: c.function(*sides.values())))
        return keep(SuiteResult(name, engine.run(beside)))


class TabularCheck(_document.BaseCheck):
    """A check of tables."""

    kind = "tabular"

    def run(self, train_dataset=None, test_dataset=None, model=None, dataset=None, y_pred=None, y_proba=None, with_display=True, **options):
        """Runs the check alone and returns its CheckResult; of a check that looks at one table, that of the first."""
        train = train_dataset if train_dataset is not None else dataset
        options.update(model=model)
        options.setdefault("y_pred_train", y_pred)
        options.setdefault("y_proba_train", y_proba)
        first = run(type(self).__name__, {"checks": [self._document()]}, [], train, test_dataset, options).results[0]
        if hasattr(first, "exception"):
            raise first.exception
        return first


class SingleDatasetCheck(TabularCheck):
    """A check of one table."""


class TrainTestCheck(TabularCheck):
    """A check that compares train with test."""


class Suite(_document.BaseSuite):
    """Checks of tables to run together."""

    kind = "tabular"

    def run(self, train_dataset=None, test_dataset=None, model=None, with_display=True, fail_on="fail", **options):
        """Runs the suite and returns its SuiteResult. options are y_pred_train, y_pred_test, y_proba_train, y_proba_test,
        model_classes, feature_importance, random_state. A model's predict (and predict_proba) are called here, in Python."""
        known = {"y_pred_train", "y_pred_test", "y_proba_train", "y_proba_test", "model_classes", "feature_importance", "random_state",
                 "feature_importance_force_permutation", "feature_importance_timeout", "run_single_dataset", "ranks"}
        for name in options:
            if name not in known:
                raise TypeError("run() has no parameter %r; it has %s" % (name, ", ".join(sorted(known))))
        return run(self.name, self._checks_document(), self._own(), train_dataset, test_dataset, dict(options, model=model), fail_on)
