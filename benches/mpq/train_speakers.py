"""Trains the speaker example on speech-train; writes its model, short windows of speech-val, and labels.

    python train_speakers.py /work/shared/data --model eval/models/speakers.onnx --tests /tmp/mpq/speakers
"""

import argparse
import glob
import os

import numpy as np
import scipy.signal
import soundfile
import torch

import common

RATE = 16_000
BINS, HOP, MELS = 256, 128, 40


def speaker(path):
    return os.path.basename(path).split("_")[0]


def read(path):
    """Samples at 16 kHz."""
    samples, rate = soundfile.read(path, dtype="float64")
    step = np.gcd(rate, RATE)
    return scipy.signal.resample_poly(samples, RATE // step, rate // step).astype(np.float32)


def filters():
    """Triangles on the mel scale, [MELS, BINS / 2 + 1]."""
    mel = lambda f: 2595 * np.log10(1 + f / 700)
    hertz = 700 * (10 ** (np.linspace(mel(60), mel(7600), MELS + 2) / 2595) - 1)
    at = np.arange(BINS // 2 + 1) * RATE / BINS
    rise = (at - hertz[:-2, None]) / (hertz[1:-1] - hertz[:-2])[:, None]
    fall = (hertz[2:, None] - at) / (hertz[2:] - hertz[1:-1])[:, None]
    return np.maximum(0, np.minimum(rise, fall))


class Speakers(torch.nn.Module):
    """Log-mel spectrum by a fixed convolution, three layers in time, mean and deviation, a line. The mean of each band is
    taken out, so that it is the voice and not the microphone that tells speakers apart."""

    def __init__(self, classes):
        super().__init__()
        window = np.hanning(BINS + 1)[:BINS]
        angle = 2 * np.pi * np.outer(np.arange(BINS // 2 + 1), np.arange(BINS)) / BINS
        waves = np.concatenate([np.cos(angle) * window, np.sin(angle) * window])[:, None]
        self.register_buffer("waves", torch.tensor(waves, dtype=torch.float32))
        self.register_buffer("mel", torch.tensor(filters()[:, :, None], dtype=torch.float32))
        layers = []
        for before, after, stride in [(MELS, 64, 1), (64, 64, 2), (64, 96, 2)]:
            layers += [torch.nn.Conv1d(before, after, 5, stride=stride, padding=2, bias=False),
                       torch.nn.BatchNorm1d(after), torch.nn.ReLU()]
        self.features = torch.nn.Sequential(*layers)
        self.head = torch.nn.Linear(192, classes)

    def forward(self, x):
        wave = torch.nn.functional.conv1d(x[:, None], self.waves, stride=HOP)
        real, imaginary = wave[:, :BINS // 2 + 1], wave[:, BINS // 2 + 1:]
        power = torch.nn.functional.conv1d(real * real + imaginary * imaginary, self.mel)
        level = torch.log(power + 1e-5)
        level = level - level.mean(2, keepdim=True)
        features = self.features(level * 0.5)
        mean = features.mean(2)
        spread = ((features - mean[:, :, None]) ** 2).mean(2)
        return self.head(torch.cat([mean, (spread + 1e-4).sqrt()], 1))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--model", required=True)
    parser.add_argument("--tests", required=True, help="folder for the held-out windows and labels.csv")
    parser.add_argument("--minutes", type=float, default=0.7)
    parser.add_argument("--seconds", type=float, default=0.25, help="length of a window")
    args = parser.parse_args()
    window = int(RATE * args.seconds)
    rng = common.fixed_seed(2)
    paths = sorted(glob.glob(os.path.join(args.data, "audio", "speech-train", "*.flac")))
    names = sorted({speaker(path) for path in paths})
    sounds = [[read(path) for path in paths if speaker(path) == name] for name in names]

    folder = os.path.join(args.tests, "windows")
    os.makedirs(folder, exist_ok=True)
    rows, inputs, labels = [], [], []
    for path in sorted(glob.glob(os.path.join(args.data, "audio", "speech-val", "*.flac"))):
        if speaker(path) not in names:
            continue
        samples, rate = soundfile.read(path, dtype="int16")
        length = int(rate * args.seconds)
        for i in range(len(samples) // length):
            part = samples[i * length:(i + 1) * length]
            if np.sqrt(np.mean((part / 32768) ** 2)) < 0.01:
                continue
            name = f"{os.path.splitext(os.path.basename(path))[0]}_{i:03}.wav"
            soundfile.write(os.path.join(folder, name), part, rate)
            rows.append((name, speaker(path)))
            inputs.append(torch.from_numpy(read(os.path.join(folder, name))[:window]))
            labels.append(names.index(speaker(path)))
    common.write_labels(os.path.join(args.tests, "labels.csv"), rows)

    def batch(size=48):
        picked = rng.integers(len(names), size=size)
        out = np.zeros((size, window), np.float32)
        for i, label in enumerate(picked):
            sound = sounds[label][rng.integers(len(sounds[label]))]
            begin = int(rng.integers(max(1, len(sound) - window + 1)))
            part = sound[begin:begin + window]
            out[i, :len(part)] = part * 10 ** rng.uniform(-0.4, 0.4)
        return torch.from_numpy(out), torch.from_numpy(picked)

    model = Speakers(len(names))
    steps = common.train(model, batch, 2e-3, minutes=args.minutes)
    found = common.accuracy(model, inputs, labels)
    print(f"{steps} steps; {len(rows)} held-out windows of {len(set(labels))} speakers: accuracy {found:.4f}")
    common.export(model, torch.zeros(1, window), args.model, names,
                  {"sound": {"sample-rate": RATE, "samples": window}})


if __name__ == "__main__":
    main()
