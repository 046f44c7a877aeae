"""Layers of published networks on the CPU: our kernels against PyTorch, in alternating rounds; the shortest runs count.

    cargo build --release -p codec-core --example layers
    python benches/layers.py --layers target/release/examples/layers --threads 2 --rounds 3 --out benches/results/layers-cpu.json
"""

import argparse
import datetime
import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F

SECONDS = 0.4
COUNTED = 0.04  # seconds counted at once with --cpu: the system keeps the time of threads in steps of some milliseconds
LAYERS = """
conv 128 128 3 1 96 64
conv 256 256 3 1 96 64
conv 512 512 3 1 48 32
conv 512 512 3 1 16 16
conv 192 192 3 1 192 128
conv 128 128 3 1 256 384
conv 128 128 3 1 512 768
conv 512 512 1 1 96 64
conv 320 640 1 1 48 32
conv 3 128 5 2 512 768
conv 128 128 5 2 256 384
conv 128 192 5 2 64 96
conv 192 192 3 2 64 96
conv 128 128 3 2 256 384
transposed 192 128 5 2 32 48
transposed 128 128 5 2 64 96
transposed 128 128 5 2 128 192
transposed 128 3 5 2 256 384
gdn 128 256 384
gdn 192 64 96
group_norm 128 256 384
group_norm 512 32 48
layer_norm 6144 256
attention 512 1536
attention 512 6144
gelu 6144 256
silu 6144 256
softmax 6144 256
"""


def layer(kind, *n):
    r = torch.rand
    if kind in ("conv", "transposed"):
        i, o, k, s, h, w = n
        x, bias = r(1, i, h, w), r(o)
        if kind == "conv":
            weight = r(o, i, k, k)
            return lambda: F.conv2d(x, weight, bias, stride=s, padding=k // 2)
        weight = r(i, o, k, k)
        return lambda: F.conv_transpose2d(x, weight, bias, stride=s, padding=k // 2, output_padding=s - 1)
    if kind == "gdn":
        c, h, w = n
        x, beta, gamma = r(1, c, h, w), r(c), r(c, c, 1, 1)
        return lambda: x * torch.rsqrt(F.conv2d(x * x, gamma, beta))
    if kind == "group_norm":
        c, h, w = n
        x, a, b = r(1, c, h, w), r(c), r(c)
        return lambda: F.group_norm(x, 32, a, b, 1e-6)
    if kind == "layer_norm":
        x, a, b = r(1, *n), r(n[1]), r(n[1])
        return lambda: F.layer_norm(x, (n[1],), a, b, 1e-6)
    if kind == "attention":
        c, count = n
        q, k, v = (r(1, c, count).transpose(1, 2) for _ in range(3))
        return lambda: torch.softmax(torch.bmm(q, k.transpose(1, 2)) * c**-0.5, dim=2).bmm(v)
    x = r(*n)
    functions = {"gelu": F.gelu, "silu": F.silu, "softmax": lambda x: torch.softmax(x, 1)}
    return lambda: functions[kind](x)


def spent():
    """Seconds that all threads of this process have run."""
    return sum(int((task / "schedstat").read_text().split()[0]) for task in Path("/proc/self/task").iterdir()) / 1e9


def shortest(run, now):
    run()
    best, began = float("inf"), time.perf_counter()
    run()
    runs = max(1, math.ceil(COUNTED / (time.perf_counter() - began))) if now is spent else 1
    while True:
        start = now()
        for _ in range(runs):
            run()
        best = min(best, (now() - start) / runs)
        if time.perf_counter() - began > SECONDS:
            return 1e3 * best


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", default="target/release/examples/layers")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cpu", action="store_true", help="time of the processor instead of the clock: for busy machines, with one thread")
    parser.add_argument("--only", default="", help="layers whose line begins so")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    environment = {**os.environ, "RAYON_NUM_THREADS": str(args.threads)}
    ours = subprocess.Popen([args.layers, *(['cpu'] if args.cpu else [])], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    results = []
    with torch.inference_mode():
        for line in LAYERS.strip().splitlines():
            if not line.startswith(args.only):
                continue
            kind, *sizes = line.split()
            run = layer(kind, *map(int, sizes))
            best = {"codec": float("inf"), "torch": float("inf")}
            for _ in range(args.rounds):
                ours.stdin.write(line + "\n")
                ours.stdin.flush()
                best["codec"] = min(best["codec"], float(ours.stdout.readline()))
                best["torch"] = min(best["torch"], shortest(run, spent if args.cpu else time.perf_counter))
            ratio = best["torch"] / best["codec"]
            results.append({"layer": line, **best, "ratio": ratio})
            print(f"{line:32} {best['codec']:9.2f} {best['torch']:9.2f} ms  {ratio:5.2f}x", flush=True)
    ours.stdin.close()
    if args.out:
        conditions = {"date": str(datetime.date.today()), "threads": args.threads, "by": "cpu" if args.cpu else "clock", "torch": torch.__version__, "load": os.getloadavg()[0]}
        args.out.write_text(json.dumps({**conditions, "milliseconds": results}, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
