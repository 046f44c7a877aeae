"""The networks of codec-image/src/models/wpmr in PyTorch, to compare training speed on one machine.

Written from our own Rust code. Layers, shapes, loss and optimizer are the same; weights, random numbers and the last
digits are not. Prints one JSON object: crops per second, parameters, versions. See README.md beside it.
"""

import argparse
import json
import math
import platform
import resource
import time

import torch
import torch.nn.functional as F
from torch import nn

BANDS, LATENTS, PASSES, PASS_LATENTS = 192, 768, 4, 192
LOW, LOW_LATENTS, STEPS, KNOTS = 3, 12, 201, 9
LAMBDA_MIN, LAMBDA_MAX = 0.0005, 0.25
# The defaults of `WpmrConfig`; `--model` changes them.
SIZES = {
    "analysis_width": 96,
    "analysis_refine_width": 192,
    "analysis_refine_blocks": 1,
    "synthesis_refine_width": 224,
    "synthesis_refine_blocks": 2,
    "synthesis_width": 128,
    "synthesis_blocks": 2,
    "hyper_analysis_width": 96,
    "hyper_latents": 48,
    "hyper_width": 96,
    "entry_width": 96,
    "context_width": 160,
}
LIFT = (-1.5861343, -0.05298012, 0.8829111, 0.44350685)
SCALE = 1.1496044
ERROR_BITS = 3.5 * 0.7225 * 26.0 / 3.0


# Wavelet packets (CDF 9/7 by lifting, whole-sample symmetric).


def _split(x, dim):
    even, odd = x.unflatten(dim, (-1, 2)).unbind(dim + 1 if dim >= 0 else dim)
    n = even.shape[dim]
    after = lambda e: torch.cat([e.narrow(dim, 1, n - 1), e.narrow(dim, n - 1, 1)], dim)
    before = lambda o: torch.cat([o.narrow(dim, 0, 1), o.narrow(dim, 0, n - 1)], dim)
    odd = odd + LIFT[0] * (even + after(even))
    even = even + LIFT[1] * (odd + before(odd))
    odd = odd + LIFT[2] * (even + after(even))
    even = even + LIFT[3] * (odd + before(odd))
    return even * SCALE, odd * (-1 / SCALE)


def _merge(low, high, dim):
    even, odd = low * (1 / SCALE), high * -SCALE
    n = even.shape[dim]
    after = lambda e: torch.cat([e.narrow(dim, 1, n - 1), e.narrow(dim, n - 1, 1)], dim)
    before = lambda o: torch.cat([o.narrow(dim, 0, 1), o.narrow(dim, 0, n - 1)], dim)
    even = even - LIFT[3] * (odd + before(odd))
    odd = odd - LIFT[2] * (even + after(even))
    even = even - LIFT[1] * (odd + before(odd))
    odd = odd - LIFT[0] * (even + after(even))
    return torch.stack([even, odd], dim + 1).flatten(dim, dim + 1)


def analyse(x, levels):
    for _ in range(levels):
        bands = [band for half in _split(x, 3) for band in _split(half, 2)]
        x = torch.stack(bands, 2).flatten(1, 2)
    return x


def synthesise(x, levels):
    for _ in range(levels):
        a, b, c, d = x.unflatten(1, (-1, 4)).unbind(2)
        x = _merge(_merge(a, b, 2), _merge(c, d, 2), 3)
    return x


def space_to_depth(x):
    n, c, h, w = x.shape
    return x.view(n, c, h // 2, 2, w // 2, 2).permute(0, 3, 5, 1, 2, 4).reshape(n, 4 * c, h // 2, w // 2)


def depth_to_space(x):
    n, c, h, w = x.shape
    return x.reshape(n, 2, 2, c // 4, h, w).permute(0, 3, 4, 1, 5, 2).reshape(n, c // 4, 2 * h, 2 * w)


def fold(x):
    return torch.cat([analyse(x[:, :LOW], 1), space_to_depth(x[:, LOW:])], 1)


def unfold(y):
    return torch.cat([synthesise(y[:, :LOW_LATENTS], 1), depth_to_space(y[:, LOW_LATENTS:])], 1)


# Small parts.


def compand(x):
    return x.clamp(-4, 4) * (24 / 64) + x.clamp(-20, 20) * (7 / 64) + x.clamp(-272, 272) * (1 / 64)


def with_plane(x, values):
    n, _, h, w = x.shape
    return torch.cat([x, values.view(n, 1, 1, 1).expand(n, 1, h, w)], 1)


def ste_round(x):
    return x + (x + 0.5).floor().sub(x).detach()


def fake_quant(x, multiplier, lo, hi):
    inside = x.clamp(lo / multiplier, hi / multiplier)
    return inside + ((x * multiplier + 0.5).floor().clamp(lo, hi) / multiplier - inside).detach()


def gaussian_bits(y, mean, index):
    scale = torch.exp(math.log(0.11) + index.clamp(0, 63) * (math.log(256 / 0.11) / 63))
    v = (y - mean).abs()
    tail = lambda x: 0.5 * torch.erfc(x * (-1 / math.sqrt(2)))
    likelihood = tail((0.5 - v) / scale) - tail((-0.5 - v) / scale)
    return -likelihood.clamp_min(1e-9).log2()


@torch.no_grad()
def optimized(residual, index):
    near = (residual + 0.5).floor()
    lower = near - near.sign()
    zero = torch.zeros_like(near)
    cost = lambda s: (residual - s).square() * ERROR_BITS + gaussian_bits(s, zero, (index + 0.5).floor())
    return torch.where(cost(lower) < cost(near), lower, near)


def conv(inputs, outputs, kernel, gain=1.0):
    layer = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
    nn.init.normal_(layer.weight, 0, gain * math.sqrt(2 / (inputs * kernel * kernel)))
    nn.init.zeros_(layer.bias)
    return layer


class QuantConv(nn.Module):
    """A layer that is exported in integers: clamped in floats, rounded when `integer` is set."""

    def __init__(self, inputs, outputs, kernel, lo=0, hi=255, fraction=4, gain=1.0, init=1.0, bias=0.0, depthwise=False):
        super().__init__()
        groups = inputs if depthwise else 1
        fan = inputs // groups * kernel * kernel
        self.weight = nn.Parameter(torch.randn(outputs, inputs // groups, kernel, kernel) * (init / gain * math.sqrt(2 / fan)))
        self.bias = nn.Parameter(torch.full((outputs,), bias / gain))
        self.lo, self.hi, self.unit, self.gain, self.groups = lo, hi, 2.0**fraction, gain, groups
        self.padding = kernel // 2

    def forward(self, x, integer):
        weight, bias = self.weight, self.bias
        if self.gain != 1:
            weight, bias = weight * self.gain, bias * self.gain
        if integer:
            with torch.no_grad():
                most = weight.abs().amax((1, 2, 3), keepdim=True).clamp_min(1e-9)
                power = torch.exp2(torch.floor(torch.log2(127 / most)).clamp(0, 18))
                rounded = (weight * power).round().clamp(-127, 127) / power
                units = power.flatten() * 16
                rounded_bias = (bias * units).round() / units
            weight = weight + (rounded - weight).detach()
            bias = bias + (rounded_bias - bias).detach()
        y = F.conv2d(x, weight, bias, padding=self.padding, groups=self.groups)
        if integer:
            return fake_quant(y, self.unit, self.lo, self.hi)
        return y.clamp(self.lo / self.unit, self.hi / self.unit)


class Linear(nn.Module):
    def __init__(self, start):
        super().__init__()
        self.start = nn.Parameter(start.view(BANDS, BANDS, 1, 1), requires_grad=False)
        self.delta = nn.Parameter(torch.zeros(BANDS, BANDS, 1, 1))
        self.bias = nn.Parameter(torch.zeros(BANDS))

    def forward(self, x):
        return F.conv2d(x, self.start + self.delta * 0.02, self.bias)


class Block(nn.Module):
    def __init__(self, width, gain):
        super().__init__()
        self.spatial, self.mix = conv(width, width, 3), conv(width, width, 1, gain)

    def forward(self, x):
        return x + self.mix(F.relu(self.spatial(x)))


class Refine(nn.Module):
    def __init__(self, width, blocks):
        super().__init__()
        self.input, self.hidden = conv(LATENTS + 1, width, 1), conv(width, width, 3)
        self.blocks = nn.Sequential(*(Block(width, 0.0) for _ in range(blocks)))
        self.output = conv(width, LATENTS, 1, 0.0)

    def forward(self, x, t):
        h = F.relu(self.input(with_plane(compand(x), t)))
        return x + self.output(self.blocks(F.relu(self.hidden(h))))


class Analysis(nn.Module):
    def __init__(self, start):
        super().__init__()
        self.linear = Linear(start)
        width = SIZES["analysis_width"]
        self.input, self.hidden = conv(BANDS + 1, width, 1), conv(width, width, 3)
        self.output = conv(width, BANDS, 1, 0.0)
        self.refine = Refine(SIZES["analysis_refine_width"], SIZES["analysis_refine_blocks"])

    def forward(self, x, eighth, steps, t):
        linear = self.linear(x)
        h = F.relu(self.input(with_plane(compand(linear / eighth), t)))
        shaped = self.output(F.relu(self.hidden(h)))
        return self.refine(fold(linear) / steps + fold(shaped), t)


class Synthesis(nn.Module):
    def __init__(self, start):
        super().__init__()
        self.linear = Linear(start)
        width = SIZES["synthesis_width"]
        self.input, self.output = conv(BANDS + 1, width, 1), conv(width, BANDS, 1, 0.0)
        self.blocks = nn.Sequential(*(Block(width, 0.3) for _ in range(SIZES["synthesis_blocks"])))
        self.refine = Refine(SIZES["synthesis_refine_width"], SIZES["synthesis_refine_blocks"])

    def forward(self, latents, steps, base, t):
        latents = self.refine(latents, t)
        h = F.relu(self.input(with_plane(compand(unfold(latents)), t)))
        return self.linear(unfold(latents * steps)) + self.output(self.blocks(h)) * base


class Prior(nn.Module):
    """Factorized prior of Balle et al. 2018."""

    FILTERS = (1, 3, 3, 3, 3, 1)

    def __init__(self, channels):
        super().__init__()
        self.channels = channels
        scale = 6.0 ** (1 / 5)
        self.matrices, self.biases, self.factors = nn.ParameterList(), nn.ParameterList(), nn.ParameterList()
        for i, (a, b) in enumerate(zip(self.FILTERS, self.FILTERS[1:])):
            self.matrices.append(torch.full((channels, b, a), math.log(math.expm1(1 / scale / b))))
            self.biases.append(torch.rand(channels, b, 1) - 0.5)
            if i < 4:
                self.factors.append(torch.zeros(channels, b, 1))

    def logits(self, x):
        for i, (matrix, bias) in enumerate(zip(self.matrices, self.biases)):
            x = torch.matmul(F.softplus(matrix), x) + bias
            if i < 4:
                x = x + torch.tanh(self.factors[i]) * torch.tanh(x)
        return x

    def bits(self, z):
        flat = z.transpose(0, 1).reshape(self.channels, 1, -1)
        lower, upper = self.logits(flat - 0.5), self.logits(flat + 0.5)
        sign = -torch.sign(lower + upper).detach()
        likelihood = (torch.sigmoid(sign * upper) - torch.sigmoid(sign * lower)).abs()
        return -likelihood.clamp_min(1e-9).log2()


class Pass(nn.Module):
    def __init__(self, number):
        super().__init__()
        seen = number * PASS_LATENTS
        entry, hyper, width = SIZES["entry_width"], SIZES["hyper_width"], SIZES["context_width"]
        self.entry = QuantConv(seen, entry, 1, init=2.0) if number else None
        self.spatial = QuantConv((entry if number else 0) + hyper, width, 3)
        self.hidden = QuantConv(width, width, 1)
        self.mean = QuantConv(width + seen, PASS_LATENTS, 1, lo=-8191, hi=8191, init=0.1)
        self.scale = QuantConv(width + seen, PASS_LATENTS, 1, hi=63, fraction=0, gain=8.0, init=2.0, bias=12.0)
        if number:
            self.signed = QuantConv(seen, seen, 3, lo=-127, hi=127, depthwise=True)
            self.magnitude = QuantConv(seen, seen, 3, depthwise=True)

    def forward(self, features, seen, integer):
        h = features if seen is None else torch.cat([self.entry(seen, integer), features], 1)
        h = self.hidden(self.spatial(h, integer), integer)
        for_mean = for_scale = h
        if seen is not None:
            for_mean = torch.cat([h, self.signed(seen, integer)], 1)
            for_scale = torch.cat([h, self.magnitude(seen.abs(), integer)], 1)
        return self.mean(for_mean, integer), self.scale(for_scale, integer)


class Wpmr(nn.Module):
    def __init__(self):
        super().__init__()
        start, _ = torch.linalg.qr(torch.randn(BANDS, BANDS))
        self.analysis, self.synthesis = Analysis(start), Synthesis(start.t().contiguous())
        width, hyper, z = SIZES["hyper_analysis_width"], SIZES["hyper_width"], SIZES["hyper_latents"]
        self.hyper_input, self.hyper_hidden = conv(LATENTS + 1, width, 1), conv(width, width, 3)
        self.hyper_output = conv(4 * width, z, 1)
        self.prior = Prior(z)
        self.input = QuantConv(z + 1, hyper, 3, init=1.5)
        self.expand, self.output = QuantConv(hyper, 4 * hyper, 1), QuantConv(hyper, hyper, 3)
        self.passes = nn.ModuleList(Pass(i) for i in range(PASSES))
        self.knots = nn.Parameter(torch.zeros(KNOTS, STEPS))
        rest = BANDS - LOW
        index = [i if i < LOW_LATENTS else LOW_LATENTS + (i - LOW_LATENTS) % rest for i in range(LATENTS)]
        eighth = [4 * i if i < LOW else LOW_LATENTS + i - LOW for i in range(BANDS)]
        places = []
        for p, start_at in enumerate((0, 3, 1, 2)):
            places.append([4 * c + p for c in range(LOW)])
            places[-1] += [LOW_LATENTS + (start_at ^ ((j + LOW) % 4)) * rest + j for j in range(rest)]
        flat = [place for p in places for place in p]
        inverse = sorted(range(LATENTS), key=flat.__getitem__)
        for name, value in (("index", index), ("eighth", eighth), ("places", places), ("inverse", inverse)):
            self.register_buffer(name, torch.tensor(value))

    def forward(self, pixels, t, lambdas, rounding, integer):
        centred = 2 * t - 1
        base = 0.85 * torch.sqrt(26 / lambdas)
        hats = (1 - (t[:, None] * (KNOTS - 1) - torch.arange(KNOTS, device=t.device)).abs()).clamp_min(0)
        table = torch.exp(hats @ self.knots * 0.5 + base.log()[:, None])
        steps, eighth = table[:, self.index, None, None], table[:, self.eighth, None, None]

        latents = self.analysis(analyse(pixels * 255 - 127.5, 3), eighth, steps, centred)
        h = F.relu(self.hyper_input(with_plane(compand(latents), centred)))
        h = self.hyper_output(space_to_depth(F.relu(self.hyper_hidden(h))))
        z = h.clamp(-31, 31)
        bits = self.prior.bits(z + torch.rand_like(z) - 0.5).view(z.shape[1], z.shape[0], -1).sum((0, 2))
        h = self.input(with_plane(ste_round(z) * 0.25, t), integer)
        features = self.output(depth_to_space(self.expand(h, integer)), integer)

        seen, decoded = None, []
        for number, network in enumerate(self.passes):
            y = latents[:, self.places[number]]
            mean, scale = network(features, seen, integer)
            residual = y - mean
            if rounding != "noise":
                symbols = residual + (optimized(residual.detach(), scale.detach()) - residual).detach()
            else:
                symbols = ste_round(residual)
            quantized = symbols + mean
            if rounding == "mixed":
                exact = gaussian_bits(quantized.detach(), mean, scale)
                noisy = gaussian_bits(y + torch.rand_like(y) - 0.5, mean.detach(), scale.detach())
                cost = exact + noisy - noisy.detach()
            else:
                coded = y + torch.rand_like(y) - 0.5 if rounding == "noise" else quantized
                cost = gaussian_bits(coded, mean, scale)
            bits = bits + cost.flatten(1).sum(1)
            if number + 1 < PASSES:
                context = compand(quantized)
                if integer:
                    context = fake_quant(context, 16.0, -127.0, 127.0)
                seen = context if seen is None else torch.cat([seen, context], 1)
            decoded.append(quantized)
        latents = torch.cat(decoded, 1)[:, self.inverse]
        coefficients = self.synthesis(latents, steps, base.view(-1, 1, 1, 1), centred)
        error = (synthesise(coefficients, 3) + 127.5) - pixels * 255
        mse = error.square().flatten(1).mean(1)
        rate = bits / (pixels.shape[2] * pixels.shape[3])
        weights = (0.02 / lambdas) ** 0.45 / pixels.shape[0]
        return ((rate + lambdas * mse) * weights).sum()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--model", type=json.loads, default={}, help="sizes other than the defaults, as JSON")
    parser.add_argument("--rounding", default="noise", choices=["noise", "mixed", "optimized"])
    parser.add_argument("--precision", default="float", choices=["float", "integer"])
    parser.add_argument("--frozen", action="store_true", help="the encoder and the steps are constants")
    parser.add_argument("--patch", type=int, default=192)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--warmup", type=int, default=3)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--tf32", action="store_true", help="allow TF32 on CUDA (ours does not use it)")
    parser.add_argument("--parameters", action="store_true", help="only count parameters")
    args = parser.parse_args()
    SIZES.update({key: value for key, value in args.model.items() if key in SIZES})
    torch.set_num_threads(args.threads)
    torch.manual_seed(7)
    torch.backends.cuda.matmul.allow_tf32 = args.tf32
    torch.backends.cudnn.allow_tf32 = args.tf32
    torch.backends.cudnn.benchmark = True
    patch, batch = args.patch, args.batch

    model = Wpmr()
    count = sum(p.numel() for p in model.parameters())
    if args.parameters:
        print(json.dumps({"parameters": count}))
        return
    if args.frozen:
        for part in (model.analysis, model.hyper_input, model.hyper_hidden, model.hyper_output):
            part.requires_grad_(False)
        model.knots.requires_grad_(False)
    model.to(args.device)
    if args.channels_last:
        model.to(memory_format=torch.channels_last)
    learned = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(learned, lr=1e-4, eps=1e-5, fused=True)
    average = [p.detach().clone() for p in model.parameters()]
    forward = torch.compile(model) if args.compile else model
    pool = torch.rand(64, 3, patch, patch)

    def step(k):
        pixels = pool[torch.arange(k * batch, (k + 1) * batch) % len(pool)].to(args.device)
        if args.channels_last:
            pixels = pixels.contiguous(memory_format=torch.channels_last)
        t = (torch.arange(batch, device=args.device) + 0.5) / batch
        lambdas = LAMBDA_MIN * (LAMBDA_MAX / LAMBDA_MIN) ** t
        loss = forward(pixels, t, lambdas, args.rounding, args.precision == "integer")
        value = loss.item()
        assert math.isfinite(value), value
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(learned, 1.0)
        optimizer.step()
        torch._foreach_lerp_(average, [p.detach() for p in model.parameters()], 1e-3)
        return value

    for k in range(args.warmup):
        step(k)
    if args.device == "cuda":
        torch.cuda.synchronize()
    began, cpu = time.perf_counter(), time.process_time()
    for k in range(args.steps):
        step(args.warmup + k)
    if args.device == "cuda":
        torch.cuda.synchronize()
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(
        json.dumps(
            {
                "what": "wpmr twin",
                "torch": torch.__version__,
                "python": platform.python_version(),
                "device": torch.cuda.get_device_name() if args.device == "cuda" else "cpu",
                "threads": args.threads,
                "rounding": args.rounding,
                "precision": args.precision,
                "frozen": args.frozen,
                "patch": patch,
                "batch": batch,
                "steps": args.steps,
                "compile": args.compile,
                "channels_last": args.channels_last,
                "tf32": args.tf32,
                "parameters": count,
                "seconds": round(wall, 3),
                "cpu_seconds": round(cpu, 3),
                "crops_per_second": round(args.steps * batch / wall, 3),
                "peak_bytes": torch.cuda.max_memory_allocated() if args.device == "cuda" else peak,
            }
        )
    )


if __name__ == "__main__":
    main()
