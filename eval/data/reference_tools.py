"""Prints the values of other programs in tests/validation.rs. Programs as in validate_images.py.

Run: pip install numpy pillow torch pytorch-msssim; python reference_tools.py
"""
import os, subprocess, tempfile
import numpy as np
import torch
from PIL import Image
from pytorch_msssim import ms_ssim


def noise(w, h, seed):
    x, y, c = np.meshgrid(np.arange(w), np.arange(h), np.arange(3), indexing="xy")
    n = (x * 7919 + y * 104729 + c * 1299709 + seed * 15485863) % 65521
    return (n * n) % 65521 % 64 - 32


def original(w, h):
    x, y, c = np.meshgrid(np.arange(w), np.arange(h), np.arange(3), indexing="xy")
    smooth = 78 + 100 * ((x * (3 + c) + y * 5) % 97) // 97
    return np.clip(smooth + noise(w, h, 1) // 8, 0, 255)


def noisy(a, strength):
    h, w, _ = a.shape
    return np.clip(a + (noise(w, h, 2) * strength) // 32, 0, 255)


def coarse(a, step):
    return np.minimum(a // step * step + step // 2, 255)


def smeared(a):
    """Each pixel with the one to its left."""
    b = a.copy()
    b[:, 1:] = (a[:, 1:] + a[:, :-1]) // 2
    return b


tool = os.environ.get("SSIMULACRA2", "ssimulacra2")
butteraugli = os.environ.get("BUTTERAUGLI", "butteraugli_reference")
a, odd = original(192, 176), original(177, 191)
for name, a, b in [
    ("noisy 4", a, noisy(a, 4)),
    ("noisy 32", odd, noisy(odd, 32)),
    ("coarse 24", a, coarse(a, 24)),
    ("smeared", odd, smeared(odd)),
]:
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, n) for n in ("a.png", "b.png")]
        for picture, path in zip((a, b), paths):
            Image.fromarray(picture.astype(np.uint8)).save(path)
        run = lambda *command: subprocess.run(command, check=True, capture_output=True).stdout.decode()
        raws = [path + ".raw" for path in paths]
        for picture, path in zip((a, b), raws):
            picture.astype(np.uint8).tofile(path)
        distances = run(butteraugli, str(a.shape[1]), str(a.shape[0]), *raws).split()
        t = lambda x: torch.from_numpy(x.astype(float)).permute(2, 0, 1)[None]
        print(
            name,
            10 * np.log10(255**2 / ((a - b) ** 2).mean()),
            float(ms_ssim(t(a), t(b), data_range=255)),
            float(run(tool, *paths)),
            float(distances[0]),
            float(distances[1]),
        )
