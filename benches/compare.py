"""Training speed of `codec` against the PyTorch twin, in alternating rounds; writes the figures as JSON.

    python benches/compare.py --codec target/release/codec --threads 2 --rounds 3 --out benches/results/training-cpu.json
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import time
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent


def processor():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def timed(command, environment):
    """Last line of the output as JSON, with load and processor seconds of the whole process."""
    load = os.getloadavg()[0]
    before, began = os.times(), time.perf_counter()
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    after = os.times()
    result = json.loads(done.stdout.strip().splitlines()[-1])
    spent = after.children_user - before.children_user + after.children_system - before.children_system
    return {**result, "load_before": load, "process_seconds": time.perf_counter() - began, "process_cpu_seconds": spent}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--codec", default="target/release/codec")
    parser.add_argument("--recipe", default="recipes/wpmr.toml")
    parser.add_argument("--device", default="cpu", help="cpu, or cuda for both")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--warmup", type=int, default=3)
    parser.add_argument("--twin", action="append", default=[], help="further option of the twin, such as --twin=--compile")
    parser.add_argument("--passive", action="store_true", help="threads of PyTorch sleep while they wait: fairer on a busy machine")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()

    threads = str(args.threads)
    openmp = {"OMP_NUM_THREADS": threads, **({"OMP_WAIT_POLICY": "PASSIVE"} if args.passive else {})}
    stages = []
    recipe = tomllib.loads(Path(args.recipe).read_text())
    for stage, settings in enumerate(recipe["stages"]):
        mode = settings["name"]
        ours = [args.codec, "bench", "--train", args.recipe, "--stage", str(stage), "--json", "--device", args.device]
        ours += ["--threads", threads, "-r", str(args.steps), "-w", str(args.warmup)]
        twin = [sys.executable, str(HERE / "wpmr_twin.py"), "--device", args.device, "--threads", threads]
        twin.append(f"--model={json.dumps(recipe.get('model', {}))}")
        twin += [f"--{key}={settings[key]}" for key in ("rounding", "precision", "patch", "batch")]
        if settings.get("freeze"):  # as in our recipe: the encoder and the steps
            twin.append("--frozen")
        twin += ["--steps", str(args.steps), "--warmup", str(args.warmup), *args.twin]
        rounds = []
        for number in range(args.rounds):
            rounds.append({"codec": timed(ours, {}), "torch": timed(twin, openmp)})
            a, b = rounds[-1]["codec"], rounds[-1]["torch"]
            rounds[-1]["ratio"] = a["crops_per_second"] / b["crops_per_second"]
            # Ours with start and warm-up spread over all its steps, against the twin's counted steps alone.
            ours_cpu = a["process_cpu_seconds"] / (args.steps + args.warmup)
            rounds[-1]["cpu_ratio"] = b["cpu_seconds"] / args.steps / ours_cpu
            print(f"{mode} {number}: {a['crops_per_second']:.3f} / {b['crops_per_second']:.3f} = {rounds[-1]['ratio']:.3f}, by processor time {rounds[-1]['cpu_ratio']:.3f}", flush=True)
            if a["parameters"] != b["parameters"] or a["patch"] != b["patch"] or a["batch"] != b["batch"]:
                sys.exit("the two do not train the same")
        stages.append(
            {
                "stage": mode,
                "commands": [" ".join(ours), " ".join(twin)],
                "ratio": statistics.median(r["ratio"] for r in rounds),
                "cpu_ratio": statistics.median(r["cpu_ratio"] for r in rounds),
                "codec_crops_per_second": statistics.median(r["codec"]["crops_per_second"] for r in rounds),
                "torch_crops_per_second": statistics.median(r["torch"]["crops_per_second"] for r in rounds),
                "rounds": rounds,
            }
        )
    document = {
        "schema": "codec.compare-training/1",
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%MZ"),
        "command": " ".join(sys.argv),
        "processor": processor(),
        "processors": os.cpu_count(),
        "environment": openmp,
        "stages": stages,
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
