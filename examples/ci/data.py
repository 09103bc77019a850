"""Makes the tables: customers, and whether they left. Writes train.csv and test.csv."""

import csv
import os
import random

COLUMNS = ["id", "age", "months", "calls", "spent", "plan", "left"]


def customer(rng, number):
    age, months, calls = rng.randint(18, 80), rng.randint(1, 72), rng.randint(0, 9)
    spent = round(rng.gauss(40, 12) + months * 0.2, 2)
    plan = rng.choice(["basic", "family", "pro"])
    score = 0.7 * calls - 0.06 * months - 0.02 * (spent - 40) + (0.8 if plan == "basic" else 0) + rng.gauss(0, 0.5)
    return [number, age, months, calls, spent, plan, int(score > 0.9)]


def main():
    rng = random.Random(int(os.environ.get("SEED", "7")))
    rows = [customer(rng, n) for n in range(3000)]
    for name, part in (("train.csv", rows[:2000]), ("test.csv", rows[2000:])):
        with open(name, "w", newline="") as f:
            csv.writer(f).writerows([COLUMNS, *part])
        print(f"{name}: {len(part)} rows")


if __name__ == "__main__":
    main()
