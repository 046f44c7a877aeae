"""What the small models of the machine-perception examples have in common."""

import csv
import json
import os
import time

import numpy as np
import torch

torch.set_num_threads(1)


def fixed_seed(seed):
    torch.manual_seed(seed)
    return np.random.default_rng(seed)


def write_labels(path, rows):
    """`file,label` rows; files are named from the data folder on."""
    with open(path, "w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["file", "label"])
        writer.writerows(rows)


def train(model, batch, rate, minutes=None, total=None, log=print):
    """Minimises the cross entropy of `batch()` for so many minutes of processor time, or steps in total, while the learning
    rate falls to nothing."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.02)
    begin, steps, average = time.process_time(), 0, None
    model.train()
    while (share := steps / total if total else (time.process_time() - begin) / (60 * minutes)) < 1:
        warm = min(1.0, (steps + 1) / 50)
        for group in optimizer.param_groups:
            group["lr"] = rate * warm * 0.5 * (1 + np.cos(np.pi * share)) + 1e-6
        inputs, labels = batch()
        loss = torch.nn.functional.cross_entropy(model(inputs), labels, label_smoothing=0.05)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        steps += 1
        average = loss.item() if average is None else 0.98 * average + 0.02 * loss.item()
        if steps % 50 == 0:
            log(f"step {steps}, {100 * share:.0f} %, loss {average:.3f}", flush=True)
    model.eval()
    return steps


@torch.no_grad()
def accuracy(model, inputs, labels):
    """Share of inputs whose label is found, one at a time as an evaluation does."""
    model.eval()
    found = [int(model(one[None]).argmax()) for one in inputs]
    return float(np.mean([a == b for a, b in zip(found, labels)]))


def export(model, example, path, classes, config):
    """Writes the model and, beside it, the configuration that `codec eval --task-config` reads."""
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    torch.onnx.export(model.eval(), (example,), path, dynamo=False, opset_version=17,
                      input_names=["input"], output_names=["logits"])
    with open(os.path.splitext(path)[0] + ".json", "w", encoding="utf-8") as out:
        json.dump({**config, "classes": classes}, out, indent=2)
        out.write("\n")
    print(f"{path}: {os.path.getsize(path)} bytes", flush=True)
