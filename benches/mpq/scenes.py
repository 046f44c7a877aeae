"""The scene example: from which of forty photographs is this grey patch of 96x96 pixels?

Patches at every third place of a grid in both directions are held out; training patches never touch them.
"""

import glob
import os

import numpy as np
import torch
from PIL import Image

SIDE = 96
CLASSES = 40


def photographs(data):
    """Names and pixels of the first forty large photographs of the training split."""
    folder = os.path.join(data, "images", "train")
    paths = sorted(glob.glob(os.path.join(folder, "clic_*"))) + sorted(glob.glob(os.path.join(folder, "photo_*")))
    found = []
    for path in paths[:CLASSES]:
        name = os.path.splitext(os.path.basename(path))[0]
        found.append((name, np.asarray(Image.open(path).convert("RGB"))))
    return found


def held_out(height, width):
    """Upper left corners of the patches that are only tested on."""
    return [(y, x) for y in range(SIDE, height - SIDE + 1, 3 * SIDE) for x in range(SIDE, width - SIDE + 1, 3 * SIDE)]


def touches(y, x, corners):
    return any(abs(y - b) < SIDE and abs(x - a) < SIDE for b, a in corners)


def test_patches(photos):
    """Pixels, class and name of every held-out patch."""
    for label, (name, pixels) in enumerate(photos):
        for y, x in held_out(*pixels.shape[:2]):
            yield pixels[y:y + SIDE, x:x + SIDE], label, f"{name}_{y}_{x}.png"


def sampler(photos, rng, size):
    """A function that gives a batch of training patches, mirrored at random."""
    corners = [held_out(*pixels.shape[:2]) for _, pixels in photos]

    def batch():
        patches = np.empty((size, SIDE, SIDE, 3), np.uint8)
        labels = rng.integers(len(photos), size=size)
        for i, label in enumerate(labels):
            pixels = photos[label][1]
            while True:
                y = int(rng.integers(pixels.shape[0] - SIDE + 1))
                x = int(rng.integers(pixels.shape[1] - SIDE + 1))
                if not touches(y, x, corners[label]):
                    break
            patch = pixels[y:y + SIDE, x:x + SIDE]
            patches[i] = patch[:, ::-1] if rng.random() < 0.5 else patch
        return tensor(patches), torch.from_numpy(labels)

    return batch


def tensor(patches):
    """Patches [n, h, w, 3] of bytes as [n, 3, h, w] in 0..1."""
    return torch.from_numpy(np.ascontiguousarray(patches)).permute(0, 3, 1, 2).float() / 255


class Scenes(torch.nn.Module):
    """Grey patches of even mean and contrast, so that texture has to tell photographs apart; four strided layers."""

    def __init__(self):
        super().__init__()
        sizes = [1, 24, 48, 96, 128]
        layers = []
        for before, after in zip(sizes, sizes[1:]):
            layers += [torch.nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
                       torch.nn.BatchNorm2d(after), torch.nn.ReLU()]
        self.features = torch.nn.Sequential(*layers)
        self.head = torch.nn.Linear(sizes[-1], CLASSES)
        self.register_buffer("luma", torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1))

    def forward(self, x):
        grey = (x * self.luma).sum(1, keepdim=True)
        grey = grey - grey.mean((2, 3), keepdim=True)
        grey = grey / ((grey * grey).mean((2, 3), keepdim=True).sqrt() + 0.02)
        return self.head(self.features(grey).mean((2, 3)))


CONFIG = {"picture": {"size": [SIDE, SIDE], "resize": "stretch"}}
