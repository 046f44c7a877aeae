"""Quality of coded speech by bitrate, Opus beside it in the same run.

    pip install numpy==2.* soundfile pesq==0.0.4 pystoi==0.4.1
    python benches/speech_quality.py --codec target/release/codec --data ../shared/data/audio/speech-val --out out.json

PESQ-wb and STOI at 16 kHz, mean over all files; rates are those of the files with all their headers. Opus needs opusenc and
opusdec (Debian: opus-tools). Run by hand, not in CI.
"""

import argparse
import json
import math
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from pesq import pesq
from pystoi import stoi


def resample(x: np.ndarray, old: int, new: int) -> np.ndarray:
    """Kaiser-windowed sinc, 32 zero crossings to each side."""
    divisor = math.gcd(old, new)
    up, down = new // divisor, old // divisor
    if up == down:
        return x
    most = max(up, down)
    places = np.arange(-32 * most, 32 * most + 1)
    kernel = np.sinc(places / most) / most * np.kaiser(len(places), 8.0) * up
    wide = np.zeros(len(x) * up)
    wide[::up] = x
    return np.convolve(wide, kernel)[32 * most : 32 * most + len(wide)][::down]


def score(original: np.ndarray, decoded: np.ndarray, rate: int) -> tuple[float, float]:
    length = min(len(original), len(decoded))
    a, b = (resample(x[:length], rate, 16000) for x in (original, decoded))
    return pesq(16000, a, b, "wb"), stoi(a, b, 16000)


def ours(args, source: Path, setting: str, folder: Path) -> tuple[Path, Path]:
    coded, decoded = folder / "x.ncx", folder / "x.wav"
    weights = ["--weights", args.weights] if args.weights else []
    run = [args.codec, "encode", source, "-o", coded, "-f", "-b", setting, *weights]
    subprocess.run(run, check=True, capture_output=True)
    run = [args.codec, "decode", coded, "-o", decoded, "-f", *weights]
    subprocess.run(run, check=True, capture_output=True)
    return coded, decoded


def opus(_args, source: Path, setting: str, folder: Path) -> tuple[Path, Path]:
    coded, decoded = folder / "x.opus", folder / "o.wav"
    rate = str(soundfile.info(source).samplerate)
    subprocess.run(["opusenc", "--quiet", "--bitrate", setting, source, coded], check=True)
    subprocess.run(["opusdec", "--quiet", "--rate", rate, coded, decoded], check=True)
    return coded, decoded


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--codec", default="codec")
    parser.add_argument("--weights", help="weights file instead of the built-in model")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--files", type=int, help="only the first so many")
    parser.add_argument("--settings", default="1.35,2.1,2.85,3.6,5.1,6.6", help="kbit/s for --bitrate of codec")
    parser.add_argument("--opus", default="6,8,12", help="kbit/s for opusenc; empty for none")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()

    files = sorted(p for p in args.data.iterdir() if p.suffix in (".flac", ".wav"))[: args.files]
    rows = []
    for name, coder, settings in (("codec", ours, args.settings), ("opus", opus, args.opus)):
        for setting in filter(None, settings.split(",")):
            found = []
            for source in files:
                original, rate = soundfile.read(source)
                with tempfile.TemporaryDirectory() as folder:
                    coded, decoded = coder(args, source, setting, Path(folder))
                    bits = 8 * coded.stat().st_size
                    found.append((*score(original, soundfile.read(decoded)[0], rate), bits * rate / len(original) / 1000))
            quality, intelligibility, kbps = np.mean(found, axis=0)
            row = {
                "codec": name,
                "setting_kbps": float(setting),
                "pesq_wb": round(quality, 3),
                "stoi": round(intelligibility, 3),
                "kbps": round(kbps, 2),
                "files": len(found),
            }
            print(row, flush=True)
            rows.append(row)
    if args.out:
        args.out.write_text(json.dumps({"rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
