"""Trains the classifier: only the last layer of a ResNet-18, or with --offline a small network from scratch."""

import argparse
import json
import os
import time

import torch
from torch import nn
from torch.utils.data import DataLoader

import net


def report(**values):
    """Appends a line to the job's metrics, where the job has them."""
    path = os.environ.get("ALOFT_METRICS")
    if path:
        with open(path, "a") as f:
            f.write(json.dumps(values) + "\n")


def run_epoch(model, loader, device, optimizer=None):
    """One pass; returns mean loss and accuracy."""
    model.train(optimizer is not None)
    loss_sum = right = n = 0
    with torch.set_grad_enabled(optimizer is not None):
        for x, y in loader:
            x, y = x.to(device), y.to(device)
            scores = model(x)
            loss = nn.functional.cross_entropy(scores, y)
            if optimizer is not None:
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            loss_sum += loss.item() * len(y)
            right += (scores.argmax(dim=1) == y).sum().item()
            n += len(y)
    return loss_sum / n, right / n


def plot(path, curves):
    """Draws curves of the epochs as an SVG file, without any library."""
    w, h, colours = 480, 260, ["#2563c9", "#d9660c"]
    top = max((v for c in curves.values() for v in c), default=1) or 1
    parts = ['<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12"><rect width="100%%" height="100%%" fill="#fff"/>' % (w, h)]
    for k, (name, values) in enumerate(curves.items()):
        step = (w - 80) / max(len(values) - 1, 1)
        points = " ".join("%.1f,%.1f" % (50 + i * step, h - 30 - v / top * (h - 60)) for i, v in enumerate(values))
        parts.append('<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>' % (points, colours[k % 2]))
        parts.append('<text x="%d" y="18" fill="%s">%s</text>' % (50 + 150 * k, colours[k % 2], name))
    parts.append('<text x="8" y="34">%.2f</text><text x="8" y="%d">0</text><text x="%d" y="%d">epoch</text></svg>' % (top, h - 30, w // 2, h - 8))
    with open(path, "w") as f:
        f.write("".join(parts))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--offline", action="store_true", help="a small network for small images")
    parser.add_argument("--data", default="data")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--batch-size", type=int, default=32)
    args = parser.parse_args()
    torch.manual_seed(42)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    print("training on", device, torch.cuda.get_device_name() if device == "cuda" else "", flush=True)
    size = 32 if args.offline else 224
    train = DataLoader(net.folder(os.path.join(args.data, "train"), size, train=True), args.batch_size, shuffle=True)
    val = DataLoader(net.folder(os.path.join(args.data, "val"), size), args.batch_size)
    model = net.make(args.offline).to(device)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=3e-3 if args.offline else 1e-3)
    curves = {"train loss": [], "val accuracy": []}
    train_loss, train_accuracy = run_epoch(model, train, device)
    val_loss, val_accuracy = run_epoch(model, val, device)
    for epoch in range(args.epochs):
        began = time.time()
        train_loss, train_accuracy = run_epoch(model, train, device, optimizer)
        val_loss, val_accuracy = run_epoch(model, val, device)
        print("epoch %d: loss %.4f, accuracy %.3f (val %.4f, %.3f), %.1f s" % (epoch + 1, train_loss, train_accuracy, val_loss, val_accuracy, time.time() - began), flush=True)
        report(step=epoch + 1, train={"loss": train_loss, "accuracy": train_accuracy}, val={"loss": val_loss, "accuracy": val_accuracy})
        curves["train loss"].append(train_loss)
        curves["val accuracy"].append(val_accuracy)
    torch.save(model.state_dict(), "model.pt")
    with open("metrics.json", "w") as f:
        json.dump({"train": {"loss": train_loss, "accuracy": train_accuracy}, "val": {"loss": val_loss, "accuracy": val_accuracy}}, f)
    with open("metrics.txt", "w") as f:
        f.write("val accuracy: %.4f\nval loss: %.4f\n" % (val_accuracy, val_loss))
    plot("plot.svg", curves)


if __name__ == "__main__":
    main()
