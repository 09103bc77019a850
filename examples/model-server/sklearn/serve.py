"""Serves a pickled scikit-learn model: python serve.py model.pkl. The protocol is in docs/model-protocol.md."""
import itertools
import json
import os
import pickle
import sys
import time

import pandas as pd


def table(request):
    """The rows of a request as a data frame; nulls become NaN."""
    columns = {}
    for name, values in request["columns"].items():
        kind = request["types"][name]
        if kind == "datetime":
            columns[name] = pd.to_datetime(pd.Series(values, dtype="object"))
        elif kind in ("float64", "int64") and not (kind == "int64" and None not in values):
            columns[name] = pd.Series([None if v is None else float(v) for v in values], dtype="float64")
        else:
            columns[name] = pd.Series(values, dtype=None if kind == "int64" else "object")
    return pd.DataFrame(columns)


def hello(model):
    last = model[-1] if hasattr(model, "steps") else model
    plain = lambda params: json.loads(json.dumps(params, default=repr))
    about = {"v": 1, "type": type(last).__name__, "has_proba": hasattr(model, "predict_proba"),
             "params": plain(last.get_params(deep=False)), "defaults": plain(type(last)().get_params(deep=False))}
    if hasattr(model, "classes_"):
        about["classes"] = model.classes_.tolist()
    if hasattr(last, "staged_predict"):  # a booster
        about["trees"] = int(getattr(last, "n_iter_", None) or len(last.estimators_))
    if last is model and hasattr(model, "feature_importances_") and hasattr(model, "feature_names_in_"):
        about["feature_importance"] = dict(zip(model.feature_names_in_.tolist(), model.feature_importances_.tolist()))
    return about


def predict(model, request):
    x = table(request)
    if request["op"] == "predict_staged":
        last = model[-1] if hasattr(model, "steps") else model
        x = model[:-1].transform(x) if last is not model else x
        stage = lambda answers: next(itertools.islice(answers, request["trees"] - 1, None)).tolist()
        answer = {"labels": stage(last.staged_predict(x))}
        if request["proba"] and hasattr(last, "staged_predict_proba"):
            answer["proba"] = stage(last.staged_predict_proba(x))
        return answer
    started = time.perf_counter_ns()
    labels = model.predict(x)
    answer = {"labels": labels.tolist(), "predict_ns": time.perf_counter_ns() - started}
    if request["proba"]:
        answer["proba"] = model.predict_proba(x).tolist()
    return answer


def serve(model):
    out = os.fdopen(os.dup(1), "w")  # answers only: what libraries print goes to standard error
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        if request["op"] == "bye":
            break
        try:
            answer = hello(model) if request["op"] == "hello" else predict(model, request)
        except Exception as error:  # the suite goes on with its other checks
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=out, flush=True)


if __name__ == "__main__":
    with open(sys.argv[1], "rb") as file:
        serve(pickle.load(file))
