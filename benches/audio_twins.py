"""Published audio codecs in PyTorch, with random weights under their authors' key names.

    python benches/audio_twins.py save encodec-24k encodec.th                 # for codec models import
    python benches/audio_twins.py time encodec-24k encodec.th --seconds 10 --threads 2
    python benches/audio_twins.py case encodec-48k-small FOLDER/encodec_48k   # a parity case of a small variant

`time` prints one JSON line: milliseconds of the networks that encoding and decoding run (medians), and peak memory. Entropy coding
is not in it.
"""

import argparse
import json
import math
import os
import resource
import statistics
import time

import torch
import torch.nn.functional as F
from torch import nn


def weight_norm(layer):
    return nn.utils.parametrizations.weight_norm(layer)


class Named(nn.Module):
    """A module under one more name."""

    def __init__(self, **parts):
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)


class SConv(nn.Module):
    def __init__(self, c, inputs, outputs, kernel, stride=1, dilation=1):
        super().__init__()
        conv = nn.Conv1d(inputs, outputs, kernel, stride, dilation=dilation)
        group = c["norm"] == "time_group_norm"
        self.conv = Named(conv=conv, norm=nn.GroupNorm(1, outputs)) if group else Named(conv=weight_norm(conv))
        self.group, self.causal, self.stride, self.span = group, c["causal"], stride, (kernel - 1) * dilation + 1

    def forward(self, x):
        total = self.span - self.stride
        extra = math.ceil(x.shape[-1] / self.stride) * self.stride - x.shape[-1]
        right = 0 if self.causal else total // 2
        sides = (total - right, right + extra)
        lacking = max(0, max(sides) + 1 - x.shape[-1])
        x = F.pad(F.pad(x, (0, lacking)), sides, "reflect")
        x = self.conv.conv(x[..., : x.shape[-1] - lacking])
        return self.conv.norm(x) if self.group else x


class SConvTranspose(nn.Module):
    def __init__(self, c, inputs, outputs, stride):
        super().__init__()
        conv = nn.ConvTranspose1d(inputs, outputs, 2 * stride, stride)
        group = c["norm"] == "time_group_norm"
        self.convtr = Named(convtr=conv, norm=nn.GroupNorm(1, outputs)) if group else Named(convtr=weight_norm(conv))
        self.group, self.causal, self.stride = group, c["causal"], stride

    def forward(self, x):
        x = self.convtr.convtr(x)
        x = self.convtr.norm(x) if self.group else x
        right = self.stride if self.causal else self.stride // 2
        left = self.stride - right
        return x[..., left : x.shape[-1] - right]


class Block(nn.Module):
    def __init__(self, c, width, dilation):
        super().__init__()
        inside = width // c["compress"]
        self.block = nn.Sequential(
            nn.ELU(), SConv(c, width, inside, c["residual_kernel_size"], 1, dilation), nn.ELU(), SConv(c, inside, width, 1)
        )
        if not c["true_skip"]:
            self.shortcut = SConv(c, width, width, 1)

    def forward(self, x):
        return (self.shortcut(x) if hasattr(self, "shortcut") else x) + self.block(x)


class Memory(nn.Module):
    def __init__(self, width, layers):
        super().__init__()
        self.lstm = nn.LSTM(width, width, layers)

    def forward(self, x):
        x = x.permute(2, 0, 1)
        return (self.lstm(x)[0] + x).permute(1, 2, 0)


def blocks(c, width):
    return [Block(c, width, c["dilation_base"] ** i) for i in range(c["n_residual_layers"])]


def seanet_encoder(c):
    width = c["n_filters"]
    layers = [SConv(c, c["channels"], width, c["kernel_size"])]
    for ratio in reversed(c["ratios"]):
        layers += blocks(c, width) + [nn.ELU(), SConv(c, width, 2 * width, 2 * ratio, ratio)]
        width *= 2
    layers += [Memory(width, c["lstm"])] if c["lstm"] else []
    return nn.Sequential(*layers, nn.ELU(), SConv(c, width, c["dimension"], c["last_kernel_size"]))


def seanet_decoder(c):
    width = c["n_filters"] << len(c["ratios"])
    layers = [SConv(c, c["dimension"], width, c["kernel_size"])]
    layers += [Memory(width, c["lstm"])] if c["lstm"] else []
    for ratio in c["ratios"]:
        layers += [nn.ELU(), SConvTranspose(c, width, width // 2, ratio)]
        width //= 2
        layers += blocks(c, width)
    return nn.Sequential(*layers, nn.ELU(), SConv(c, width, c["channels"], c["last_kernel_size"]))


class Ema(nn.Module):
    def __init__(self, codes, width):
        super().__init__()
        rows = torch.randn(codes, width) * 0.5
        self.register_buffer("inited", torch.ones(1))
        self.register_buffer("cluster_size", torch.rand(codes) * 5)
        self.register_buffer("embed", rows)
        self.register_buffer("embed_avg", rows * self.cluster_size[:, None])

    def forward(self, rows):
        energies = rows.pow(2).sum(1, keepdim=True) - 2 * rows @ self.embed.t() + self.embed.pow(2).sum(1)
        return energies.argmin(1)


class Encodec(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        self.encoder = Named(model=seanet_encoder(c))
        self.decoder = Named(model=seanet_decoder(c))
        stages = [Named(_codebook=Ema(c["bins"], c["dimension"])) for _ in range(c["n_q"])]
        self.quantizer = Named(vq=Named(layers=nn.ModuleList(stages)))

    def encode(self, x, count=None):
        x = self.encoder.model(x)
        rows, codes = x.transpose(1, 2).reshape(-1, x.shape[1]), []
        for stage in list(self.quantizer.vq.layers)[:count]:
            codes.append(stage._codebook(rows))
            rows = rows - stage._codebook.embed[codes[-1]]
        return x, torch.stack(codes).view(len(codes), x.shape[0], -1).transpose(0, 1)

    def features(self, codes):
        stages = zip(self.quantizer.vq.layers, codes.unbind(1))
        return sum(stage._codebook.embed[codes] for stage, codes in stages).transpose(1, 2)

    def decode(self, codes):
        return self.decoder.model(self.features(codes))

    def state(self):
        return self.state_dict()

    def inputs(self, seconds):
        return torch.randn(1, self.c["channels"], int(seconds * self.c["sample_rate"])) * 0.1

    def case(self):
        out = {}
        for prefix, length, bandwidth in [("", 0.31, -1), ("low.", 0.1003, 0), ("short.", 0.0011, -1)]:
            x, bandwidth = self.inputs(length), self.c["target_bandwidths"][bandwidth]
            rate = math.log2(self.c["bins"]) * math.ceil(self.c["sample_rate"] / math.prod(self.c["ratios"]))
            count = max(1, min(self.c["n_q"], int(bandwidth * 1000 // rate)))
            out |= {prefix + "audio": x, prefix + "bandwidth_kbps": torch.tensor([bandwidth])}
            scale = x.mean(1, keepdim=True).pow(2).mean(2, keepdim=True).sqrt() + 1e-8
            scale = scale if self.c["normalize"] else torch.ones_like(scale)
            features, codes = self.encode(x / scale, count)
            out |= {prefix + "encoder.out": features, prefix + "codes": codes, prefix + "quantized": self.features(codes)}
            out[prefix + "audio_out"] = self.decode(codes) * scale
        return out


class Snake(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.alpha = nn.Parameter(1 + 0.3 * torch.randn(1, channels, 1))

    def forward(self, x):
        return x + (self.alpha * x).sin().pow(2) / (self.alpha + 1e-9)


def unit(width, dilation):
    return Unit(
        Snake(width),
        weight_norm(nn.Conv1d(width, width, 7, dilation=dilation, padding=3 * dilation)),
        Snake(width),
        weight_norm(nn.Conv1d(width, width, 1)),
    )


class Unit(nn.Module):
    def __init__(self, *layers):
        super().__init__()
        self.block = nn.Sequential(*layers)

    def forward(self, x):
        y = self.block(x)
        lost = (x.shape[-1] - y.shape[-1]) // 2
        return (x[..., lost:-lost] if lost else x) + y


class Stage(nn.Module):
    def __init__(self, *layers):
        super().__init__()
        self.block = nn.Sequential(*layers)

    def forward(self, x):
        return self.block(x)


class Dac(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c, width = c, c["encoder_dim"]
        layers = [weight_norm(nn.Conv1d(1, width, 7, padding=3))]
        for rate in c["encoder_rates"]:
            down = weight_norm(nn.Conv1d(width, 2 * width, 2 * rate, rate, math.ceil(rate / 2)))
            layers.append(Stage(unit(width, 1), unit(width, 3), unit(width, 9), Snake(width), down))
            width *= 2
        latent = c["latent_dim"]
        layers += [Snake(width), weight_norm(nn.Conv1d(width, latent, 3, padding=1))]
        self.encoder = Stage(*layers)
        width = c["decoder_dim"]
        layers = [weight_norm(nn.Conv1d(latent, width, 7, padding=3))]
        for rate in c["decoder_rates"]:
            up = weight_norm(nn.ConvTranspose1d(width, width // 2, 2 * rate, rate, math.ceil(rate / 2)))
            width //= 2
            layers.append(Stage(Snake(2 * width), up, unit(width, 1), unit(width, 3), unit(width, 9)))
        layers += [Snake(width), weight_norm(nn.Conv1d(width, 1, 7, padding=3)), nn.Tanh()]
        self.decoder = Named(model=nn.Sequential(*layers))
        size, narrow = c["codebook_size"], c["codebook_dim"]
        self.quantizer = Named(quantizers=nn.ModuleList(
            Named(
                in_proj=weight_norm(nn.Conv1d(latent, narrow, 1)),
                codebook=nn.Embedding(size, narrow),
                out_proj=weight_norm(nn.Conv1d(narrow, latent, 1)),
            ) for _ in range(c["n_codebooks"])
        ))

    def hop(self):
        return math.prod(self.c["encoder_rates"])

    def encode(self, x, count=None):
        x = F.pad(x, (0, -x.shape[-1] % self.hop()))
        x = self.encoder(x)
        left, codes, latents = x, [], []
        for stage in list(self.quantizer.quantizers)[:count]:
            latents.append(stage.in_proj(left))
            rows = F.normalize(latents[-1].transpose(1, 2).reshape(-1, self.c["codebook_dim"]))
            table = F.normalize(stage.codebook.weight)
            codes.append((table.pow(2).sum(1) - 2 * rows @ table.t()).argmin(1).view(x.shape[0], -1))
            left = left - stage.out_proj(stage.codebook(codes[-1]).transpose(1, 2))
        self.seen = x, torch.cat(latents, 1)
        return x, torch.stack(codes, 1)

    def features(self, codes):
        stages = zip(self.quantizer.quantizers, codes.unbind(1))
        return sum(stage.out_proj(stage.codebook(codes).transpose(1, 2)) for stage, codes in stages)

    def decode(self, codes):
        return self.decoder.model(self.features(codes))

    def state(self):
        return {"state_dict": self.state_dict(), "metadata": {"kwargs": self.c}}

    def inputs(self, seconds):
        return torch.randn(1, 1, int(seconds * self.c["sample_rate"])) * 0.1

    def case(self):
        out = {}
        for prefix, length, count in [("", 0.3, None), ("few.", 0.1003, 2), ("short.", 0.011, None)]:
            x = self.inputs(length)
            features, codes = self.encode(x, count)
            z = self.features(codes)
            out |= {prefix + "audio": x, prefix + "encoder.out": features, prefix + "codes": codes, prefix + "z": z}
            out |= {prefix + "latents": self.seen[1], prefix + "audio_out": self.decode(codes)}
        layers = [m for m in self.modules() if isinstance(m, (nn.Conv1d, nn.ConvTranspose1d))]
        paddings = [layer.padding for layer in layers]
        for layer in layers:
            layer.padding = (0,)
        x = self.inputs(1.0)
        z = self.encoder(x)
        out |= {"nopad.audio": x, "nopad.encoder.out": z, "nopad.z": z, "nopad.audio_out": self.decoder.model(z)}
        out["nopad.output_length"] = torch.tensor([out["nopad.audio_out"].shape[-1]])
        for layer, padding in zip(layers, paddings):
            layer.padding = padding
        return out


class Norm(nn.Module):
    def __init__(self, count, width):
        super().__init__()
        self.scale, self.shift = nn.Embedding(count, width), nn.Embedding(count, width)

    def forward(self, x, condition):
        x = F.layer_norm(x, x.shape[-1:], eps=1e-6)
        return x * self.scale.weight[condition] + self.shift.weight[condition]


class Residual(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(32, width, 1e-6), nn.GroupNorm(32, width, 1e-6)
        self.conv1, self.conv2 = nn.Conv1d(width, width, 3, padding=1), nn.Conv1d(width, width, 3, padding=1)

    def forward(self, x):
        return x + self.conv2(F.silu(self.norm2(self.conv1(F.silu(self.norm1(x))))))


class Attention(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm = nn.GroupNorm(32, width, 1e-6)
        self.q, self.k, self.v, self.proj_out = (nn.Conv1d(width, width, 1) for _ in range(4))

    def forward(self, x):
        y = self.norm(x)
        weights = (self.q(y).transpose(1, 2) @ self.k(y) * x.shape[1] ** -0.5).softmax(-1)
        return x + self.proj_out(self.v(y) @ weights.transpose(1, 2))


class ConvNext(nn.Module):
    def __init__(self, width, inside, conditions):
        super().__init__()
        self.dwconv = nn.Conv1d(width, width, 7, padding=3, groups=width)
        self.norm = Norm(conditions, width)
        self.pwconv1, self.pwconv2 = nn.Linear(width, inside), nn.Linear(inside, width)
        self.gamma = nn.Parameter(torch.rand(width) * 0.5)

    def forward(self, x, condition):
        y = self.norm(self.dwconv(x).transpose(1, 2), condition)
        return x + (self.gamma * self.pwconv2(F.gelu(self.pwconv1(y)))).transpose(1, 2)


class Wavtokenizer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c, e, b = c, c["encoder"], c["backbone"]
        width, self.n, self.hop = b["dim"], c["head"]["n_fft"], math.prod(e["ratios"])
        codebook = Named(vq=Named(layers=nn.ModuleList([Named(_codebook=Ema(c["bins"], e["dimension"]))])))
        self.feature_extractor = Named(encodec=Named(encoder=Named(model=seanet_encoder(e)), quantizer=codebook))
        self.backbone = Named(
            embed=nn.Conv1d(e["dimension"], width, 7, padding=3),
            pos_net=nn.Sequential(
                Residual(width), Residual(width), Attention(width), Residual(width), Residual(width),
                nn.GroupNorm(32, width, 1e-6),
            ),
            norm=Norm(b["adanorm_num_embeddings"], width),
            convnext=nn.ModuleList(
                ConvNext(width, b["intermediate_dim"], b["adanorm_num_embeddings"]) for _ in range(b["num_layers"])
            ),
            final_layer_norm=nn.LayerNorm(width, 1e-6),
        )
        self.head = Named(out=nn.Linear(width, self.n + 2), istft=nn.Module())
        self.head.istft.register_buffer("window", torch.hann_window(self.n))

    def codebook(self):
        return self.feature_extractor.encodec.quantizer.vq.layers[0]._codebook

    def encode(self, x):
        x = self.feature_extractor.encodec.encoder.model(x)
        return x, self.codebook()(x.transpose(1, 2).reshape(-1, x.shape[1])).view(1, x.shape[0], -1)

    def features(self, codes):
        return self.codebook().embed[codes[0]].transpose(1, 2)

    def decode(self, codes, condition=0):
        b = self.backbone
        x = b.pos_net(b.embed(self.features(codes)))
        x = b.norm(x.transpose(1, 2), condition).transpose(1, 2)
        for block in b.convnext:
            x = block(x, condition)
        x = self.head.out(b.final_layer_norm(x.transpose(1, 2))).transpose(1, 2)
        magnitude, phase = x.chunk(2, 1)
        spectrum = torch.polar(magnitude.exp().clamp(max=100), phase)
        window, l, cut = self.head.istft.window, x.shape[-1], (self.n - self.hop) // 2
        frames = torch.fft.irfft(spectrum, self.n, dim=1) * window[:, None]
        fold = lambda f: F.fold(f, (1, (l - 1) * self.hop + self.n), (1, self.n), stride=(1, self.hop))[:, 0, 0]
        envelope = fold((window**2)[None, :, None].expand(1, -1, l))
        whole = fold(frames) / envelope.clamp(min=1e-11)
        return whole[:, cut : whole.shape[1] - cut]

    def state(self):
        return {"state_dict": self.state_dict() | {"melspec_loss.window": torch.ones(3)}, "epoch": 1}

    def inputs(self, seconds):
        return torch.randn(1, 1, int(seconds * self.c["sample_rate"])) * 0.1

    def case(self):
        out = {}
        for prefix, length, condition in [("", 0.5, 0), ("odd.", 0.31003, 1), ("short.", 0.002, 0)]:
            x = self.inputs(length)
            features, codes = self.encode(x)
            out |= {prefix + "audio": x[:, 0], prefix + "bandwidth_id": torch.tensor([condition])}
            out |= {prefix + "encoder.out": features, prefix + "codes": codes, prefix + "quantized": self.features(codes)}
            out[prefix + "audio_out"] = self.decode(codes, condition)
        return out


SEANET = dict(
    channels=1, dimension=128, n_filters=32, n_residual_layers=1, ratios=[8, 5, 4, 2], kernel_size=7, last_kernel_size=7,
    residual_kernel_size=3, dilation_base=2, compress=2, lstm=2, true_skip=False, pad_mode="reflect", norm="weight_norm",
    causal=True, trim_right_ratio=1.0,
)
ENCODEC = SEANET | dict(
    sample_rate=24000, n_q=32, bins=1024, target_bandwidths=[1.5, 3.0, 6.0, 12.0, 24.0], normalize=False, segment=None,
    overlap=0.01,
)
WIDE = dict(
    channels=2, norm="time_group_norm", causal=False, sample_rate=48000, n_q=16, target_bandwidths=[3.0, 6.0, 12.0, 24.0],
    normalize=True, segment=1.0,
)
DAC = dict(
    encoder_dim=64, encoder_rates=[2, 4, 8, 8], latent_dim=1024, decoder_dim=1536, decoder_rates=[8, 8, 4, 2],
    n_codebooks=9, codebook_size=1024, codebook_dim=8, quantizer_dropout=0.5, sample_rate=44100,
)
WAVTOKENIZER = dict(
    sample_rate=24000, bins=4096, encoder=SEANET | dict(dimension=512, causal=False),
    backbone=dict(input_channels=512, dim=768, intermediate_dim=2304, num_layers=12, adanorm_num_embeddings=4),
    head=dict(dim=768, n_fft=1280, hop_length=320, padding="same"),
)
SMALL = dict(dimension=24, n_filters=4)
VARIANTS = {
    "encodec-24k": (Encodec, ENCODEC),
    "encodec-48k": (Encodec, ENCODEC | WIDE),
    "encodec-48k-small": (Encodec, ENCODEC | WIDE | SMALL | dict(bins=64, n_q=4, target_bandwidths=[0.9, 1.8, 3.6])),
    "encodec-deep-small": (Encodec, ENCODEC | SMALL | dict(
        ratios=[5, 3, 2], n_residual_layers=3, dilation_base=3, kernel_size=5, last_kernel_size=3, residual_kernel_size=5,
        compress=1, lstm=1, true_skip=True, causal=False, bins=128, n_q=3, target_bandwidths=[6.0, 20.0], sample_rate=16000)),
    "encodec-plain-small": (Encodec, ENCODEC | SMALL | dict(lstm=0, n_filters=8, compress=4, bins=100, n_q=5)),
    "dac-44k": (Dac, DAC),
    "dac-24k-small": (Dac, DAC | dict(
        encoder_dim=6, encoder_rates=[2, 4, 5, 8], latent_dim=40, decoder_dim=48, decoder_rates=[8, 5, 4, 2], n_codebooks=6,
        codebook_size=100, codebook_dim=5, sample_rate=24000)),
    "dac-odd-small": (Dac, DAC | dict(
        encoder_dim=4, encoder_rates=[3, 7], latent_dim=20, decoder_dim=20, decoder_rates=[7, 3], n_codebooks=2,
        codebook_size=300, codebook_dim=4, sample_rate=16000)),
    "wavtokenizer-75": (Wavtokenizer, WAVTOKENIZER),
    "wavtokenizer-40-small": (Wavtokenizer, dict(
        sample_rate=24000, bins=500, encoder=SEANET | dict(dimension=20, n_filters=3, ratios=[6, 5, 5, 4], causal=False, compress=1),
        backbone=dict(input_channels=20, dim=64, intermediate_dim=100, num_layers=2, adanorm_num_embeddings=2),
        head=dict(dim=64, n_fft=2400, hop_length=600, padding="same"))),
    "wavtokenizer-odd-small": (Wavtokenizer, dict(
        sample_rate=16000, bins=50, encoder=SEANET | dict(dimension=10, n_filters=4, ratios=[5, 2], causal=False),
        backbone=dict(input_channels=10, dim=32, intermediate_dim=50, num_layers=3, adanorm_num_embeddings=3),
        head=dict(dim=32, n_fft=46, hop_length=10, padding="same"))),
}


def timed(run, rounds):
    """Medians of milliseconds by the clock and of processor time outside of the kernel."""
    run()
    spent, busy = [], []
    for _ in range(rounds):
        start, before = time.perf_counter(), os.times().user
        run()
        spent.append(1000 * (time.perf_counter() - start))
        busy.append(1000 * (os.times().user - before))
    return statistics.median(spent), statistics.median(busy)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["save", "time", "case"])
    parser.add_argument("variant", choices=VARIANTS)
    parser.add_argument("path")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(sum(map(ord, args.variant)))
    kind, config = VARIANTS[args.variant]
    model = kind(config).eval()
    if args.action == "save":
        torch.save(model.state(), args.path)
        return
    with torch.no_grad():
        if args.action == "case":
            from safetensors.torch import save_file

            os.makedirs(args.path, exist_ok=True)
            torch.save(model.state(), os.path.join(args.path, "weights.pth"))
            tensors = {name: tensor.contiguous().clone() for name, tensor in model.case().items()}
            save_file(tensors, os.path.join(args.path, "io.safetensors"))
            with open(os.path.join(args.path, "config.json"), "w") as file:
                json.dump(config, file)
            return
        loaded = torch.load(args.path, weights_only=True)
        model.load_state_dict(loaded.get("state_dict", loaded), strict=False)
        x = model.inputs(args.seconds)
        _, codes = model.encode(x)
        encode, decode = timed(lambda: model.encode(x), args.rounds), timed(lambda: model.decode(codes), args.rounds)
        result = {
            "variant": args.variant,
            "seconds": args.seconds,
            "threads": args.threads,
            "encode_ms": encode[0],
            "decode_ms": decode[0],
            "encode_user_ms": encode[1],
            "decode_user_ms": decode[1],
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
