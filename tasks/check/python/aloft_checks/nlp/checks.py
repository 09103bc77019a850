"""The checks of texts, one class each: PropertyDrift().add_condition_drift_score_less_than(0.1, 0.1)."""

from .. import _document
from ._run import NLPCheck

CLASSES = _document.checks_of("nlp", NLPCheck, __name__)


class UnknownTokens(CLASSES["UnknownTokens"]):
    __doc__ = CLASSES["UnknownTokens"].__doc__ + "\n\ntokenizer is the path of a vocab.txt, or a WordPiece tokenizer of transformers."

    def __init__(self, tokenizer=None, **params):
        super().__init__(**params)
        self._tokenizer = tokenizer


CLASSES["UnknownTokens"] = UnknownTokens
globals().update(CLASSES)
__all__ = sorted(CLASSES)
