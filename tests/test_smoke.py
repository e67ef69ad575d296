"""What the smoke tests of DuaneNielsen's trainer ask for, on as few real images.

It learns from 256 images and is scored on 256 others. Its errors of autoencoders are of
images that were divided by their standard deviation; here they are of values in [0, 1].
"""

import io
import json
import tarfile
from collections import defaultdict

import numpy as np
import pytest
from PIL import Image
from runs import as_words

import models_iic
from iic_tf.datasets.numpy_files import from_idx

NUMBER = 256
STEPS = NUMBER // 16
"""Steps of a pass."""


@pytest.fixture
def few_digits(mnist_dir, tmp_path):
    splits = from_idx(mnist_dir).splits
    arrays = {}
    for name in ("train", "test"):
        arrays[f"x_{name}"] = splits[name].images[:NUMBER, ..., 0]
        arrays[f"y_{name}"] = splits[name].labels[:NUMBER]
    np.savez(tmp_path / "few.npz", **arrays)
    return tmp_path / "few.npz"


@pytest.fixture
def few_photographs(cifar10_archive, tmp_path):
    """As many of each of the ten classes, in an order of no meaning."""
    found = defaultdict(list)
    with tarfile.open(cifar10_archive) as archive:
        for member in archive:
            split, name, *file = member.name.split("/")[-3:]
            if file and len(found[split, name]) < -(-NUMBER // 10):
                data = io.BytesIO(archive.extractfile(member).read())
                with Image.open(data) as image:
                    found[split, name].append(np.asarray(image.convert("RGB")))
    arrays, rng = {}, np.random.default_rng(0)
    for split in ("train", "test"):
        names = sorted(name for part, name in found if part == split)
        images = np.concatenate([found[split, name] for name in names])
        labels = np.repeat(np.arange(10), len(images) // 10)
        order = rng.permutation(len(images))[:NUMBER]
        arrays |= {f"x_{split}": images[order], f"y_{split}": labels[order]}
    np.savez(tmp_path / "few.npz", **arrays)
    return tmp_path / "few.npz"


def run(task, images, folder, *, epochs, **changes):
    options = {
        "task": task,
        "data.dir": images,
        "data.batch": 16,
        "data.repeats": 1,
        "train.epochs": epochs,
        "train.learning_rate": 3e-4,
        "train.warmup_steps": STEPS,
        "report.every": STEPS * max(epochs // 8, 1),
        "report.window": "never",
        "out": folder,
        "name": "smoke",
        **changes,
    }
    assert models_iic.main(as_words(options)) == 0
    rows = (folder / "smoke" / "history.jsonl").read_text().splitlines()
    summary = json.loads((folder / "smoke" / "summary.json").read_text())
    return summary, [json.loads(row) for row in rows]


STILL = {"rotation": 0, "crop": [1, 1], "shift": 0.125, "shear": 0, "flipped": 0.5}
STILL |= {"brightness": 0, "contrast": 0, "saturation": 0, "hue": 0}
PHOTOGRAPHS = {"data.recipe": "cifar10", "data.augment": json.dumps(STILL)}
LAYERS = {
    "fc": "[2500,2000,1500,1000,500]",
    "vgg": "[64,64,M,128,128,M,256,256,256,M,512,512,512,M,512,512,512,M]",
    "resnet-batchnorm": "[64,64,M,128,M,256,256,M,512,512,M,512,512]",
    "resnet-fixup-const": "[64,64,M,128,M,256,256,M,512,512,M,512,512,M]",
}
DIGITS_VGG = "[64,64,128,128,M,256,256,256,M,512,512,512,M,512,512,512,M]"


def tokens(kind, **changes):
    args = {"kind": kind, "layers": LAYERS[kind], **changes}
    return {"graph.name": "tokens"} | {f"graph.args.{x}": y for x, y in args.items()}


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "epochs", "least"), [("fc", 3, 0.2), ("vgg", 5, 0.5)])
@pytest.mark.timeout(3600)
def test_digits_are_classified(kind, epochs, least, few_digits, tmp_path):
    changes = tokens(kind) if kind == "fc" else tokens(kind, layers=DIGITS_VGG)
    changes |= {"data.recipe": "mnist_whole"}
    summary, _ = run("classify", few_digits, tmp_path, epochs=epochs, **changes)
    assert summary["images"] == NUMBER and 1 - summary["errors"][0] > least


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "epochs", "least"),
    [("vgg", 6, 0.2), ("resnet-batchnorm", 80, 0.13), ("resnet-fixup-const", 80, 0.2)],
)
@pytest.mark.timeout(7200)
def test_photographs_are_classified(kind, epochs, least, few_photographs, tmp_path):
    changes = {**PHOTOGRAPHS, **tokens(kind)}
    summary, rows = run("classify", few_photographs, tmp_path, epochs=epochs, **changes)
    assert max(1 - row["errors"][0] for row in rows) > least
    assert summary["images"] == NUMBER and rows[-1]["accuracy"] > 0.2


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_digits_are_given_back(few_digits, tmp_path):
    changes = {
        "data.recipe": "mnist_whole",
        "graph.args.kind": "fc",
        "graph.args.encoder": LAYERS["fc"],
        "graph.args.decoder": "[1000,1500,2000,2500]",
    }
    summary, _ = run("autoencode", few_digits, tmp_path, epochs=80, **changes)
    assert summary["reconstruction_error"] < 1.3 * 0.3081**2
    assert summary["explained"] > 0.5  # what is asked for black images do as well


ENCODERS = {
    "vgg": (
        '["C:64",128,256,M,256,512,M,512,512]',
        "[512,512,U,512,256,U,256,128,64]",
    ),
    "resnet-batchnorm": (
        '["C:64",64,128,M,128,256,M,256,512]',
        "[512,256,U,256,128,U,128,64]",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "epochs", "rate", "most"),
    [("vgg", 16, 1e-3, 1.0), ("resnet-batchnorm", 20, 1e-4, 1.2)],
)
@pytest.mark.timeout(7200)
def test_photographs_are_given_back(
    kind, epochs, rate, most, few_photographs, tmp_path
):
    encoder, decoder = ENCODERS[kind]
    changes = {
        **PHOTOGRAPHS,
        "graph.args.kind": kind,
        "graph.args.encoder": encoder,
        "graph.args.decoder": decoder,
        "train.learning_rate": rate,
    }
    summary, _ = run("autoencode", few_photographs, tmp_path, epochs=epochs, **changes)
    assert summary["reconstruction_error"] < most * 0.2**2
    assert summary["explained"] > 0
