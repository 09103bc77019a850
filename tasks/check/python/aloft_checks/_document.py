"""Suites and checks: what to run, as the engine's suite documents say it."""

import sys

from . import _names
from .core import errors


def frame(columns, rows, index, names=()):
    """A table as a DataFrame, or a dict of lists without pandas. Of an index of several parts, names are theirs."""
    pandas = sys.modules.get("pandas")
    parts = len(names) > 1
    if pandas is None:
        out = {n: [entry[i] for entry in index] for i, n in enumerate(names)} if parts else {}
        out.update({c: [r[i] for r in rows] for i, c in enumerate(columns)})
        return out
    if parts:
        entries = pandas.MultiIndex.from_arrays([[entry[i] for entry in index] for i in range(len(names))], names=names)
        return pandas.DataFrame(rows, columns=columns, index=entries)
    return pandas.DataFrame(rows, columns=columns, index=index if len(index) == len(rows) else None)


class BaseCheck:
    """A check of the engine, with its parameters and conditions."""

    kind = None
    _conditions = ()

    def __init__(self, **params):
        _, _, known, _, _ = self._spec()
        names = [n for n, _ in known]
        for name in list(params):
            if name not in names:
                raise TypeError("%s has no parameter %r; it has %s" % (type(self).__name__, name, ", ".join(names) or "none"))
        for name, default in known:
            if default is _names.REQUIRED and name not in params:
                raise TypeError("%s needs the parameter %r" % (type(self).__name__, name))
        self._params = params
        self._conditions = []

    @classmethod
    def _spec(cls):
        return _names.CHECKS[cls.kind][cls.__name__]

    @classmethod
    def name(cls):
        out = ""
        for c in cls.__name__:
            out += " " + c if c.isupper() and out else c
        return out

    def params(self, show_defaults=False):
        if not show_defaults:
            return dict(self._params)
        out = {n: d for n, d in self._spec()[2] if d is not _names.REQUIRED}
        out.update(self._params)
        return out

    def add_condition(self, name, **args):
        """Adds a condition of the engine by its name, such as "drift_score_less_than"."""
        _, _, _, own, _ = self._spec()
        known = own.get(name, _names.GENERIC.get(name))
        if known is None:
            raise errors.DeepchecksValueError(
                "%s has no condition %r; it has %s" % (type(self).__name__, name, ", ".join(list(own) + list(_names.GENERIC)))
            )
        for a in args:
            if a not in [n for n, _ in known]:
                raise TypeError("the condition %s has no parameter %r; it has %s" % (name, a, ", ".join(n for n, _ in known)))
        self._conditions.append((name, args))
        return self

    def clean_conditions(self):
        self._conditions = []
        return self

    def remove_condition(self, index):
        if not 0 <= index < len(self._conditions):
            raise errors.DeepchecksValueError("Index %d of conditions does not exists" % index)
        del self._conditions[index]
        return self

    def __getattr__(self, name):
        prefix = "add_condition_"
        if not name.startswith(prefix):
            raise AttributeError("%s has no attribute %r" % (type(self).__name__, name))
        condition = name[len(prefix):]
        _, _, _, own, _ = self._spec()
        known = own.get(condition, _names.GENERIC.get(condition))
        if known is None:
            raise AttributeError("%s has no condition %r; it has %s" % (type(self).__name__, condition, ", ".join(list(own) + list(_names.GENERIC))))

        def add(*args, **kwargs):
            if len(args) > len(known):
                raise TypeError("%s takes %d arguments, %d were given" % (name, len(known), len(args)))
            for (n, _), v in zip(known, args):
                if n in kwargs:
                    raise TypeError("%s got %r twice" % (name, n))
                kwargs[n] = v
            return self.add_condition(condition, **kwargs)

        return add

    def _document(self):
        params = {k: plain(v) for k, v in self._params.items()}
        return {"check": type(self).__name__, "params": params, "conditions": [{n: plain(a)} if a else n for n, a in self._conditions]}

    def __repr__(self):
        return "%s(%s)" % (type(self).__name__, ", ".join("%s=%r" % kv for kv in self._params.items()))


def plain(v):
    """Parameters as YAML has them."""
    if isinstance(v, dict):
        return {str(k): plain(x) for k, x in v.items()}
    if isinstance(v, (list, tuple, set)):
        return [plain(x) for x in v]
    if hasattr(v, "tolist"):
        return v.tolist()
    if callable(v):
        raise errors.DeepchecksNotSupportedError(
            "the engine cannot call the function %s: give a name that it knows, or write a check of your own with @check" % getattr(v, "__name__", v)
        )
    return v


def checks_of(kind, base, module):
    """A class for each check of a kind."""
    out = {}
    for name, (summary, _, params, conditions, _) in _names.CHECKS[kind].items():
        doc = summary + "\n\nParameters: " + (", ".join(n for n, _ in params) or "none")
        doc += "\nConditions: " + ", ".join("add_condition_" + c for c in list(conditions) + list(_names.GENERIC))
        out[name] = type(name, (base,), {"kind": kind, "__doc__": doc, "__module__": module})
    return out


class BaseSuite:
    """A list of checks to run together."""

    kind = None

    def __init__(self, name, *checks):
        self.name = name
        self.checks = []
        self._builtin = None  # (name, parameters, the document of its checks) of a suite of the engine
        for c in checks:
            self.add(c)

    def add(self, check):
        if isinstance(check, BaseSuite):
            self.checks.extend(check.checks)
        elif isinstance(check, BaseCheck) or getattr(check, "_is_own_check", False):
            self.checks.append(check)
        else:
            raise errors.DeepchecksValueError("Suite received unsupported object type: %s" % type(check).__name__)
        return self

    def remove(self, index):
        if not 0 <= index < len(self.checks):
            raise errors.DeepchecksValueError("No index %d in suite" % index)
        del self.checks[index]
        return self

    def __getitem__(self, index):
        if not 0 <= index < len(self.checks):
            raise errors.DeepchecksValueError("No index %d in suite" % index)
        return self.checks[index]

    def __len__(self):
        return len(self.checks)

    def _own(self):
        return [c for c in self.checks if getattr(c, "_is_own_check", False)]

    def _checks_document(self):
        """The checks as the parts of a suite document: those of the engine, one by one, under the suite's name."""
        mine = [c for c in self.checks if isinstance(c, BaseCheck)]
        name = "".join(ch if ch.isalnum() or ch in "_-" else "_" for ch in self.name) or "suite"
        known = list(_names.SUITES[self.kind]) + list(_names.CHECKS[self.kind])
        if name in known:
            name += "_of_python"
        if not mine:
            return {}
        documents = [c._document() for c in mine]
        if self._builtin and self._builtin[2] == documents:
            builtin_name, params, _ = self._builtin
            return {"suites": [builtin_name], "suite_params": {builtin_name: params}} if params else {"suites": [builtin_name]}
        return {"define": {name: documents}, "suites": [name]}

    def __repr__(self):
        return "%s: [\n%s\n]" % (self.name, "\n".join("\t%d: %r" % (i, c) for i, c in enumerate(self.checks)))


def builtin(suite_class, classes, name, title, params):
    """A suite of the engine with the conditions that it has there; params go to the checks that know them."""
    checks = []
    for check in _names.SUITES[suite_class.kind][name]:
        _, _, known, _, defaults = _names.CHECKS[suite_class.kind][check]
        own = {k: v for k, v in params.items() if v is not None and k in [n for n, _ in known]}
        c = classes[check](**own)
        for condition, args in defaults:
            c.add_condition(condition, **args)
        checks.append(c)
    suite = suite_class(title, *checks)
    params = {k: plain(v) for k, v in params.items() if v is not None}
    if set(params) <= {"n_samples", "random_state"}:
        suite._builtin = (name, params, [c._document() for c in checks])
    return suite
