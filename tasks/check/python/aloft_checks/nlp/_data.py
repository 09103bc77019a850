"""TextData: texts with labels, metadata, properties and embeddings."""

import json
import sys
import warnings

from .._images import as_array
from ..core import errors
from ..tabular import Dataset
from ..tabular._data import _columns

TASKS = ("text_classification", "token_classification", "other")

# The columns of the table that goes to the engine.
TEXT, TOKENS, LABEL, PREDICTED, PROBA, EMBEDDING = "__text__", "__tokens__", "label", "__predicted__", "__proba__", "__embedding__"


def missing(v):
    """Whether a value is None or NaN."""
    return v is None or isinstance(v, float) and v != v or type(v).__name__ in ("NAType", "NaTType")


def listed(values, what, n):
    """A sequence as a list of n items."""
    values = as_array(values)
    out = values.tolist() if hasattr(values, "tolist") else list(values)
    if len(out) != n:
        raise errors.ValidationError("there are %d %s for %d texts" % (len(out), what, n))
    return out


def classes(values, what, n):
    """Classes as texts; None where there is none."""
    out = [None if missing(v) else v for v in listed(values, what, n)]
    if any(isinstance(v, (list, tuple)) for v in out):  # multilabel: names, or a 0 or 1 for each class
        for i, v in enumerate(out):
            if v is not None and not isinstance(v, (list, tuple)):
                raise errors.ValidationError("text %d has one of the %s, others have lists of them" % (i, what))
        return [None if v is None else json.dumps([int(x) if isinstance(x, (bool, int, float)) else str(x) for x in v]) for v in out]
    return [None if v is None else str(v) for v in out]


def tags(values, what, tokens):
    """Lists of labels of tokens, as JSON."""
    out = listed(values, what, len(tokens))
    for i, (v, t) in enumerate(zip(out, tokens)):
        if not missing(v) and (isinstance(v, str) or len(v) != len(t)):
            raise errors.ValidationError("text %d has %d tokens and other %s: there must be one for each token" % (i, len(t), what))
    return [None if missing(v) else json.dumps([str(x) for x in v]) for v in out]


class TextData:
    """Texts, or lists of tokens, with what is known of them.

    label holds a class for each text, or for each token its label in IOB notation (task_type "token_classification").
    metadata and properties are tables (a DataFrame, a dict of lists) with a row for each text; embeddings are an array of
    two dimensions, or the path of one in numpy's form npy.
    """

    def __init__(self, raw_text=None, tokenized_text=None, label=None, task_type="other", name=None, embeddings=None, metadata=None,
                 categorical_metadata=None, properties=None, categorical_properties=None):
        if task_type is None:
            task_type = "other"
        if task_type not in TASKS:
            raise errors.DeepchecksValueError("task_type must be one of %s, not %r" % (", ".join(TASKS), task_type))
        if raw_text is None and tokenized_text is None:
            raise errors.DeepchecksValueError("raw_text or tokenized_text is needed")
        if task_type == "token_classification" and tokenized_text is None:
            raise errors.DeepchecksValueError("tokenized_text must be given for token_classification tasks")
        self._tokenized = None
        if tokenized_text is not None:
            self._tokenized = [None if missing(t) else t for t in tokenized_text]
            for t in self._tokenized:
                if isinstance(t, str):
                    raise errors.DeepchecksValueError("tokenized_text must be a list of lists of tokens, it holds the text %r" % t[:40])
            self._tokenized = [[] if t is None else [str(x) for x in t] for t in self._tokenized]
        if raw_text is None:
            self._text = [" ".join(t) for t in self._tokenized]
        else:
            if isinstance(raw_text, str):
                raise errors.DeepchecksValueError("raw_text must be a sequence of texts, not one text")
            self._text = [None if missing(t) else t for t in raw_text]
            wrong = [t for t in self._text if t is not None and not isinstance(t, str)]
            if wrong:
                raise errors.DeepchecksValueError("raw_text must hold texts only, it holds a %s" % type(wrong[0]).__name__)
        if not self._text:
            raise errors.DeepchecksValueError("there are no texts")
        if self._tokenized is not None and len(self._tokenized) != len(self._text):
            raise errors.DeepchecksValueError("there are %d texts and %d lists of tokens" % (len(self._text), len(self._tokenized)))
        self.task_type, self.name = task_type, name
        self._label, self._given, self._multi = None, None, False
        if label is not None:
            if task_type == "token_classification":
                self._label = tags(label, "labels", self._tokenized)
            else:
                self._label = classes(label, "labels", len(self))
                self._multi = any(isinstance(v, (list, tuple)) for v in listed(label, "labels", len(self)))
            self._given = listed(label, "labels", len(self))
        self._metadata = self._properties = self._embeddings = None
        self._categorical = {}
        self.properties_not_computed = {}
        if metadata is not None:
            self.set_metadata(metadata, categorical_metadata)
        if properties is not None and not isinstance(properties, str):
            self.set_properties(properties, categorical_properties)
        if embeddings is not None:
            self.set_embeddings(embeddings)

    def __len__(self):
        return len(self._text)

    @property
    def n_samples(self):
        return len(self)

    @property
    def text(self):
        return list(self._text)

    @property
    def tokenized_text(self):
        if self._tokenized is None:
            raise errors.DeepchecksValueError("Tokenized text is not set, provide it when initializing the TextData object")
        return self._tokenized

    @property
    def label(self):
        return self._given

    def has_label(self):
        return self._label is not None

    def _table(self, table, what):
        columns = _columns(table)
        for k, v in columns.items():
            if len(v) != len(self):
                raise errors.DeepchecksValueError("%s has %d rows for %d texts" % (what, len(v), len(self)))
        return columns

    def set_metadata(self, metadata, categorical_metadata=None):
        """Sets a table with a row for each text."""
        self._metadata_given, self._metadata = metadata, self._table(metadata, "metadata")
        self._categorical["metadata"] = categorical_metadata

    def set_properties(self, properties, categorical_properties=None):
        """Sets a table of properties with a row for each text."""
        self._properties_given, self._properties = properties, self._table(properties, "properties")
        self._categorical["properties"] = categorical_properties

    def set_embeddings(self, embeddings, verbose=True):
        """Sets the embeddings: an array with a row for each text, or the path of one."""
        if isinstance(embeddings, str):
            import numpy

            embeddings = numpy.load(embeddings, allow_pickle=False)
        rows = as_array(embeddings)
        rows = rows if hasattr(rows, "shape") else [list(r) for r in rows]
        if len(rows) != len(self):
            raise errors.DeepchecksValueError("there are %d rows of embeddings for %d texts" % (len(rows), len(self)))
        self._embeddings = rows

    @property
    def metadata(self):
        if self._metadata is None:
            raise errors.DeepchecksNotSupportedError("Functionality requires metadata, but the TextData object had none. To use this functionality, use the set_metadata method to set your own metadata")
        return self._metadata_given

    @property
    def properties(self):
        if self._properties is None:
            raise errors.DeepchecksNotSupportedError(
                "Functionality requires properties, but the TextData object had none. To use this functionality, use the set_properties method "
                "to set your own properties or calculate_builtin_properties to add those that the engine computes"
            )
        return self._properties_given

    @property
    def embeddings(self):
        if self._embeddings is None:
            raise errors.DeepchecksNotSupportedError("Functionality requires embeddings, but the TextData object had none. To use this functionality, use the set_embeddings method to set your own")
        return self._embeddings

    def calculate_builtin_properties(self, include_properties=None, ignore_properties=None, include_long_calculation_properties=False, **_):
        """Computes the properties that need neither a model nor a dictionary, by the engine.

        Those that do (Sentiment, Toxicity, Language ...) are not computed: a warning names them and
        properties_not_computed tells why. Give their values by set_properties.
        """
        from ._run import compute

        columns, skipped = compute(self, include_properties, ignore_properties, include_long_calculation_properties)
        self.properties_not_computed = skipped
        if skipped:
            warnings.warn("properties that the engine does not compute: %s; give their values by set_properties" % ", ".join(
                "%s (%s)" % s for s in skipped.items()), stacklevel=2)
        pandas = sys.modules.get("pandas")
        self.set_properties(columns if pandas is None else pandas.DataFrame(columns))

    def calculate_builtin_embeddings(self, *_, **__):
        raise errors.DeepchecksNotImplementedError("the engine has no language model: compute embeddings with one of yours and set_embeddings")

    def sample(self, n_samples, replace=False, random_state=None):
        """Some of the texts, in their order."""
        import random

        draw = random.Random(random_state)
        rows = range(len(self))
        rows = [draw.choice(rows) for _ in range(n_samples)] if replace else draw.sample(rows, min(n_samples, len(self)))
        return self.copy(sorted(rows))

    def copy(self, rows_to_use=None):
        rows = range(len(self)) if rows_to_use is None else list(rows_to_use)

        def take(values):
            return None if values is None else [values[i] for i in rows]

        def part(columns):
            return None if columns is None else {k: [list(v)[i] for i in rows] for k, v in columns.items()}

        return TextData(take(self._text), take(self._tokenized), take(self._given), self.task_type, self.name, take(self._embeddings),
                        part(self._metadata), self._categorical.get("metadata"), part(self._properties), self._categorical.get("properties"))

    def to_dataset(self):
        """Metadata, properties and label as a Dataset, for the suites of tables."""
        columns = {}
        if self._properties is None or "Text Length" not in self._properties:
            columns["Text Length"] = [len(t or "") for t in self._text]
        columns.update(self._metadata or {})
        columns.update(self._properties or {})
        if self._given is None:
            return Dataset(columns, dataset_name=self.name)
        return Dataset(dict(columns, label=self._given), label="label", dataset_name=self.name)

    def _sent(self, predictions, probabilities, names):
        """The columns of the table, and what the document says of them."""
        columns, document = {}, {"task_type": self.task_type, "properties": {"compute": "none"}, "metadata": []}
        if self._tokenized is not None:
            columns[TOKENS] = [json.dumps(t) for t in self._tokenized]
            document["tokens"] = TOKENS
        else:
            columns[TEXT] = self._text
            document["text"] = TEXT
        for what, part in (("metadata", self._metadata), ("properties", self._properties)):
            if part is None:
                continue
            both = [k for k in part if k in columns]
            if both:
                raise errors.DeepchecksValueError("%s has the column %s, and so have other parts of the data: rename it" % (what, ", ".join(both)))
            columns.update(part)
            if what == "metadata":
                document["metadata"] = list(part)
            else:
                document["properties"]["columns"] = list(part)
            if self._categorical.get(what) is not None:
                document["categorical_" + what] = [str(c) for c in self._categorical[what]]
        if self._label is not None:
            name = LABEL if LABEL not in columns else "__label__"
            columns[name], document["label"] = self._label, name
        if self._embeddings is not None:
            e = self._embeddings
            width = e.shape[1] if hasattr(e, "shape") else len(e[0])
            for k in range(width):
                columns["%s%d" % (EMBEDDING, k)] = e[:, k] if hasattr(e, "shape") else [float(r[k]) for r in e]
            document["embeddings"] = EMBEDDING + "*"
        answers = {}
        if predictions is not None:
            if self.task_type == "token_classification":
                columns[PREDICTED] = tags(predictions, "predictions", self._tokenized)
            else:
                columns[PREDICTED] = classes(predictions, "predictions", len(self))
            answers["column"] = PREDICTED
        if probabilities is not None:
            rows = listed(probabilities, "probabilities", len(self))
            for i, r in enumerate(rows):
                if not hasattr(r, "__len__") or len(r) != len(names):
                    raise errors.ValidationError("text %d has no probability for each of the classes %s" % (i, ", ".join(names)))
                if not all(-1e-9 <= p <= 1 + 1e-3 for p in r) or abs(sum(r) - 1) > 1e-3 and not self._multi:
                    raise errors.ValidationError("the probabilities of text %d must be from 0 to 1 and sum up to 1" % i)
            for k, c in enumerate(names):
                columns[PROBA + c] = [float(r[k]) for r in rows]
            answers["proba"] = PROBA + "*"
        if answers:
            document["predictions"] = answers
        return columns, document
