"""Measures the bridge: image properties, label and prediction drift on 5,000 images of 224 x 224 x 3 from a DataLoader.

    ALOFT_SKY=bin/sky PYTHONPATH=tasks/check/python python3 tasks/check/python/bench/images.py [N]

Prints the CPU seconds of the loader alone, of Python with the bridge, and of the engine, their peak memory, and the pixels
per second. The images are a pool of 256, so that making them costs nothing.
"""

import resource
import sys
import time

import numpy as np

from aloft_checks import _engine
from aloft_checks.vision import Suite, VisionData
from aloft_checks.vision.checks import ImagePropertyDrift, LabelDrift, PredictionDrift

N, BATCH, SIDE = int(sys.argv[1]) if len(sys.argv) > 1 else 5000, 64, 224
rng = np.random.RandomState(0)
POOL = [rng.randint(0, 256, (SIDE, SIDE, 3)).astype(np.uint8) for _ in range(256)]
LABELS = rng.randint(0, 10, N)
SCORES = rng.dirichlet(np.ones(10), N)


class Data:
    def __len__(self):
        return N

    def __getitem__(self, i):
        return i


def collate(rows):
    return {"images": [POOL[i % 256] for i in rows], "labels": LABELS[rows], "predictions": SCORES[rows]}


def loader():
    try:
        from torch.utils.data import DataLoader

        return DataLoader(Data(), batch_size=BATCH, collate_fn=collate)
    except ImportError:
        return (collate(list(range(i, min(i + BATCH, N)))) for i in range(0, N, BATCH))


def cpu(who):
    u = resource.getrusage(who)
    return u.ru_utime + u.ru_stime


peak = 0
run_engine = _engine.Engine.run


def run(engine, *args):
    """Notes the engine's peak memory when it has answered."""
    global peak
    out = run_engine(engine, *args)
    try:
        with open("/proc/%d/status" % engine.process.pid) as f:
            peak = max([peak] + [int(line.split()[1]) for line in f if line.startswith("VmHWM")])
    except OSError:
        pass
    return out


_engine.Engine.run = run
first = next(iter(loader()))  # imports are not measured
start = cpu(resource.RUSAGE_SELF)
for _ in loader():
    pass
alone = cpu(resource.RUSAGE_SELF) - start

start, began = cpu(resource.RUSAGE_SELF), time.time()
suite = Suite("bench", ImagePropertyDrift(), LabelDrift(), PredictionDrift())
suite.run(VisionData(loader(), "classification"), VisionData(loader(), "classification"))
wall, python = time.time() - began, cpu(resource.RUSAGE_SELF) - start
engine = cpu(resource.RUSAGE_CHILDREN)
pixels = 2 * N * SIDE * SIDE * 3
print("images            2 x %d of %d x %d x 3, %.2f GB" % (N, SIDE, SIDE, pixels / 1e9))
print("loader alone      %.2f s CPU (both sets)" % (2 * alone))
print("python            %.2f s CPU, peak %d MB" % (python, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024))
print("engine            %.2f s CPU, peak %d MB" % (engine, peak // 1024))
print("both              %.2f ms CPU an image, %.1f s wall, %.2f GB/s" % ((python + engine - 2 * alone) / (2 * N) * 1000, wall, pixels / 1e9 / wall))
