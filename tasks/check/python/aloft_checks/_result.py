"""Results of checks and suites."""

import json
import math
import sys

from . import _document
from .core import errors


class ConditionCategory(str):
    """The outcome of a condition: PASS, WARN, FAIL or ERROR."""

    @property
    def value(self):
        return str(self)

    @property
    def name(self):
        return str(self)


for _name in ("PASS", "WARN", "FAIL", "ERROR"):
    setattr(ConditionCategory, _name, ConditionCategory(_name))


class ConditionResult:
    """The outcome of one condition."""

    def __init__(self, category, details="", name=None):
        self.category = ConditionCategory(category)
        self.details = details
        self.name = name

    def is_pass(self, fail_if_warning=True):
        return self.category == "PASS" or self.category == "WARN" and not fail_if_warning

    def __repr__(self):
        return "%s: %s: %s" % (self.category, self.name, self.details)


class _Named:
    """A check, as results name it."""

    def __init__(self, data):
        self._data = data

    def name(self):
        return self._data["name"]

    def params(self):
        return self._data.get("params")

    def __repr__(self):
        return self._data["check"]


class CheckResult:
    """What a check found."""

    def __init__(self, value=None, header=None, display=None, data=None, reduced=None):
        self._data = data or {}
        self.value = _value(self._data["value"]) if data else value
        self.header = self._data.get("header") or header
        self.display = display
        self.check = _Named(self._data) if data else None
        self.reduced = _value(self._data.get("reduced")) if data else reduced
        self.conditions_results = [
            ConditionResult(c["category"], c["details"], c["name"]) for c in self._data.get("conditions", [])
        ]

    def get_header(self):
        return self.header

    def get_check_name(self):
        return self._data["name"]

    def have_conditions(self):
        return bool(self.conditions_results)

    def passed_conditions(self, fail_if_warning=True):
        return all(c.is_pass(fail_if_warning) for c in self.conditions_results)

    def reduce_output(self):
        if self.reduced is None:
            raise errors.DeepchecksNotImplementedError("%s has no reduced output" % self._data.get("check", "the check"))
        return self.reduced

    def to_json(self, with_display=True):
        return json.dumps(self._data)

    def __repr__(self):
        return "%s: %r" % (self.header, self.value)


class CheckFailure:
    """Why a check did not run."""

    def __init__(self, data):
        self._data = data
        self.header = data["name"]
        self.check = _Named(data)
        e = data["error"] or {"class": "", "message": ""}
        self.exception = errors.by_class(e["class"])(e["message"])

    def get_check_name(self):
        return self._data["name"]

    def to_json(self, with_display=True):
        return json.dumps(self._data)

    def __repr__(self):
        return "%s: %s: %s" % (self.header, type(self.exception).__name__, self.exception)


class SuiteResult:
    """What a suite found. The engine computed it and wrote its reports."""

    def __init__(self, name, answer):
        self.name = name
        self._answer = answer
        report = answer["report"]
        self.report = report
        if report.get("suite_error"):
            e = report["suite_error"]
            raise errors.by_class(e["class"])(e["message"])
        self.results = [CheckFailure(c) if c["status"] == "error" else CheckResult(data=c) for c in report["checks"]]

    # What users of deepchecks ask.

    def get_not_ran_checks(self):
        return [r for r in self.results if isinstance(r, CheckFailure)]

    def get_not_passed_checks(self, fail_if_warning=True):
        return [r for r in self._judged() if not r.passed_conditions(fail_if_warning)]

    def get_passed_checks(self, fail_if_warning=True):
        return [r for r in self._judged() if r.passed_conditions(fail_if_warning)]

    def passed(self, fail_if_warning=True, fail_if_check_not_run=False):
        """Whether all conditions passed. Samples that could not be used, and data of which only a part was read, never pass."""
        if self.report.get("faults") or self.get_not_passed_checks(fail_if_warning):
            return False
        return not (fail_if_check_not_run and self.get_not_ran_checks())

    def select_results(self, idx=None, names=None):
        if (idx is None) == (names is None):
            raise errors.DeepchecksNotSupportedError("give either idx or names")
        if idx is not None:
            return [self.results[i] for i in idx]
        wanted = {n.lower().replace("_", " ") for n in names}
        return [r for r in self.results if {(r.header or "").lower(), r.get_check_name().lower()} & wanted]

    def to_json(self, with_display=True):
        """The result in the form of deepchecks' JSON; the engine's own is in `report`."""
        doc = self._answer["deepchecks"]
        if not with_display:
            doc = json.loads(json.dumps(doc))
            for r in doc.get("results", []):
                r.pop("display", None)
        return json.dumps(doc)

    def save_as_html(self, file=None, as_widget=None, requirejs=None, **_):
        """Writes the HTML report and returns the file's name."""
        file = file or "output.html"
        return _write(file, self._answer["html"])

    def save_as_junit(self, file="junit.xml"):
        return _write(file, self._answer["junit"])

    def save_as_cml_markdown(self, file="report.md", **_):
        return _write(file, self._answer["markdown"])

    def to_markdown(self):
        return self._answer["markdown"]

    def show(self, *_, **__):
        """Shows the report: in a notebook as HTML, else as text."""
        try:
            from IPython import get_ipython
            from IPython.display import HTML, display
        except ImportError:
            get_ipython = None
        if get_ipython is not None and get_ipython() is not None:
            display(HTML(self._answer["html"]))
            return self
        sys.stdout.write(self._answer["text"])
        return self

    show_in_iframe = show_in_window = show_not_interactive = show

    def _judged(self):
        return [r for r in self.results if isinstance(r, CheckResult) and r.have_conditions()]

    def _repr_html_(self):
        return self._answer["html"]

    def __repr__(self):
        return self._answer["text"]


def _write(file, text):
    if hasattr(file, "write"):
        file.write(text)
        return getattr(file, "name", None)
    with open(file, "w", encoding="utf-8") as f:
        f.write(text)
    return str(file)


_NUMBERS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def _value(v):
    """Values of the engine's JSON as Python has them; tables as DataFrames where pandas is there."""
    if isinstance(v, list):
        return [_value(x) for x in v]
    if isinstance(v, str):
        return _NUMBERS.get(v, v)
    if not isinstance(v, dict):
        return v
    kind = v.get("__type__")
    if kind == "DataFrame":
        return _document.frame(_value(v["columns"]), _value(v["data"]), _value(v["index"]), v.get("index_names") or ())
    if kind == "Series":
        return dict(zip(v["index"], _value(v["data"])))
    return {k: _value(x) for k, x in v.items()}
