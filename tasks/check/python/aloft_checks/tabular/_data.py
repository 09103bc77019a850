"""Dataset: a table and the roles of its columns."""

import sys

from ..core import errors

_LABEL_TYPES = ("binary", "multiclass", "regression")
_OLD_TYPES = {"classification_label": "multiclass", "regression_label": "regression"}


class Dataset:
    """A table with the roles of its columns. df is a pandas DataFrame, a dict of lists, or a list of dicts."""

    def __init__(self, df, label=None, features=None, cat_features=None, index_name=None, set_index_from_dataframe_index=False,
                 datetime_name=None, set_datetime_from_dataframe_index=False, convert_datetime=True, datetime_args=None,
                 max_categorical_ratio=0.01, max_categories=None, label_type=None, dataset_name=None, label_name=None):
        columns = _columns(df)
        if not columns or not len(next(iter(columns.values()))):
            raise errors.DeepchecksValueError("Can't create a Dataset object with an empty dataframe")
        if set_index_from_dataframe_index or set_datetime_from_dataframe_index:
            index = getattr(df, "index", None)
            if index is None:
                raise errors.DeepchecksValueError("set_index_from_dataframe_index needs a DataFrame")
            name = (index_name if set_index_from_dataframe_index else datetime_name) or index.name or "index"
            columns[str(name)] = index.to_series().reset_index(drop=True)
            if set_index_from_dataframe_index:
                index_name = str(name)
            else:
                datetime_name = str(name)
        if label is not None and not isinstance(label, (str, int)):
            name = label_name or getattr(label, "name", None) or "target"
            if len(label) != len(next(iter(columns.values()))):
                raise errors.DeepchecksValueError("the label has %d values, the table %d rows" % (len(label), len(next(iter(columns.values())))))
            if str(name) in columns:
                raise errors.DeepchecksValueError("the label is named %s, as a column of the table is" % name)
            columns[str(name)] = label
            label = name
        label = None if label is None else str(label)
        if label_type is not None:
            label_type = _OLD_TYPES.get(label_type, label_type)
            if label_type not in _LABEL_TYPES:
                raise errors.DeepchecksValueError("allowed label types are %s, not %r" % (", ".join(_LABEL_TYPES), label_type))
        for what, name, flag in (("label", label, None), ("index", index_name, "set_index_from_dataframe_index"), ("datetime", datetime_name, "set_datetime_from_dataframe_index")):
            if name is not None and str(name) not in columns:
                hint = "" if flag is None else ". If you attempted to use the dataframe index, set %s" % flag
                raise errors.DeepchecksValueError("%s column %s not found in dataset columns%s" % (what, name, hint))
        known = set(columns)
        for what, list_ in (("Features", features), ("Categorical features", cat_features)):
            missing = [f for f in list_ or [] if str(f) not in known]
            if missing:
                raise errors.DeepchecksValueError("%s must be names of columns; not found are %s" % (what, ", ".join(map(str, missing))))
        taken = {label, index_name and str(index_name), datetime_name and str(datetime_name)} - {None}
        if features is not None:
            both = [str(f) for f in features if str(f) in taken]
            if both:
                raise errors.DeepchecksValueError("%s cannot be a feature and the label, index or datetime" % ", ".join(both))
            outside = [str(f) for f in cat_features or [] if str(f) not in {str(x) for x in features}]
            if outside:
                raise errors.DeepchecksValueError("Categorical features must be a subset of features; %s are not" % ", ".join(outside))
        self.data = df
        self._columns = columns
        self.label_name, self.index_name, self.datetime_name = label, index_name and str(index_name), datetime_name and str(datetime_name)
        self.features = [str(f) for f in features] if features is not None else [c for c in columns if c not in taken]
        self._given_features = features is not None
        self.cat_features = None if cat_features is None else [str(f) for f in cat_features]
        self.label_type = label_type
        self.name = dataset_name
        self.datetime_unit = (datetime_args or {}).get("unit")

    def __len__(self):
        return len(next(iter(self._columns.values())))

    @property
    def n_samples(self):
        return len(self)

    @property
    def columns(self):
        return list(self._columns)

    @property
    def features_columns(self):
        if hasattr(self.data, "loc"):
            return self.data[[f for f in self.data.columns if str(f) in self.features]]
        return {f: self._columns[f] for f in self.features}

    @property
    def label_col(self):
        return self._columns[self.label_name] if self.label_name else None

    def _roles(self):
        out = {k: v for k, v in (("label", self.label_name), ("index", self.index_name), ("datetime", self.datetime_name),
                                 ("task_type", self.label_type), ("datetime_unit", self.datetime_unit)) if v}
        if self._given_features:
            out["features"] = self.features
        if self.cat_features is not None:
            out["categorical"] = self.cat_features
        return out


def _columns(df):
    """The columns of a table, by name."""
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(df, pandas.DataFrame):
        names = [str(c) for c in df.columns]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise errors.DeepchecksValueError("columns occur twice: %s" % ", ".join(twice))
        return {n: df.iloc[:, i].reset_index(drop=True) for i, n in enumerate(names)}
    if isinstance(df, dict):
        out = {str(k): v if hasattr(v, "__len__") else list(v) for k, v in df.items()}
    elif isinstance(df, (list, tuple)) and all(isinstance(r, dict) for r in df):
        names = list(dict.fromkeys(str(k) for r in df for k in r))
        out = {n: [r.get(n) for r in df] for n in names}
    elif hasattr(df, "shape") and len(df.shape) == 2:
        out = {str(i): df[:, i] for i in range(df.shape[1])}
    else:
        raise errors.DeepchecksValueError("a Dataset is made from a DataFrame, a dict of lists, or a list of dicts, not from a %s" % type(df).__name__)
    if len({len(v) for v in out.values()}) > 1:
        raise errors.DeepchecksValueError("the columns have different lengths")
    return out
