"""A model of the standard library alone: the class is "yes" where x > limit. FAULT makes it misbehave."""
import json
import os
import sys
import time

fault = os.environ.get("FAULT", "")
kind = os.environ.get("KIND", "classifier")


def stage(request):
    return request.get("trees", 10) / 10  # with fewer trees the limit is not reached yet


def predict(request):
    x = [0.0 if v is None else float(v) for v in request["columns"]["x"]]
    if kind == "regressor":
        return {"labels": [v * stage(request) for v in x], "predict_ns": 1000 * len(x)}
    proba = [[1 - p, p] for p in (min(max(v * stage(request), 0), 1) for v in x)]
    answer = {"labels": ["yes" if p[1] > 0.5 else "no" for p in proba], "predict_ns": 2000 * len(x)}
    if request["proba"]:
        answer["proba"] = proba
    return answer


def broken(request, answer):
    if fault == "hang":
        print("about to hang", file=sys.stderr, flush=True)
        time.sleep(600)
    if fault == "die":
        print("out of memory", file=sys.stderr, flush=True)
        os._exit(3)
    if fault == "garbage":
        return "Loading weights..."
    if fault == "short":
        answer["labels"], answer["proba"] = answer["labels"][:-1], answer["proba"][:-1]
    if fault == "nan":
        answer["proba"][0][0] = float("nan")
    if fault == "null":
        answer["proba"][0][0] = None
    if fault == "sum":
        answer["proba"][0] = [0.9, 0.9]
    if fault == "negative":
        answer["proba"][0] = [-0.5, 1.5]
    if fault == "classes":
        answer["proba"][0] = [1.0]
    if fault == "empty":
        return "{}"
    if fault == "label":
        answer["labels"][0] = [1]
    if fault == "refuse":
        return json.dumps({"error": "ValueError: no"})
    return json.dumps(answer)


for line in sys.stdin:
    request = json.loads(line)
    if request["op"] == "bye":
        break
    if request["op"] == "hello":
        if fault == "hello":
            print("Welcome!", flush=True)
            continue
        about = {"v": 2 if fault == "version" else 1, "type": "Threshold", "trees": 10, "params": {"limit": 0.5, "list": [1]}, "defaults": {"limit": 0.4}}
        if kind == "classifier":
            about.update({"classes": ["no", "yes"], "has_proba": True})
        print(json.dumps(about), flush=True)
        continue
    print(broken(request, predict(request)), flush=True)
