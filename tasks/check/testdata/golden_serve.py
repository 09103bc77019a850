"""Fits the model of a recorded data set and serves it: python golden_serve.py DATASET_FOLDER."""
import json
import os
import sys
import warnings

import pandas as pd
import sklearn.ensemble
import sklearn.linear_model
import sklearn.tree
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

sys.path.insert(0, os.environ["EXAMPLE"])
import serve  # noqa: E402  the example's server

warnings.filterwarnings("ignore")
folder = sys.argv[1]
with open(os.path.join(folder, "dataset.json")) as file:
    about = json.load(file)
train = pd.read_csv(os.path.join(folder, about["train"]), keep_default_na=False, na_values=[""], low_memory=False, float_precision="round_trip")
if about.get("label_dtype") == "str":
    train[about["label"]] = train[about["label"]].astype(str)
features = about["features"] or [c for c in train.columns if c not in (about["label"], about["index"], about["datetime"])]
modules = (sklearn.ensemble, sklearn.linear_model, sklearn.tree)
estimator = next(getattr(m, about["model"]["estimator"]) for m in modules if hasattr(m, about["model"]["estimator"]))
model = estimator(**about["model"]["params"])
model = make_pipeline(StandardScaler(), model)
labelled = train[train[about["label"]].notnull()]
model.fit(labelled[features], labelled[about["label"]])
serve.serve(model)
