"""Coding speed of published models: `codec` against PyTorch with the same random weights, in alternating rounds.

    python benches/published.py --codec target/release/codec --picture ../shared/data/images/kodak/kodim05.png \\
        --threads 2 --rounds 3 --out benches/results/published-cpu.json

Ours is timed with entropy coding, PyTorch without. `ratio` is time of ours over time of PyTorch: below 1 where ours is faster.
"""

import argparse
import datetime
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from compare import HERE, processor

TWINS = {"hyperprior": "published_twins.py", "vqgan": "published_twins.py", "mlicpp": "mlicpp_torch.py"}


def last_json(command, **environment):
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--codec", default="target/release/codec")
    parser.add_argument("--picture", required=True)
    parser.add_argument("--models", default="hyperprior,vqgan,mlicpp")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()

    threads = str(args.threads)
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for model in args.models.split(","):
            twin = [sys.executable, str(HERE / TWINS[model])]
            checkpoint = f"{folder}/{model}.pth.tar"
            subprocess.run([*twin, "save", model, checkpoint], check=True)
            store = {"CODEC_MODELS_DIR": folder}
            last_json([args.codec, "models", "import", checkpoint, "--name", model, "--json"], **store)
            ours, theirs = [], []
            for _ in range(args.rounds):
                options = ["--device", "cpu", "-j", threads, "-w", "1", "-r", str(args.runs), "--json"]
                ours.append(last_json([args.codec, "bench", args.picture, "-m", model, *options], **store))
                options = ["--threads", threads, "--runs", str(args.runs)]
                theirs.append(last_json([*twin, "time", model, checkpoint, args.picture, *options], OMP_NUM_THREADS=threads))
            os.remove(checkpoint)
            result = {"model": model, "load_average": os.getloadavg()[0]}
            for way in ("encode", "decode"):
                mine = [1e3 * run["seconds"][way]["total"]["median"] for run in ours]
                reference = [run[f"{way}_ms"] for run in theirs]
                ratios = [a / b for a, b in zip(mine, reference)]
                result[way] = {"ours_ms": mine, "torch_ms": reference, "ratios": ratios, "ratio": statistics.median(ratios)}
            result["peak_mb"] = {
                "ours": max(run["peak_memory_bytes"] for run in ours) / 2**20,
                "torch": max(run["peak_mb"] for run in theirs),
            }
            results.append(result)
            print(json.dumps(result), flush=True)
            args.out.write_text(
                json.dumps(
                    {
                        "date": datetime.date.today().isoformat(),
                        "processor": processor(),
                        "threads": args.threads,
                        "picture": Path(args.picture).name,
                        "command": " ".join(["benches/published.py", *sys.argv[1:]]),
                        "results": results,
                    },
                    indent=1,
                )
                + "\n"
            )


if __name__ == "__main__":
    main()
