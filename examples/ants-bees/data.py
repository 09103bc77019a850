"""Gets the images: the ants and bees of PyTorch's transfer learning tutorial, or with --offline small drawn ones."""

import argparse
import math
import os
import random
import shutil
import sys
import urllib.request
import zipfile

URL = "https://download.pytorch.org/tutorial/hymenoptera_data.zip"


def download(folder):
    """Fetches and unpacks hymenoptera_data.zip: train/{ants,bees}, val/{ants,bees}."""
    if os.path.isdir(os.path.join(folder, "train")):
        return
    archive = folder + ".zip"
    try:
        urllib.request.urlretrieve(URL, archive)
    except OSError as e:
        sys.exit("cannot download %s: %s\nWithout a network: python3 data.py --offline" % (URL, e))
    with zipfile.ZipFile(archive) as z:
        for name in z.namelist():
            if os.path.isabs(name) or ".." in name.split("/"):
                sys.exit("the archive names a file outside of its folder: %s" % name)
        z.extractall(folder + ".part")
    os.replace(os.path.join(folder + ".part", "hymenoptera_data"), folder)
    shutil.rmtree(folder + ".part")
    os.remove(archive)


def draw(kind, size, rng):
    """One drawn insect: ants are three dark discs in a row, bees a striped oval. As rows of bytes."""
    background = [rng.randint(90, 190) for _ in range(3)]
    angle, cx, cy = rng.uniform(0, math.pi), size * rng.uniform(0.4, 0.6), size * rng.uniform(0.4, 0.6)
    ca, sa = math.cos(angle), math.sin(angle)
    body, stripe = [rng.randint(0, 110) for _ in range(3)], [rng.randint(100, 230) for _ in range(3)]
    rows = []
    for y in range(size):
        row = bytearray()
        for x in range(size):
            u, v = (x - cx) * ca + (y - cy) * sa, (y - cy) * ca - (x - cx) * sa
            colour = background
            if kind == "ants":
                if any((u - at) ** 2 + v * v < (size * r) ** 2 for at, r in ((-0.22 * size, 0.1), (0, 0.07), (0.2 * size, 0.13))):
                    colour = body
            elif (u / 0.3) ** 2 + (v / 0.19) ** 2 < size * size:
                colour = body if int((u + size) / (size * 0.09)) % 2 else stripe
            row += bytes(min(255, max(0, int(c + rng.gauss(0, 22)))) for c in colour)
        rows.append(bytes(row))
    return rows


def draw_all(folder, size=32, train=240, val=100):
    """Draws both classes. Equal calls draw equal images."""
    from PIL import Image

    rng = random.Random(7)
    for split, n in (("train", train), ("val", val)):
        for kind in ("ants", "bees"):
            os.makedirs(os.path.join(folder, split, kind), exist_ok=True)
            for i in range(n):
                Image.frombytes("RGB", (size, size), b"".join(draw(kind, size, rng))).save(os.path.join(folder, split, kind, "%04d.png" % i))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--offline", action="store_true", help="draw images instead of downloading them")
    parser.add_argument("--data", default="data", help="folder of the images")
    args = parser.parse_args()
    (draw_all if args.offline else download)(args.data)
    for split in ("train", "val"):
        counts = {k: len(os.listdir(os.path.join(args.data, split, k))) for k in ("ants", "bees")}
        print("%s: %s" % (split, ", ".join("%d %s" % (n, k) for k, n in counts.items())))


if __name__ == "__main__":
    main()
