"""Published architectures in PyTorch at full size, with random weights under their authors' key names.

    python benches/published_twins.py save hyperprior checkpoint.pth.tar      # for codec models import
    python benches/published_twins.py time hyperprior checkpoint.pth.tar picture.png --threads 2

`time` prints one JSON line: milliseconds of the networks that encoding and decoding run (medians), and peak memory. Entropy coding
is not in it; ours is timed with it.
"""

import argparse
import json
import resource
import statistics
import time

import torch
import torch.nn.functional as F
from torch import nn


def same(inputs, outputs, kernel=3, stride=1):
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2)


def double(inputs, outputs):
    return nn.ConvTranspose2d(inputs, outputs, 5, 2, 2, 1)


class Gdn(nn.Module):
    def __init__(self, channels, inverse=False):
        super().__init__()
        self.inverse = inverse
        self.beta = nn.Parameter(torch.ones(channels))
        self.gamma = nn.Parameter((0.1 * torch.eye(channels)).sqrt())

    def forward(self, x):
        pedestal = 2.0**-36
        beta = self.beta.clamp_min((1e-6 + pedestal) ** 0.5) ** 2 - pedestal
        gamma = self.gamma.clamp_min(2.0**-18) ** 2 - pedestal
        root = F.conv2d(x * x, gamma[:, :, None, None], beta).sqrt()
        return x * root if self.inverse else x / root


class Bottleneck(nn.Module):
    def __init__(self, channels):
        super().__init__()
        widths = [1, 3, 3, 3, 3, 1]
        for i, (inputs, outputs) in enumerate(zip(widths, widths[1:])):
            self.register_parameter(f"_matrix{i}", nn.Parameter(torch.full((channels, outputs, inputs), -0.5)))
            self.register_parameter(f"_bias{i}", nn.Parameter(torch.rand(channels, outputs, 1) - 0.5))
            if i < 4:
                self.register_parameter(f"_factor{i}", nn.Parameter(torch.zeros(channels, outputs, 1)))
        self.quantiles = nn.Parameter(torch.tensor([-10.0, 0.0, 10.0]).repeat(channels, 1, 1))


class MeanScale(nn.Module):
    """mbt2018-mean."""

    pad = 64

    def __init__(self, n=128, m=192):
        super().__init__()
        half = lambda i, o: same(i, o, 5, 2)
        leaky = lambda: nn.LeakyReLU(0.01)
        self.g_a = nn.Sequential(half(3, n), Gdn(n), half(n, n), Gdn(n), half(n, n), Gdn(n), half(n, m))
        self.g_s = nn.Sequential(
            double(m, n), Gdn(n, True), double(n, n), Gdn(n, True), double(n, n), Gdn(n, True), double(n, 3)
        )
        self.h_a = nn.Sequential(same(m, n), leaky(), half(n, n), leaky(), half(n, n))
        self.h_s = nn.Sequential(double(n, m), leaky(), double(m, 3 * m // 2), leaky(), same(3 * m // 2, 2 * m))
        self.entropy_bottleneck = Bottleneck(n)

    def encode(self, x):
        y = self.g_a(x)
        z = self.h_a(y).round()
        scales, means = self.h_s(z).chunk(2, 1)
        return (y - means).round(), z, scales

    def decode(self, code):
        residual, z, _ = code
        _, means = self.h_s(z).chunk(2, 1)
        return self.g_s(residual + means).clamp(0, 1)


class Block(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        norm = lambda c: nn.GroupNorm(32, c, 1e-6)
        self.norm1, self.conv1 = norm(inputs), same(inputs, outputs)
        self.norm2, self.conv2 = norm(outputs), same(outputs, outputs)
        if inputs != outputs:
            self.nin_shortcut = same(inputs, outputs, 1)

    def forward(self, x):
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h)))
        return (self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x) + h


class Attention(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.norm = nn.GroupNorm(32, channels, 1e-6)
        self.q, self.k, self.v, self.proj_out = (same(channels, channels, 1) for _ in range(4))

    def forward(self, x):
        b, c, h, w = x.shape
        normed = self.norm(x)
        q, k, v = (layer(normed).flatten(2).transpose(1, 2) for layer in (self.q, self.k, self.v))
        seen = F.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None])[:, 0]
        return x + self.proj_out(seen.transpose(1, 2).reshape(b, c, h, w))


class Level(nn.Module):
    """Blocks of one resolution, each followed by attention where there is one, and a change of size."""

    def __init__(self, widths, attention, resample):
        super().__init__()
        self.block = nn.ModuleList(Block(i, o) for i, o in zip(widths, widths[1:]))
        self.attn = nn.ModuleList(Attention(o) for o in widths[1:]) if attention else nn.ModuleList()
        if resample:
            layer = nn.Conv2d(widths[-1], widths[-1], 3, 2) if resample == "downsample" else same(widths[-1], widths[-1])
            setattr(self, resample, nn.ModuleDict({"conv": layer}))

    def forward(self, h):
        for i, block in enumerate(self.block):
            h = block(h)
            if len(self.attn):
                h = self.attn[i](h)
        if hasattr(self, "downsample"):
            h = self.downsample["conv"](F.pad(h, (0, 1, 0, 1)))
        if hasattr(self, "upsample"):
            h = self.upsample["conv"](F.interpolate(h, scale_factor=2.0, mode="nearest"))
        return h


class Coder(nn.Module):
    """Encoder or decoder."""

    def __init__(self, encoder, ch, mult, blocks, attention, z):
        super().__init__()
        widths, last, deep = [ch * m for m in mult], len(mult) - 1, ch * mult[-1]
        self.encoder = encoder
        self.conv_in = same(3, ch) if encoder else same(z, deep)
        levels = []
        for level, width in enumerate(widths):
            if encoder:
                before, count, resample = ([ch] + widths)[level], blocks, "downsample" if level < last else None
            else:
                before, count, resample = widths[min(level + 1, last)], blocks + 1, "upsample" if level else None
            levels.append(Level([before] + [width] * count, level in attention, resample))
        setattr(self, "down" if encoder else "up", nn.ModuleList(levels))
        self.mid = nn.ModuleDict({"block_1": Block(deep, deep), "attn_1": Attention(deep), "block_2": Block(deep, deep)})
        out = deep if encoder else ch
        self.norm_out, self.conv_out = nn.GroupNorm(32, out, 1e-6), same(out, z if encoder else 3)

    def middle(self, h):
        return self.mid["block_2"](self.mid["attn_1"](self.mid["block_1"](h)))

    def forward(self, x):
        h = self.conv_in(x)
        if self.encoder:
            for level in self.down:
                h = level(h)
            h = self.middle(h)
        else:
            h = self.middle(h)
            for level in reversed(self.up):
                h = level(h)
        return self.conv_out(F.silu(self.norm_out(h)))


class Vqgan(nn.Module):
    """vqgan_imagenet_f16_1024."""

    pad = 16

    def __init__(self, ch=128, mult=(1, 1, 2, 2, 4), blocks=2, attention=(4,), z=256, codes=1024):
        super().__init__()
        self.encoder = Coder(True, ch, mult, blocks, attention, z)
        self.decoder = Coder(False, ch, mult, blocks, attention, z)
        self.quant_conv, self.post_quant_conv = same(z, z, 1), same(z, z, 1)
        self.quantize = nn.ModuleDict({"embedding": nn.Embedding(codes, z)})

    def encode(self, x):
        z = self.quant_conv(self.encoder(2 * x - 1))
        flat, codes = z.permute(0, 2, 3, 1).flatten(0, 2), self.quantize["embedding"].weight
        distance = flat.square().sum(1, keepdim=True) + codes.square().sum(1) - 2 * flat @ codes.T
        return distance.argmin(1), z.shape

    def decode(self, code):
        index, (b, c, h, w) = code
        quantized = self.quantize["embedding"](index).reshape(b, h, w, c).permute(0, 3, 1, 2)
        return self.decoder(self.post_quant_conv(quantized))


MODELS = {"hyperprior": MeanScale, "vqgan": Vqgan}


def median_ms(runs, warmup, call):
    times = []
    for run in range(warmup + runs):
        start = time.perf_counter()
        result = call()
        if run >= warmup:
            times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times), result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("action", choices=["save", "time"])
    parser.add_argument("model", choices=sorted(MODELS))
    parser.add_argument("checkpoint")
    parser.add_argument("picture", nargs="?")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--warmup", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    model = MODELS[args.model]().eval()
    if args.action == "save":
        torch.save({"state_dict": model.state_dict()}, args.checkpoint)
        return
    import numpy
    from PIL import Image

    model.load_state_dict(torch.load(args.checkpoint)["state_dict"])
    pixels = torch.from_numpy(numpy.array(Image.open(args.picture).convert("RGB"))).permute(2, 0, 1)[None] / 255
    height, width = pixels.shape[2:]
    pixels = F.pad(pixels, (0, -width % model.pad, 0, -height % model.pad))
    with torch.inference_mode():
        encode, code = median_ms(args.runs, args.warmup, lambda: model.encode(pixels))
        decode, _ = median_ms(args.runs, args.warmup, lambda: model.decode(code))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"model": args.model, "encode_ms": encode, "decode_ms": decode, "peak_mb": peak}))


if __name__ == "__main__":
    main()
