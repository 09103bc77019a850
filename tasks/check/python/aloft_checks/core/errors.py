"""The errors of checks, under the names that users of deepchecks know."""


class DeepchecksBaseError(Exception):
    """The base of all errors here."""

    def __init__(self, message="", html=None):
        super().__init__(message)
        self.message = message
        self.html = html or message

    def __str__(self):
        return self.message


class DeepchecksValueError(DeepchecksBaseError):
    """A bad argument, or a bad state: the user's mistake."""


class DeepchecksNotSupportedError(DeepchecksBaseError):
    """The check does not apply to this input."""


class DeepchecksNotImplementedError(DeepchecksBaseError):
    """The engine has no such thing."""


class DeepchecksProcessError(DeepchecksBaseError):
    """The algorithm could not produce a result."""


class DeepchecksTimeoutError(DeepchecksBaseError):
    """The check was predicted to run too long."""


class ValidationError(DeepchecksBaseError):
    """Data or predictions are malformed."""


class DatasetValidationError(DeepchecksBaseError):
    """A data set is malformed or does not fit."""


class ModelValidationError(DeepchecksBaseError):
    """Predictions are malformed or do not fit."""


class NotEnoughSamplesError(DeepchecksBaseError):
    """There are too few samples."""


class EngineNotFoundError(DeepchecksBaseError):
    """The engine, the program sky, is not installed."""


class EngineError(DeepchecksBaseError):
    """The engine ended before it answered, or answered what nobody expects."""


def by_class(name):
    """The error class of a name that the engine uses."""
    found = globals().get(name)
    if isinstance(found, type) and issubclass(found, DeepchecksBaseError):
        return found
    return DeepchecksProcessError
