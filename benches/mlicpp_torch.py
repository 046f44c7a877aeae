"""MLIC++ in PyTorch at full size, with random weights under its authors' key names, as the reference runs it: every network at
all positions, windows unfolded.

    python benches/mlicpp_torch.py save mlicpp checkpoint.pth.tar      # for codec models import
    python benches/mlicpp_torch.py time mlicpp checkpoint.pth.tar picture.png --threads 2
"""

import torch
import torch.nn.functional as F
from torch import nn

from published_twins import MODELS, Bottleneck, Gdn, main, same


def stack(widths, kernel):
    layers = []
    for inputs, outputs in zip(widths, widths[1:]):
        layers += [nn.GELU(), same(inputs, outputs, kernel)]
    return nn.Sequential(*layers[1:])


def subpel(inputs, outputs):
    return nn.Sequential(same(inputs, 4 * outputs), nn.PixelShuffle(2))


class Residual(nn.Module):
    def __init__(self, inputs, outputs, stride=1):
        super().__init__()
        self.conv1, self.conv2 = same(inputs, outputs, 3, stride), same(outputs, outputs)
        if stride == 2:
            self.gdn = Gdn(outputs)
        if stride == 2 or inputs != outputs:
            self.skip = nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, x):
        h = self.conv2(F.gelu(self.conv1(x)))
        h = self.gdn(h) if hasattr(self, "gdn") else F.gelu(h)
        return h + (self.skip(x) if hasattr(self, "skip") else x)


class Doubling(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.subpel_conv, self.upsample = subpel(inputs, outputs), subpel(inputs, outputs)
        self.conv, self.igdn = same(outputs, outputs), Gdn(outputs, True)

    def forward(self, x):
        return self.igdn(self.conv(F.gelu(self.subpel_conv(x)))) + self.upsample(x)


class Named(nn.Module):
    """A sequence under a name of its own."""

    def __init__(self, name, layers):
        super().__init__()
        setattr(self, name, layers)
        self.layers = [layers]

    def forward(self, x):
        return self.layers[0](x)


class Attention(nn.Module):
    """Linear attention with its projections."""

    def __init__(self, channels, heads):
        super().__init__()
        self.heads = heads
        for name in ("queries", "keys", "values"):
            spread = nn.Conv2d(channels, channels, 3, 1, 1, groups=channels)
            setattr(self, name, nn.Sequential(nn.Conv2d(channels, channels, 1), spread))

    def attend(self, q, k, v):
        split = lambda x: x.flatten(2).unflatten(1, (self.heads, -1))
        q, k = split(q).softmax(2), split(k).softmax(3)
        context = k @ split(v).transpose(2, 3)
        return (context.transpose(2, 3) @ q).flatten(1, 2)


def mixer(inputs, hidden, outputs):
    spread = nn.Conv2d(hidden, hidden, 3, 1, 1, groups=hidden)
    return nn.Sequential(nn.Conv2d(inputs, hidden, 1), nn.GELU(), spread, nn.GELU(), nn.Conv2d(hidden, outputs, 1))


class Inter(Attention):
    def __init__(self, channels, c, heads):
        super().__init__(channels, heads)
        self.reprojection, self.skip = same(channels, 3 * c, 5), nn.Conv2d(3 * c, 2 * c, 1)
        self.mlp = mixer(3 * c, 4 * c, 2 * c)

    def forward(self, x):
        r = self.attend(self.queries(x), self.keys(x), self.values(x)).unflatten(2, x.shape[2:])
        r = self.reprojection(r)
        return self.skip(r) + self.mlp(r)


def take(x, odd):
    b, c, h, w = x.shape
    half = x.new_empty(b, c, h, w // 2)
    half[:, :, 0::2] = x[:, :, 0::2, int(odd) :: 2]
    half[:, :, 1::2] = x[:, :, 1::2, 1 - int(odd) :: 2]
    return half


def put(half, odd):
    b, c, h, w = half.shape
    x = half.new_zeros(b, c, h, 2 * w)
    x[:, :, 0::2, int(odd) :: 2] = half[:, :, 0::2]
    x[:, :, 1::2, 1 - int(odd) :: 2] = half[:, :, 1::2]
    return x


class Intra(Attention):
    def __init__(self, c):
        super().__init__(c, 2)
        self.reprojection, self.mlp = same(c, 2 * c, 5), mixer(2 * c, 4 * c, 2 * c)

    def forward(self, before, anchors):
        q, k = self.queries(put(take(before, False), False)), self.keys(put(take(before, True), True))
        seen = self.attend(take(q, False), take(k, True), take(self.values(anchors), True))
        h, w = before.shape[2:]
        r = self.reprojection(put(seen.unflatten(2, (h, w // 2)), False))
        return r + self.mlp(r)


class Local(nn.Module):
    def __init__(self, c, k=5, heads=2):
        super().__init__()
        self.c, self.k, self.heads = c, k, heads
        self.norm1, self.norm2 = nn.LayerNorm(c), nn.LayerNorm(2 * c)
        self.qkv_proj, self.proj = nn.Linear(c, 3 * c), nn.Linear(2 * c, 2 * c)
        self.relative_position_table = nn.Parameter(0.02 * torch.randn((2 * k - 1) ** 2, heads))
        at = torch.stack(torch.meshgrid(torch.arange(k), torch.arange(k), indexing="ij")).flatten(1)
        dy, dx = at[:, :, None] - at[:, None] + k - 1
        self.register_buffer("relative_position_index", dy * (2 * k - 1) + dx)
        self.fusion = nn.Conv2d(c, 2 * c, k)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(2 * c, 4 * c), "fc2": nn.Linear(4 * c, 2 * c)})
        self.masks = {}

    def mask(self, h, w):
        if (h, w) not in self.masks:
            anchors = put(torch.ones(1, 1, h, w // 2), True)
            seen = F.unfold(anchors, self.k, padding=self.k // 2)[0].T
            self.masks[h, w] = (1 - seen[:, :, None] * seen[:, None]) * -100.0
        return self.masks[h, w]

    def forward(self, x):
        b, c, h, w = x.shape
        n, cells = h * w, self.k * self.k
        qkv = self.qkv_proj(self.norm1(x.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)
        qkv = F.unfold(qkv, self.k, padding=self.k // 2).view(b, 3, c // self.heads, self.heads, cells, n)
        q, k, v = qkv.permute(1, 0, 5, 3, 4, 2).reshape(3, b * n, self.heads, cells, c // self.heads)
        bias = self.relative_position_table[self.relative_position_index].permute(2, 0, 1)
        logits = (q * (c // self.heads) ** -0.5) @ k.transpose(2, 3) + bias
        logits = logits + self.mask(h, w).repeat(b, 1, 1)[:, None]
        seen = (logits.softmax(3) @ v).transpose(2, 3).reshape(b * n, c, self.k, self.k)
        x = self.proj(self.fusion(seen).view(b, h, w, 2 * c))
        x = x + self.mlp["fc2"](F.gelu(self.mlp["fc1"](self.norm2(x))))
        return x.permute(0, 3, 1, 2)


class Mlicpp(nn.Module):
    pad = 64

    def __init__(self, n=192, m=320, slices=10, window=5, entropy=(320, 256, 128), channel=(192, 128), lrp=(224, 128), head=32):
        super().__init__()
        c = m // slices
        self.m, self.c, self.slices = m, c, slices
        blocks = [Residual(3, n, 2), Residual(n, n), Residual(n, n, 2), Residual(n, n), Residual(n, n, 2), Residual(n, n)]
        self.g_a = Named("analysis_transform", nn.Sequential(*blocks, same(n, m, 3, 2)))
        blocks = [Residual(m, m), Doubling(m, n), Residual(n, n), Doubling(n, n), Residual(n, n), Doubling(n, n), Residual(n, n)]
        self.g_s = Named("synthesis_transform", nn.Sequential(*blocks, subpel(n, 3)))
        layers = [same(m, n), same(n, n), same(n, n, 3, 2), same(n, n), same(n, n, 3, 2)]
        self.h_a = Named("reduction", nn.Sequential(*[l for layer in layers for l in (layer, nn.GELU())][:-1]))
        wide = 3 * m // 2
        layers = [same(n, m), subpel(m, m), same(m, wide), subpel(wide, wide), same(wide, 2 * m)]
        self.h_s = Named("increase", nn.Sequential(*[l for layer in layers for l in (layer, nn.GELU())][:-1]))
        self.entropy_bottleneck = Bottleneck(n)
        each = lambda make, first=0: nn.ModuleList(make(i) if i >= first else None for i in range(slices))
        self.local_context = each(lambda i: Local(c, window))
        self.channel_context = each(lambda i: Named("fushion", stack([i * c, *channel, 4 * c], 3)), 1)
        self.global_inter_context = each(lambda i: Inter(i * c, c, i * c // head), 1)
        self.global_intra_context = each(lambda i: Intra(c), 1)
        fusion = lambda count: Named("fusion", stack([2 * m + count * c, *entropy, 2 * c], 1))
        self.entropy_parameters_anchor = each(lambda i: fusion(6 if i else 0))
        self.entropy_parameters_nonanchor = each(lambda i: fusion(10 if i else 2))
        predict = lambda i: Named("lrp_transform", stack([m + (i + 1) * c, *lrp, c], 3))
        self.lrp_anchor, self.lrp_nonanchor = each(predict), each(predict)

    def latents(self, z, code):
        """Runs `code(group, means half-plane, scales half-plane) -> symbols` for each group."""
        hyper = self.h_s(z)
        means_hyper, decoded = hyper[:, self.m :], []
        for i in range(self.slices):
            known = [hyper]
            if i:
                prev = torch.cat(decoded, 1)
                known = [self.global_inter_context[i](prev), self.channel_context[i](prev), hyper]
            half = lambda odd, params: code(2 * i + (not odd), *reversed([take(p, odd) for p in params.chunk(2, 1)]))
            anchors = put(half(True, self.entropy_parameters_anchor[i](torch.cat(known, 1))), True)
            residual = self.lrp_anchor[i](torch.cat([means_hyper, *decoded, anchors], 1))
            anchors = anchors + put(take(0.5 * residual.tanh(), True), True)
            known.insert(0, self.local_context[i](anchors))
            if i:
                known.insert(1, self.global_intra_context[i](decoded[-1], anchors))
            others = put(half(False, self.entropy_parameters_nonanchor[i](torch.cat(known, 1))), False)
            plane = anchors + others
            residual = self.lrp_nonanchor[i](torch.cat([means_hyper, *decoded, plane], 1))
            decoded.append(plane + put(take(0.5 * residual.tanh(), False), False))
        return torch.cat(decoded, 1)

    def encode(self, x):
        y = self.g_a(x)
        median = self.entropy_bottleneck.quantiles[:, :, 1, None][None]
        z = (self.h_a(y) - median).round() + median
        symbols = []

        def code(group, means, scales):
            source = y[:, group // 2 * self.c :][:, : self.c]
            symbols.append((take(source, group % 2 == 0) - means).round())
            return symbols[-1] + means

        self.latents(z, code)
        return symbols, z

    def decode(self, code):
        symbols, z = code
        return self.g_s(self.latents(z, lambda group, means, scales: symbols[group] + means))


MODELS["mlicpp"] = Mlicpp

if __name__ == "__main__":
    main()
