"""Validates data and model: predictions are made while the loader is read. As one writes it for deepchecks; only the name
of the package differs, and `sky test --python test.py` would not even want that."""

import argparse
import os
import sys

import torch
from torch.utils.data import DataLoader

import net
from aloft_checks.vision import VisionData
from aloft_checks.vision.suites import full_suite


def data_of(path, model, device, size, label_map, name):
    """The images of a folder with the model's answers."""

    def collate(batch):
        images = torch.stack([x for x, _ in batch])
        with torch.no_grad():
            scores = torch.softmax(model(images.to(device)), dim=1)
        return {"images": [net.picture(x) for x in images], "labels": [y for _, y in batch], "predictions": scores}

    folder = net.folder(path, size)
    rank, ranks = int(os.environ.get("SKYPILOT_NODE_RANK", 0)), int(os.environ.get("SKYPILOT_NUM_NODES", 1))
    shard = torch.utils.data.Subset(folder, range(rank, len(folder), ranks))  # each rank reads its part
    return VisionData(DataLoader(shard, batch_size=32, collate_fn=collate), "classification", label_map=label_map, dataset_name=name)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--offline", action="store_true")
    parser.add_argument("--data", default="data")
    parser.add_argument("--max-samples", type=int, default=5000)
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = net.make(args.offline).to(device)
    model.load_state_dict(torch.load("model.pt", map_location=device))
    model.eval()
    size, labels = 32 if args.offline else 224, {0: "ants", 1: "bees"}
    train = data_of(os.path.join(args.data, "train"), model, device, size, labels, "ants and bees")
    val = data_of(os.path.join(args.data, "val"), model, device, size, labels, "ants and bees")
    suite = full_suite()
    for check in suite.checks:
        if type(check).__name__ == "ClassPerformance":
            check.add_condition_test_performance_greater_than(0.8)
    result = suite.run(train, val, max_samples=args.max_samples)
    print(result)
    result.save_as_html("report.html")
    if not result.passed(fail_if_warning=False) and os.environ.get("GATE") != "report":
        sys.exit("not passed: " + ", ".join(c.get_check_name() for c in result.get_not_passed_checks(fail_if_warning=False)))


if __name__ == "__main__":
    main()
