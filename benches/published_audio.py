"""Coding speed of published audio codecs: `codec` against PyTorch with the same random weights, in alternating rounds.

    python benches/published_audio.py --codec target/release/codec --seconds 10 --threads 2 --rounds 5 \\
        --out benches/results/published-audio-cpu.json

Every round runs each program once: `codec encode`, `codec decode`, then PyTorch. `file_ms` is what coding one file takes in ours (reading
samples, networks, entropy coding, writing), without the start of the program and reading weights; `process_ms` is the whole program from
start to end. PyTorch's are the networks alone, warm. `user_ms` is processor time outside of the kernel: ours that of the program less that
of the same on a recording of 20 ms. All are medians over the rounds, and every ratio is ours over PyTorch's: below 1 where ours is faster.
On a busy machine PyTorch's threads wait for each other; processor time with `--threads 1` is disturbed least.
"""

import argparse
import datetime
import json
import math
import os
import resource
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import wave
from pathlib import Path

from audio_twins import VARIANTS
from compare import HERE, processor
from published import last_json

MODELS = "encodec-24k,wavtokenizer-75,dac-44k"
NAMES = ("file_ms", "process_ms", "user_ms", "torch_ms", "torch_user_ms")
# Seconds of the recording that tells what the start of a program and reading weights take.
SHORT = 0.02


def recording(path, rate, channels, seconds):
    """Tones that change, under noise."""
    state, values = 1, []
    for i in range(int(seconds * rate)):
        time = i / rate
        tone = 0.2 * math.sin(2 * math.pi * (120 + 60 * math.sin(2 * time)) * time)
        for _ in range(channels):
            state = (1103515245 * state + 12345) % 2**31
            values.append(int(32767 * (tone + 0.1 * (state / 2**30 - 1))))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(struct.pack(f"<{len(values)}h", *values))


def timed(command, environment):
    """Milliseconds of coding, of the program, and of processor time outside of the kernel."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    start = time.perf_counter()
    result = last_json(command, **environment)
    spent = time.perf_counter() - start
    busy = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    return 1e3 * result["seconds"], 1e3 * spent, 1e3 * busy


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--codec", default="target/release/codec")
    parser.add_argument("--models", default=MODELS)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()

    threads = str(args.threads)
    results = []
    for model in args.models.split(","):
        with tempfile.TemporaryDirectory() as folder:
            twin = [sys.executable, str(HERE / "audio_twins.py")]
            checkpoint, config = f"{folder}/weights.pth", VARIANTS[model][1]
            subprocess.run([*twin, "save", model, checkpoint], check=True)
            store = {"CODEC_MODELS_DIR": f"{folder}/models"}
            last_json([args.codec, "models", "import", checkpoint, "--name", model, "--json"], **store)
            options = ["-j", threads, "--device", "cpu", "-f", "--json"]
            commands = {}
            for name, seconds in (("whole", args.seconds), ("short", SHORT)):
                sound, coded = f"{folder}/{name}.wav", f"{folder}/{name}.coded"
                recording(sound, config["sample_rate"], config.get("channels", 1), seconds)
                commands["encode", name] = [args.codec, "encode", sound, "-m", model, "-o", coded, *options]
                commands["decode", name] = [args.codec, "decode", coded, "-o", f"{folder}/out.wav", *options]
            spent = {way: {name: [] for name in NAMES} for way in ("encode", "decode")}
            peaks, loads = [], []
            for _ in range(args.rounds):
                loads.append(os.getloadavg()[0])
                for way, times in spent.items():
                    file, process, user = timed(commands[way, "whole"], store)
                    rest = timed(commands[way, "short"], store)[2]
                    for name, ms in (("file_ms", file), ("process_ms", process), ("user_ms", user - rest)):
                        times[name].append(ms)
                options = ["--seconds", str(args.seconds), "--threads", threads, "--rounds", "1"]
                theirs = last_json([*twin, "time", model, checkpoint, *options], OMP_NUM_THREADS=threads)
                for way, times in spent.items():
                    times["torch_ms"].append(theirs[f"{way}_ms"])
                    times["torch_user_ms"].append(theirs[f"{way}_user_ms"])
                peaks.append(theirs["peak_mib"])
        result = {"model": model, "load_average": loads}
        for way, times in spent.items():
            middle = {name: statistics.median(values) for name, values in times.items()}
            result[way] = {
                "ratio": middle["file_ms"] / middle["torch_ms"],
                "process_ratio": middle["process_ms"] / middle["torch_ms"],
                "user_ratio": middle["user_ms"] / middle["torch_user_ms"],
                "median": middle,
                "rounds": times,
            }
        result["torch_peak_mib"] = max(peaks)
        results.append(result)
        ratios = {way: {name: round(value, 3) for name, value in result[way].items() if "ratio" in name} for way in spent}
        print(json.dumps({"model": model, "load_average": loads} | ratios), flush=True)
        args.out.write_text(
            json.dumps(
                {
                    "date": datetime.date.today().isoformat(),
                    "processor": processor(),
                    "seconds": args.seconds,
                    "threads": args.threads,
                    "command": " ".join(["benches/published_audio.py", *sys.argv[1:]]),
                    "results": results,
                },
                indent=1,
            )
            + "\n"
        )


if __name__ == "__main__":
    main()
