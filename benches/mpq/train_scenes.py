"""Trains the scene example and writes its model, held-out patches and labels.

    python train_scenes.py /work/shared/data --model eval/models/scenes.onnx --tests /tmp/mpq/scenes --minutes 6
"""

import argparse
import os

import torch
from PIL import Image

import common
import scenes


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--model", required=True)
    parser.add_argument("--tests", required=True, help="folder for the held-out patches and labels.csv")
    parser.add_argument("--minutes", type=float, default=6)
    parser.add_argument("--only-tests", action="store_true", help="write the patches and labels, train nothing")
    args = parser.parse_args()
    rng = common.fixed_seed(1)
    photos = scenes.photographs(args.data)
    tests = list(scenes.test_patches(photos))
    os.makedirs(os.path.join(args.tests, "patches"), exist_ok=True)
    for pixels, _, name in tests:
        Image.fromarray(pixels).save(os.path.join(args.tests, "patches", name))
    common.write_labels(os.path.join(args.tests, "labels.csv"), [(name, photos[label][0]) for _, label, name in tests])
    if args.only_tests:
        return
    model = scenes.Scenes()
    steps = common.train(model, scenes.sampler(photos, rng, 64), 4e-3, minutes=args.minutes)
    inputs = scenes.tensor([pixels for pixels, _, _ in tests])
    found = common.accuracy(model, inputs, [label for _, label, _ in tests])
    print(f"{steps} steps; {len(tests)} held-out patches of {len(photos)} photographs: accuracy {found:.4f}")
    common.export(model, torch.zeros(1, 3, scenes.SIDE, scenes.SIDE), args.model,
                  [name for name, _ in photos], scenes.CONFIG)


if __name__ == "__main__":
    main()
