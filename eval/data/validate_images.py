"""Measures JPEG files with programs that are not ours, for examples/validate_metrics.rs to compare with.

Run: pip install numpy pillow torch pytorch-msssim; python validate_images.py KODAK OUT
Programs: cjpeg and djpeg (libjpeg-turbo-progs), ssimulacra2 (github.com/cloudinary/ssimulacra2, in SSIMULACRA2 or the path),
butteraugli_reference.cc
built on libjxl's library (in BUTTERAUGLI or the path). OUT gets the decoded pictures and theirs.json.
"""
import importlib.metadata, json, os, subprocess, sys
import numpy as np
import torch
from PIL import Image
from pytorch_msssim import ms_ssim

torch.set_num_threads(1)
kodak, out = sys.argv[1:3]
ssimulacra2 = os.environ.get("SSIMULACRA2", "ssimulacra2")
butteraugli = os.environ.get("BUTTERAUGLI", "butteraugli_reference")


def run(*command, stdin=None):
    return subprocess.run(command, input=stdin, check=True, capture_output=True).stdout


def load(path):
    return np.asarray(Image.open(path).convert("RGB")).astype(float)


def psnr(mse):
    return 10 * np.log10(255**2 / mse)


rows = []
for name in sorted(f for f in os.listdir(kodak) if f.endswith(".png")):
    original = os.path.join(kodak, name)
    a = load(original)
    ppm = b"P6 %d %d 255\n" % (a.shape[1], a.shape[0]) + a.astype(np.uint8).tobytes()
    for quality in (10, 50, 90):
        decoded = os.path.join(out, f"{name[:-4]}-{quality}.png")
        if not os.path.exists(decoded):
            jpeg = run("cjpeg", "-quality", str(quality), stdin=ppm)
            with open(decoded + ".ppm", "wb") as file:
                file.write(run("djpeg", "-ppm", stdin=jpeg))
            Image.open(decoded + ".ppm").save(decoded)
            os.remove(decoded + ".ppm")
        b = load(decoded)
        # Pillow's conversion rounds; the planes are made here.
        y = lambda x: x @ [0.299, 0.587, 0.114]
        planes = lambda x: (y(x), (x[..., 2] - y(x)) / 1.772, (x[..., 0] - y(x)) / 1.402)
        p = [psnr(((u - v) ** 2).mean()) for u, v in zip(planes(a), planes(b))]
        t = lambda x: torch.from_numpy(x).permute(2, 0, 1)[None]
        height, width, _ = a.shape
        for raw, pixels in (("a", a), ("b", b)):
            pixels.astype(np.uint8).tofile(os.path.join(out, raw))
        files = [os.path.join(out, raw) for raw in "ab"]
        distances = run(butteraugli, str(width), str(height), *files).split()
        rows.append(
            {
                "file": name,
                "quality": quality,
                "theirs": {
                    "psnr-rgb": psnr(((a - b) ** 2).mean()),
                    "psnr-y": p[0],
                    "psnr-ycbcr": (6 * p[0] + p[1] + p[2]) / 8,
                    "ms-ssim-rgb": float(ms_ssim(t(a), t(b), data_range=255)),
                    "ssimulacra2": float(run(ssimulacra2, original, decoded)),
                    "butteraugli": float(distances[0]),
                    "butteraugli-3norm": float(distances[1]),
                },
            }
        )
        print(name, quality, flush=True)
version = lambda *command: (lambda r: (r.stdout + r.stderr).decode().splitlines()[0])(
    subprocess.run(command, capture_output=True)
)
programs = {
    "cjpeg": version("cjpeg", "-version"),
    "psnr-rgb": f"numpy {np.__version__}",
    "psnr-y": f"numpy {np.__version__}",
    "psnr-ycbcr": f"numpy {np.__version__}",
    "ms-ssim-rgb": f"pytorch-msssim {importlib.metadata.version('pytorch-msssim')} in f64, torch {torch.__version__}",
    "ssimulacra2": "github.com/cloudinary/ssimulacra2 81feacf",
    "butteraugli": "github.com/libjxl/libjxl aea3a06e, its library through butteraugli_reference.cc",
    "butteraugli-3norm": "github.com/libjxl/libjxl aea3a06e, its library through butteraugli_reference.cc",
}
with open(os.path.join(out, "theirs.json"), "w") as file:
    json.dump({"programs": programs, "rows": rows}, file, indent=1)
