"""Prints the reference values in the tests of codec-eval's picture metrics and feature distances.

Run: pip install numpy scipy torch torchvision lpips==0.1.4 dists-pytorch==0.1; python reference_images.py

LPIPS and DISTS are their authors' programs in f64 on the CPU, with random weights that the tests make by the same formula.
"""
import numpy as np
import scipy, scipy.linalg
import torch, torchvision

print("numpy", np.__version__, "scipy", scipy.__version__, "torch", torch.__version__)


def picture(w, h, seed):
    x, y, c = np.meshgrid(np.arange(w), np.arange(h), np.arange(3), indexing="xy")
    smooth = 78 + 100 * ((x * (3 + c) + y * 5) % 97) // 97
    n = (x * 7919 + y * 104729 + c * 1299709 + seed * 15485863) % 65521
    return smooth, (n * n) % 65521 % 64 - 32


def pair(w, h, amplitude):
    smooth, noise = picture(w, h, 1)
    _, more = picture(w, h, 2)
    a = np.clip(smooth + noise // 2, 0, 255)
    b = np.clip(a + (more * amplitude) // 32, 0, 255)
    return a.astype(float), b.astype(float)


def uniform(seed, count):
    """SplitMix64 of seed * 2^32 + i, upper 24 bits, in -1..1."""
    with np.errstate(over="ignore"):
        z = (np.arange(count, dtype=np.uint64) + np.uint64(seed << 32)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = (z ^ (z >> np.uint64(31))) >> np.uint64(40)
    return z.astype(float) / 2**23 - 1


def random(seed, shape, bound, offset=0.0):
    """Rounded to f32, as the weights in the tests are."""
    values = (uniform(seed, int(np.prod(shape))) * bound + offset).astype(np.float32)
    return torch.from_numpy(values.astype(float).reshape(shape))


# PSNR of luma, and of luma and chroma
Y = np.array([0.299, 0.587, 0.114])
M = np.array([Y, ([0, 0, 1] - Y) / 1.772, ([1, 0, 0] - Y) / 1.402])
for w, h, amplitude in [(192, 176, 10), (177, 191, 32), (256, 161, 100)]:
    a, b = pair(w, h, amplitude)
    mse = (((a - b) @ M.T) ** 2).mean((0, 1))
    p = 10 * np.log10(255**2 / mse)
    print("psnr", w, h, amplitude, repr(float(p[0])), repr(float((6 * p[0] + p[1] + p[2]) / 8)))


def fill(convolutions):
    for number, layer in convolutions:
        outputs, inputs, k, _ = layer.weight.shape
        layer.weight.data = random(2 * number, layer.weight.shape, np.sqrt(6 / (inputs * k * k)))
        layer.bias.data = random(2 * number + 1, (outputs,), 0.1)


def tensor(a):
    return torch.from_numpy(a).permute(2, 0, 1)[None] / 255


# The programs ask torchvision for pretrained networks.
build = {name: getattr(torchvision.models, name) for name in ("alexnet", "vgg16")}
torchvision.models.alexnet = lambda pretrained=False: build["alexnet"](weights=None)
torchvision.models.vgg16 = lambda pretrained=False: build["vgg16"](weights=None)
import lpips
from DISTS_pytorch.DISTS_pt import DISTS


def convolutions(module):
    """Number in `features` and layer."""
    found = []
    for name, layer in module.named_modules():
        if isinstance(layer, torch.nn.Conv2d) and ".model" not in name:
            found.append((int(name.split(".")[-1]), layer))
    return found


for net, sizes in [("alex", [(96, 64, 10), (77, 83, 60)]), ("vgg", [(64, 48, 10), (49, 51, 60)])]:
    model = lpips.LPIPS(net=net, pretrained=False, pnet_rand=True, verbose=False).double()
    fill(convolutions(model.net))
    for i, lin in enumerate(model.lins):
        weight = lin.model[-1].weight
        weight.data = random(100 + i, weight.shape, 0.1, 0.1)
    for w, h, amplitude in sizes:
        a, b = pair(w, h, amplitude)
        with torch.no_grad():
            print("lpips", net, w, h, amplitude, repr(float(model(tensor(a), tensor(b), normalize=True))))

model = DISTS(load_weights=False).double()
fill(convolutions(model))
model.alpha.data = random(200, model.alpha.shape, 0.1, 0.1)
model.beta.data = random(201, model.beta.shape, 0.1, 0.1)
for w, h, amplitude in [(64, 48, 10), (49, 51, 60)]:
    a, b = pair(w, h, amplitude)
    print("dists", w, h, amplitude, repr(float(model(tensor(a), tensor(b)))))


# Distances of features
def features(seed, n, d):
    """Correlated, with means of their own."""
    x = uniform(seed, n * d).reshape(n, d).astype(np.float32).astype(float)
    return x + 0.5 * np.roll(x, 1, axis=1) + 0.1 * np.arange(d) * (seed % 3)


def frechet(a, b):
    ca, cb = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = scipy.linalg.sqrtm(ca @ cb)
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(ca) + np.trace(cb) - 2 * np.trace(root.real))


def kernel(a, b):
    k = lambda x, y: (x @ y.T / x.shape[1] + 1) ** 3
    aa, bb, ab = k(a, a), k(b, b), k(a, b)
    n, m = len(a), len(b)
    return float((aa.sum() - np.trace(aa)) / (n * (n - 1)) + (bb.sum() - np.trace(bb)) / (m * (m - 1)) - 2 * ab.mean())


for n, m, d in [(40, 50, 6), (300, 200, 24), (8, 9, 12)]:
    a, b = features(301, n, d), features(302, m, d)
    print("features", n, m, d, repr(frechet(a, b)), repr(kernel(a, b)))
