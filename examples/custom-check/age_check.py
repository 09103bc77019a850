"""A custom check for `sky test`: how many people are younger than allowed, per group.

Input and output are one JSON object each: docs/custom-checks.md. Only the standard library is needed.
"""
import csv
import json
import sys


def rows(table):
    for name in table["files"]:
        with open(name, newline="", encoding="utf-8") as f:
            yield from csv.DictReader(f)


def main():
    ask = json.load(sys.stdin)
    youngest, by = ask["params"]["youngest"], ask["params"]["by"]
    table = ask["tables"][ask["dataset"]]
    for column in ("age", by):
        if column not in table["columns"]:
            return {"error": {"class": "ValueError", "message": f"there is no column {column!r}"}}

    total, young = {}, {}
    for row in rows(table):
        if row["age"] in ask["na_values"]:
            continue
        group = row[by]
        total[group] = total.get(group, 0) + 1
        young[group] = young.get(group, 0) + (float(row["age"]) < youngest)

    share = {group: young[group] / total[group] for group in sorted(total)}
    everywhere = sum(young.values()) / max(sum(total.values()), 1)
    worst = max(share, key=share.get, default=None)
    print(f"{sum(total.values())} people read", file=sys.stderr)  # shown when the check fails
    return {
        "value": share,
        "reduced": {"Share too young": everywhere},
        "displays": [
            {"type": "note", "text": f"People younger than {youngest}, by {by}."},
            {"type": "table", "title": "Too young", "columns": [by, "people", "too young", "share"],
             "rows": [[g, total[g], young[g], share[g]] for g in share]},
            {"type": "bars", "title": "Share too young", "series": ["share"],
             "groups": [{"label": g, "values": [share[g]]} for g in share]},
        ],
        "conditions": [{
            "name": "Nobody is younger than 0",
            "category": "PASS",
            "details": f"Most are too young in {worst}" if worst else "The table is empty",
        }],
    }


if __name__ == "__main__":
    json.dump(main(), sys.stdout)
