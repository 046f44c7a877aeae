"""Writes what the examples of docs/machine-perception.md need to run on whole files: folders of links to the forty photographs and
to the recordings of speech-val whose voices the model knows, and labels of both.

    python labels.py /work/shared/data /tmp/mpq
"""

import argparse
import csv
import glob
import json
import os

PHOTOGRAPHS = 40
MODELS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "eval", "models")


def write(path, rows):
    with open(path, "w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["file", "label"])
        writer.writerows(rows)


def link(out, name, paths, label):
    folder = os.path.join(out, name)
    os.makedirs(folder, exist_ok=True)
    for path in paths:
        at = os.path.join(folder, os.path.basename(path))
        if not os.path.lexists(at):
            os.symlink(os.path.abspath(path), at)
    names = [os.path.basename(path) for path in paths]
    write(os.path.join(out, name + ".csv"), [(name, label(name)) for name in names])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("out")
    args = parser.parse_args()
    folder = os.path.join(args.data, "images", "train")
    # As scenes.photographs takes them.
    photos = sorted(glob.glob(os.path.join(folder, "clic_*"))) + sorted(glob.glob(os.path.join(folder, "photo_*")))
    link(args.out, "photos", photos[:PHOTOGRAPHS], lambda name: os.path.splitext(name)[0])
    with open(os.path.join(MODELS, "speakers.json"), encoding="utf-8") as file:
        voices = json.load(file)["classes"]
    speech = sorted(glob.glob(os.path.join(args.data, "audio", "speech-val", "*.flac")))
    voice = lambda path: os.path.basename(path).split("_")[0]
    link(args.out, "speech", [path for path in speech if voice(path) in voices], voice)


if __name__ == "__main__":
    main()
