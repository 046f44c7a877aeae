"""Reference numbers for the losses: writes losses.json and losses-heads.pth beside this file.

Made with Python 3.11, numpy 2.4.6, torch 2.15.0 (CPU), torchvision 0.29.2, lpips 0.1.4, librosa 0.11.0.
Weights come from `noise`, so that no weights have to be committed.
"""
import json
import pathlib

import librosa
import lpips
import numpy as np
import torch
import torch.nn.functional as F
from torchvision import models

HERE = pathlib.Path(__file__).parent
torch.manual_seed(0)


def noise(shape, seed, low, high):
    """The linear congruential generator of src/losses/gradient_check.rs, by powers of its factor modulo 2^32."""
    count = int(np.prod(shape))
    with np.errstate(over="ignore"):
        powers = np.cumprod(np.full(count, 1664525, np.uint32), dtype=np.uint32)
        sums = np.cumsum(np.concatenate([[1], powers[:-1]]).astype(np.uint32), dtype=np.uint32)
        state = powers * np.uint32(seed) + sums * np.uint32(1013904223)
    unit = (state >> np.uint32(8)).astype(np.float32) / np.float32(16777216)
    values = np.float32(low) + (np.float32(high) - np.float32(low)) * unit
    return torch.from_numpy(values.reshape(shape))


# Sound

def mel_moment(htk, norm):
    bank = librosa.filters.mel(sr=24000, n_fft=512, n_mels=20, fmin=40.0, fmax=11000.0, htk=htk, norm=norm)
    flat = bank.astype(np.float64).ravel()
    return float((flat * (1 + np.arange(flat.size) % 97)).sum())


def spectrum(x, size):
    """Complex, [n, frames, bins]."""
    s = torch.stft(x, size, max(size // 4, 1), window=torch.hann_window(size, dtype=x.dtype), center=True,
                   pad_mode="reflect", return_complex=True)
    return s.transpose(1, 2)


def mel_loss(a, b, rate, windows, bands, htk, norm, floor, log):
    total = 0.0
    for size, count in zip(windows, bands):
        bank = torch.from_numpy(librosa.filters.mel(sr=rate, n_fft=size, n_mels=count, htk=htk, norm=norm)).double()
        log_mel = lambda x: log((spectrum(x, size).abs() @ bank.T).clamp(min=floor))
        total += (log_mel(a) - log_mel(b)).abs().mean()
    return float(total)


def multi_scale_stft(a, b):
    total = 0.0
    for size in (2048, 1024, 512):
        s, t = spectrum(a, size).abs(), spectrum(b, size).abs()
        convergence = ((s - t).flatten(1).norm(dim=1) / t.flatten(1).norm(dim=1)).mean()
        total += convergence + (s.clamp(min=1e-5).log() - t.clamp(min=1e-5).log()).abs().mean()
    return float(total / 3)


def loudness(output, target, rate=16000, bands=49, high=8000.0, level=106.0, asymmetry=1.0):
    """The disturbance of LoudnessLoss, written out band by band."""
    size = 2 * round(rate * 0.016)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    width = 7 * np.arcsinh(high / 650) / bands
    hertz = np.arange(size // 2 + 1) * rate / size

    def zwicker(power, threshold):
        return (2 * threshold) ** 0.23 * (np.maximum(0.5 + 0.5 * power / threshold, 1) ** 0.23 - 1)

    def threshold(f):
        k = f / 1000
        return 10 ** ((3.64 * k ** -0.8 - 6.5 * np.exp(-0.6 * (k - 3.3) ** 2) + 1e-3 * k ** 4) / 10)

    def density(x):
        x = np.pad(x, size // 2, mode="reflect")
        frames = np.stack([x[i:i + size] for i in range(0, len(x) - size + 1, size // 2)])
        power = np.abs(np.fft.rfft(frames * window)) ** 2 * 2 / (size * np.sum(window ** 2)) * 10 ** (level / 10)
        out = np.zeros((len(frames), bands))
        for k, f in enumerate(hertz):
            low, top = (7 * np.arcsinh(max(f + side * rate / size, 0) / 650) / width for side in (-0.5, 0.5))
            for band in range(int(low), min(int(np.ceil(top)), bands)):
                share = (min(top, band + 1) - max(low, band)) / (top - low)
                out[:, band] += power[:, k] * share / width
        return out

    p, q = density(output), density(target)
    thresholds = threshold(650 * np.sinh((np.arange(bands) + 0.5) * width / 7))
    sone = zwicker(1e4 / width, threshold(1000.0)) * width
    a, b = zwicker(p, thresholds) / sone, zwicker(q, thresholds) / sone
    d = a - b
    d = np.sign(d) * np.maximum(np.abs(d) - 0.25 * np.minimum(a, b), 0)
    symmetric = np.sqrt((d ** 2).mean(1)).mean() * width ** 0.5
    factor = np.minimum(((p + 50) / (q + 50)) ** 1.2, 12)
    added = (np.maximum(d, 0) * np.where(factor < 3, 0, factor)).mean()
    return bands * width * (0.1 * symmetric + asymmetry * 0.0309 * added)


# Discriminators, functional, with weights drawn in the order of the Rust fields

class Draw:
    def __init__(self):
        self.seed = 100

    def __call__(self, *shape):
        positive = all(d == 1 for d in shape[1:])
        low, high = (0.5, 1.0) if positive else (-0.5, 0.5)
        self.seed += 1
        return noise(shape, self.seed - 1, low, high)


def normed(draw, cin, cout, kernel, stride=(1, 1), dilation=(1, 1), groups=1):
    conv = torch.nn.Conv2d(cin, cout, kernel, stride, tuple(d * (k - 1) // 2 for d, k in zip(dilation, kernel)),
                           dilation, groups)
    conv = torch.nn.utils.parametrizations.weight_norm(conv)
    weight = conv.parametrizations.weight
    with torch.no_grad():
        weight.original1.copy_(draw(*weight.original1.shape))
        weight.original0.copy_(draw(*weight.original0.shape))
        conv.bias.copy_(draw(cout))
    return conv


def summary(parts):
    out = []
    for logits, features in parts:
        out += [logits.mean(), logits.square().mean(), sum(f.abs().mean() for f in features) / len(features)]
    return [float(v) for v in out]


def patch(norm, x, channels=4, layers=2):
    draw = Draw()
    x = 2 * x - 1
    x = F.leaky_relu(F.conv2d(x, draw(channels, 3, 4, 4), draw(channels), 2, 1), 0.2)
    features = [x]
    width = channels
    for i in range(1, layers + 1):
        out = channels * 2 ** min(i, 3)
        weight = draw(out, width, 4, 4)
        bias = draw(out) if norm == "none" else None
        x = F.conv2d(x, weight, bias, 1 if i == layers else 2, 1)
        if norm == "batch":
            x = F.batch_norm(x, None, None, draw(out), draw(out), training=True)
            draw(out), draw(out)  # running statistics
        elif norm == "instance":
            x = F.instance_norm(x, weight=draw(out), bias=draw(out))
        x = F.leaky_relu(x, 0.2)
        features.append(x)
        width = out
    return summary([(F.conv2d(x, draw(1, width, 4, 4), draw(1), 1, 1), features)])


def run(layers, last, x, slope):
    features = []
    for layer in layers:
        x = F.leaky_relu(layer(x), slope)
        features.append(x)
    logits = last(x)
    return logits, features + [logits]


def multi_period(x, periods=(2, 5), channels=2, most=16):
    draw, parts = Draw(), []
    for p in periods:
        widths = [1] + [min(channels * 4 ** i, most) for i in range(5)]
        layers = [normed(draw, widths[i], widths[i + 1], (5, 1), (3 if i < 4 else 1, 1)) for i in range(5)]
        last = normed(draw, widths[-1], 1, (3, 1))
        n, _, t = x.shape
        y = F.pad(x, (0, -t % p), mode="reflect")
        parts.append(run(layers, last, y.view(n, 1, -1, p), 0.1))
    return summary(parts)


def multi_scale(x, scales=2, c=16):
    draw, parts = Draw(), []
    plan = [(15, 1, 1, c), (41, 2, 4, c), (41, 2, 16, 2 * c), (41, 4, 16, 4 * c), (41, 4, 16, 8 * c),
            (41, 1, 16, 8 * c), (5, 1, 1, 8 * c)]
    for i in range(scales):
        width, layers = 1, []
        for kernel, stride, groups, out in plan:
            layers.append(normed(draw, width, out, (1, kernel), (1, stride), groups=groups))
            width = out
        if i:
            x = F.avg_pool1d(x, 4, 2, 2)
        parts.append(run(layers, normed(draw, width, 1, (1, 3)), x.unsqueeze(2), 0.1))
    return summary(parts)


def multi_resolution(x, borders, dilations, slope, normalized, windows=(64, 32), c=3):
    draw, parts = Draw(), []
    for size in windows:
        s = spectrum(x[:, 0], size)
        if normalized:
            s = s / torch.hann_window(size).square().sum().sqrt()
        s = torch.stack([s.real, s.imag], 1)
        bins = size // 2 + 1
        edges = [int(b * bins) for b in borders]
        features, outputs = [], []
        for low, high in zip(edges, edges[1:]):
            layers = [normed(draw, 2, c, (3, 9))]
            layers += [normed(draw, c, c, (3, 9), (1, 2), (d, 1)) for d in dilations]
            layers.append(normed(draw, c, c, (3, 3)))
            y = s[..., low:high]
            for layer in layers:
                y = F.leaky_relu(layer(y), slope)
                features.append(y)
            outputs.append(y)
        logits = normed(draw, c, 1, (3, 3))(torch.cat(outputs, -1))
        parts.append((logits, features + [logits]))
    return summary(parts)


# LPIPS, with the lpips package's own forward pass

def lpips_net(name):
    net = lpips.LPIPS(net=name, pretrained=False, pnet_rand=True, verbose=False)
    backbone = {"alex": models.alexnet, "vgg": models.vgg16, "squeeze": models.squeezenet1_1}[name](weights=None).features
    # The slices of the package hold the torchvision layers under their own indices.
    keys = list(backbone.state_dict())  # in the order of use, weights before biases
    slices = {k.split(".", 1)[1]: v for k, v in net.net.named_parameters()}
    shapes = {}
    with torch.no_grad():
        for i, key in enumerate(k for k in keys if k in slices):
            p = slices[key]
            if p.dim() == 4:
                bound = (6.0 / p[0].numel()) ** 0.5
                p.copy_(noise(p.shape, 1000 + i, -bound, bound))
            else:
                p.copy_(noise(p.shape, 1000 + i, -0.05, 0.05))
            shapes["features." + key] = list(p.shape)
        for i, lin in enumerate(net.lins):
            w = lin.model[-1].weight
            w.copy_(noise(w.shape, 2000 + i, 0.0, 1.0))
    assert sum(p.numel() for p in net.net.parameters()) == sum(int(np.prod(s)) for s in shapes.values())
    return net.eval()


def lpips_values(name):
    net = lpips_net(name)
    a, b = noise((2, 3, 67, 70), 51, 0.0, 1.0), noise((2, 3, 67, 70), 52, 0.0, 1.0)
    b[1] = a[1] * 0.9 + b[1] * 0.1
    b.requires_grad_(True)
    value = net(b, a, normalize=True)
    value.sum().backward()
    return [float(v) for v in value.flatten()] + [float(b.grad.abs().sum()), float(b.grad.sum())], net


def main():
    a, b = noise((2, 3000), 11, -0.5, 0.5).double(), noise((2, 3000), 12, -0.2, 0.2).double()
    x = noise((2, 1, 203), 41, -1.0, 1.0)
    pictures = noise((2, 3, 24, 32), 42, 0.0, 1.0)
    out = {
        "mel_bank": {
            "slaney_slaney": mel_moment(False, "slaney"),
            "htk_none": mel_moment(True, None),
            "htk_slaney": mel_moment(True, "slaney"),
        },
        "mel_loss": {
            "dac": mel_loss(a, b, 16000, [2 ** i for i in range(5, 12)], [5 * 2 ** i for i in range(7)], False,
                            "slaney", 1e-5, torch.log10),
            "vocoder": mel_loss(a, b, 24000, [1024], [100], True, None, 1e-7, torch.log),
        },
        "multi_scale_stft": multi_scale_stft(a, b),
        "loudness": {
            "louder": loudness(*(noise((3000,), seed, -v, v).double().numpy() for seed, v in ((11, 0.5), (12, 0.1)))),
            "softer": loudness(*(noise((3000,), seed, -v, v).double().numpy() for seed, v in ((12, 0.1), (11, 0.5)))),
        },
        "discriminator": {
            "patch_batch": patch("batch", pictures),
            "patch_instance": patch("instance", pictures),
            "patch_none": patch("none", pictures),
            "multi_period": multi_period(x),
            "multi_scale": multi_scale(x),
            "multi_resolution_dac": multi_resolution(x, [0, 0.1, 0.25, 0.5, 0.75, 1], [1, 1, 1], 0.1, False),
            "multi_resolution_encodec": multi_resolution(x, [0, 1], [1, 2, 4], 0.2, True),
        },
        "lpips": {},
    }
    for name in ("alex", "vgg", "squeeze"):
        out["lpips"][name], net = lpips_values(name)
        if name == "alex":
            heads = {k: v for k, v in net.state_dict().items() if k.startswith("lin") and not k.startswith("lins")}
            torch.save(heads, HERE / "losses-heads.pth")
    (HERE / "losses.json").write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
