"""Tries model.pkl on test.csv: predictions for the suite, metrics.txt, and the ROC curve as plot.png."""

import csv
import pickle
import struct
import zlib

from sklearn.metrics import accuracy_score, f1_score, roc_auc_score, roc_curve

from table import load

SIZE = 320


def png(path, pixels):
    """Writes rows of gray values as a PNG file; no library is needed."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    raw = b"".join(b"\0" + bytes(row) for row in pixels)
    with open(path, "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", len(pixels[0]), len(pixels), 8, 0, 0, 0, 0))
                + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b""))


def plot(path, xs, ys):
    """Draws a curve from (0, 0) to (1, 1), with the diagonal in light gray."""
    pixels = [[255] * SIZE for _ in range(SIZE)]
    edge, span = 16, SIZE - 33

    def dot(x, y, shade):
        column, row = edge + round(x * span), SIZE - edge - 1 - round(y * span)
        for r in (row, row + 1):
            for c in (column, column + 1):
                pixels[r][c] = min(pixels[r][c], shade)

    for i in range(span + 1):
        t = i / span
        dot(t, t, 200)
        for x, y in ((t, 0), (t, 1), (0, t), (1, t)):
            dot(x, y, 128)
    for (x0, y0), (x1, y1) in zip(zip(xs, ys), zip(xs[1:], ys[1:])):
        for i in range(SIZE):
            t = i / (SIZE - 1)
            dot(x0 + (x1 - x0) * t, y0 + (y1 - y0) * t, 0)
    png(path, pixels)


def main():
    with open("model.pkl", "rb") as f:
        model = pickle.load(f)
    for name in ("train", "test"):
        x, y = load(f"{name}.csv")
        predicted, proba = model.predict(x), model.predict_proba(x)
        with open(f"pred_{name}.csv", "w", newline="") as f:
            csv.writer(f).writerows([["y_pred", "proba_0", "proba_1"], *([int(p), *q] for p, q in zip(predicted, proba))])
    metrics = {"accuracy": accuracy_score(y, predicted), "f1": f1_score(y, predicted), "roc_auc": roc_auc_score(y, proba[:, 1])}
    with open("metrics.txt", "w") as f:
        for name, value in metrics.items():
            f.write(f"{name}: {value:.4f}\n")
            print(f"{name}: {value:.4f}")
    false, true, _ = roc_curve(y, proba[:, 1])
    plot("plot.png", list(false), list(true))


if __name__ == "__main__":
    main()
