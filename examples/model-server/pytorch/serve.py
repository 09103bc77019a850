"""Serves a TorchScript model: python serve.py model.pt [class ...]. The protocol is in docs/model-protocol.md.

The model takes a float32 tensor of rows × features and gives one logit for each class, or without classes one number.
"""
import json
import os
import sys
import time

import torch


def tensor(request):
    """The rows of a request as a tensor; nulls become 0."""
    columns = []
    for name, values in request["columns"].items():
        if request["types"][name] in ("text", "datetime"):
            raise ValueError(f"the feature {name} is no number")
        columns.append([0.0 if v is None else float(v) for v in values])
    return torch.tensor(columns, dtype=torch.float32).T


def predict(model, classes, request):
    x = tensor(request)
    started = time.perf_counter_ns()
    with torch.inference_mode():
        y = model(x)
    took = time.perf_counter_ns() - started
    if not classes:
        return {"labels": y.reshape(-1).tolist(), "predict_ns": took}
    proba = torch.softmax(y.double(), dim=1)
    labels = [classes[k] for k in proba.argmax(dim=1).tolist()]
    return {"labels": labels, "proba": proba.tolist(), "predict_ns": took}


def main(path, classes):
    out = os.fdopen(os.dup(1), "w")  # answers only: what libraries print goes to standard error
    os.dup2(2, 1)
    model = torch.jit.load(path).eval()
    about = {"v": 1, "type": model.original_name, "has_proba": bool(classes), "params": {"weights": sum(p.numel() for p in model.parameters())}}
    about.update({"classes": classes} if classes else {"task": "regression"})
    for line in sys.stdin:
        request = json.loads(line)
        if request["op"] == "bye":
            break
        try:
            answer = about if request["op"] == "hello" else predict(model, classes, request)
        except Exception as error:  # the suite goes on with its other checks
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=out, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
