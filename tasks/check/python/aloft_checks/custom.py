"""Properties and checks of the user's own, in Python."""

from ._result import CheckResult, ConditionCategory, ConditionResult
from .core import errors


class Property:
    """A number of each image that a function computes."""

    def __init__(self, name, kind, function):
        self.name, self.kind, self.function = name, kind, function

    def __call__(self, image):
        return self.function(image)


def image_property(function=None, *, name=None, kind="numerical"):
    """Makes a function of an image (an array of height x width x channels) a property of images.

        @image_property(name="Sharpness")
        def sharpness(image): ...

        model_evaluation().run(data, properties=[sharpness])

    It is then compared, correlated and searched for weak segments like the properties that images have by themselves.
    kind is numerical or categorical. None is a missing value.
    """
    if kind not in ("numerical", "categorical", "class_id"):
        raise errors.DeepchecksValueError("kind must be numerical, categorical or class_id, not %r" % (kind,))

    def wrap(f):
        return Property(name or f.__name__.replace("_", " ").strip().title(), kind, f)

    return wrap(function) if function is not None else wrap


class OwnCheck:
    """A check whose value a function of the user's computes. See check()."""

    _is_own_check = True

    def __init__(self, function, name, summary, per_dataset):
        self.function, self._name, self.summary, self.per_dataset = function, name, summary, per_dataset
        self._conditions = []

    def name(self):
        return self._name

    def add_condition(self, name, function=None):
        """Adds a condition: function takes the value and returns True, False or a ConditionResult."""
        if function is None:
            return lambda f: self.add_condition(name, f)
        self._conditions.append((name, function))
        return self

    def __call__(self, *args, **kwargs):
        return self.function(*args, **kwargs)

    def _outcome(self, which, call):
        """Runs the function and its conditions; what is raised is the check's failure, as in suites."""
        out = {"check": self._name.replace(" ", ""), "header": self._name, "summary": self.summary, "which": which or ""}
        try:
            value = call()
            if isinstance(value, CheckResult):
                out["header"] = value.header or out["header"]
                out["notes"] = [str(d) for d in (value.display or []) if isinstance(d, str)]
                value = value.value
            out["value"] = value
        except errors.DeepchecksBaseError as e:
            out["error"] = {"class": type(e).__name__, "message": str(e)}
            return out
        except Exception:
            from . import _engine

            out["error"] = {"class": "DeepchecksProcessError", "message": _engine.failure_text()}
            return out
        out["conditions"] = [_judge(name, f, value) for name, f in self._conditions]
        return out


def _judge(name, function, value):
    try:
        r = function(value)
    except Exception as e:
        return {"name": name, "verdict": "ERROR", "details": "Exception in condition: %s: %s" % (type(e).__name__, e)}
    if isinstance(r, ConditionResult):
        return {"name": r.name or name, "verdict": str(r.category), "details": r.details}
    if isinstance(r, tuple):
        ok, details = r
        return {"name": name, "verdict": "PASS" if ok else "FAIL", "details": str(details)}
    return {"name": name, "verdict": str(ConditionCategory.PASS if r else ConditionCategory.FAIL), "details": "" if r else "the value is %r" % (value,)}


def check(function=None, *, name=None, per_dataset=True):
    """Makes a function a check of your own, for suites beside those of the engine.

        @check(name="Blank images")
        def blank(batches):            # all batches of one data set, as the loader gives them
            return sum(int(image.max() == image.min()) for b in batches for image in b["images"])

        blank.add_condition("There are no blank images", lambda n: n == 0)
        Suite("mine", blank).run(data)

    The function gets an iterator over the batches of a data set (a Dataset for tables, a TextData for texts) and returns the value. With
    per_dataset=False it gets two, those of train and of test. It runs while the loader is read, which is read once.
    """

    def wrap(f):
        doc = (f.__doc__ or "").strip().split("\n")[0]
        return OwnCheck(f, name or f.__name__.replace("_", " ").strip().title(), doc, per_dataset)

    return wrap(function) if function is not None else wrap
