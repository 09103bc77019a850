"""Logistic regression on the iris data."""

import argparse
import csv
import pathlib

from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split


def write_csv(path, columns, rows):
    with open(path, "w", newline="") as f:
        writer = csv.writer(f)
        writer.writerow(columns)
        writer.writerows(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--test-size", type=float, default=0.3)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("out"))
    args = parser.parse_args()

    iris = load_iris()
    x_train, x_test, y_train, y_test = train_test_split(
        iris.data, iris.target, test_size=args.test_size,
        random_state=args.seed, stratify=iris.target)

    model = LogisticRegression(max_iter=500)
    model.fit(x_train, y_train)
    predicted = model.predict(x_test)
    print(f"accuracy: {accuracy_score(y_test, predicted):.4f}")

    # Tables that a validation suite can read: features, label, prediction.
    args.out.mkdir(parents=True, exist_ok=True)
    columns = [name.replace(" (cm)", "").replace(" ", "_") for name in iris.feature_names]
    for name, x, y in (("train", x_train, y_train), ("test", x_test, y_test)):
        write_csv(args.out / f"{name}.csv", columns + ["species"],
                  ([*row, int(label)] for row, label in zip(x, y)))
        write_csv(args.out / f"{name}_predictions.csv", ["prediction"],
                  ([int(p)] for p in model.predict(x)))


if __name__ == "__main__":
    main()
