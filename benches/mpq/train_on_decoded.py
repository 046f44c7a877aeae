"""Does training on compressed data cost accuracy? Trains the scene example on decoded photographs at several rates.

    python train_on_decoded.py /work/shared/data --jpeg 90 30 10 5 --steps 600 --json decoded.json
    python train_on_decoded.py /work/shared/data --decoded q1=/tmp/out/q1 --decoded q5=/tmp/out/q5 --json decoded.json

`--decoded NAME=FOLDER` takes files that a codec decoded (`clic_0c49a5cc.png` for `clic_0c49a5cc.webp`), so that any codec
can be looked at; `codec decode` writes them. Every run has the same seed, patches and steps. Accuracy is that on held-out
patches of the originals, and on the same patches of decoded photographs.
"""

import argparse
import io
import json
import os
import platform

import numpy as np
import torch
from PIL import Image

import common
import scenes


def jpeg(photos, quality):
    """Decoded photographs and bits per pixel."""
    decoded, bits, pixels = [], 0, 0
    for name, original in photos:
        file = io.BytesIO()
        Image.fromarray(original).save(file, "JPEG", quality=quality)
        bits += 8 * file.tell()
        pixels += original.shape[0] * original.shape[1]
        decoded.append((name, np.asarray(Image.open(file).convert("RGB"))))
    return decoded, bits / pixels


def folder(photos, path):
    """Decoded photographs of a folder."""
    decoded = []
    for name, original in photos:
        pixels = np.asarray(Image.open(os.path.join(path, name + ".png")).convert("RGB"))
        if pixels.shape != original.shape:
            raise SystemExit(f"{name} in {path} has another size than its original")
        decoded.append((name, pixels))
    return decoded, None


def tests(photos):
    patches, labels = zip(*[(pixels, label) for pixels, label, _ in scenes.test_patches(photos)])
    return scenes.tensor(patches), labels


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--jpeg", type=int, nargs="*", default=[], help="JPEG qualities")
    parser.add_argument("--decoded", action="append", default=[], help="NAME=FOLDER of decoded photographs")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--json", required=True)
    args = parser.parse_args()
    photos = scenes.photographs(args.data)
    originals = tests(photos)
    sets = [("original", lambda: (photos, None))]
    sets += [(f"jpeg-{q}", lambda q=q: jpeg(photos, q)) for q in args.jpeg]
    sets += [(item.split("=", 1)[0], lambda item=item: folder(photos, item.split("=", 1)[1])) for item in args.decoded]
    results = []
    for name, make in sets:
        rng = common.fixed_seed(3)
        decoded, rate = make()
        model = scenes.Scenes()
        common.train(model, scenes.sampler(decoded, rng, 64), 4e-3, total=args.steps)
        results.append({"trained_on": name, "bpp": rate, "accuracy_on_originals": common.accuracy(model, *originals),
                        "accuracy_on_decoded": common.accuracy(model, *tests(decoded))})
        print(results[-1], flush=True)
        with open(args.json, "w", encoding="utf-8") as out:
            json.dump({"task": "scenes", "classes": scenes.CLASSES, "test_patches": len(originals[1]),
                       "steps": args.steps, "batch": 64, "seed": 3, "torch": torch.__version__,
                       "machine": platform.machine(), "results": results}, out, indent=2)
            out.write("\n")


if __name__ == "__main__":
    main()
