"""Every YAML file trains two steps on a little data in the published format."""

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image
from test_archives import planes, write_cifar10_binary, write_stl10
from test_coco_stuff import write_pair as write_coco_pair
from test_published import idx_bytes, write_celeba

import models_iic

CONFIGS = Path(__file__).parents[1] / "configs"
NAMES = sorted(path.stem for path in CONFIGS.glob("*.yaml"))


def mnist(folder, digits):
    images, labels = digits
    for name, part in (("train", slice(0, 40)), ("t10k", slice(40, 60))):
        for kind, array in (("images-idx3", images[..., 0]), ("labels-idx1", labels)):
            path = folder / f"{name}-{kind}-ubyte"
            path.write_bytes(idx_bytes(array[part].astype(np.uint8)))


def cifar10(folder, digits):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (168, 32, 32, 3), dtype=np.uint8)
    write_cifar10_binary(folder / "cifar-10-batches-bin", images, np.arange(168) % 10)


def cifar100(folder, digits):
    rng = np.random.default_rng(0)
    fine = np.arange(300) % 100
    labels = np.stack((fine // 5, fine), axis=1).astype(np.uint8)
    images = rng.integers(0, 256, (300, 32, 32, 3), dtype=np.uint8)
    for name in ("train.bin", "test.bin"):
        rows = np.concatenate([labels, planes(images)], axis=1)
        (folder / name).write_bytes(rows.tobytes())


def stl10(folder, digits):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (140, 96, 96, 3), dtype=np.uint8)
    write_stl10(folder / "stl10_binary", images, np.arange(140) % 10)


def coco(folder, digits):
    rng = np.random.default_rng(0)
    for split in ("train2017", "val2017"):
        for i in range(6):
            values = rng.choice([105, 148, 168, 118, 255, 0], (70, 80)).astype(np.uint8)
            write_coco_pair(
                folder / "images" / split / f"{i:012}.jpg",
                folder / "annotations" / split / f"{i:012}.png",
                values,
            )
        for name in ("Coco164kFew_Stuff_6", "Coco164kFull_Stuff_Coarse_7"):
            path = folder / "curated" / split / f"{name}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(f"{i:012}\n" for i in range(5)))


def potsdam(folder, digits):
    rng = np.random.default_rng(0)
    for name in ("imgs", "gt"):
        (folder / name).mkdir()
    for split, numbers in (
        ("labelled_train", range(5)),
        ("unlabelled_train", range(5, 7)),
        ("labelled_test", range(7, 9)),
    ):
        (folder / f"{split}.txt").write_text("".join(f"{i}\n" for i in numbers))
        for i in numbers:
            image = rng.integers(0, 256, (200, 200, 4), dtype=np.uint8)
            scipy.io.savemat(folder / "imgs" / f"{i}.mat", {"img": image})
            if split != "unlabelled_train":
                labels = rng.integers(0, 6, (200, 200)).astype(np.int32)
                scipy.io.savemat(folder / "gt" / f"{i}.mat", {"gt": labels})


def images(folder, digits):
    rng = np.random.default_rng(0)
    for name in ("images", "labels"):
        (folder / name).mkdir()
    for i in range(6):
        image = rng.integers(0, 256, (90, 120, 3), dtype=np.uint8)
        Image.fromarray(image).save(folder / "images" / f"{i}.jpg")
        labels = rng.integers(0, 12, (90, 120), dtype=np.uint8)
        Image.fromarray(labels).save(folder / "labels" / f"{i}.png")


def celeba(folder, digits):
    write_celeba(folder, [0] * 12 + [1] * 4 + [2] * 8)


def pong(folder, digits):
    rng = np.random.default_rng(0)
    for i in range(24):
        path = folder / f"{i % 6}" / f"{i}.png"
        path.parent.mkdir(exist_ok=True)
        patch = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(patch).save(path)


MAKERS = {
    "camvid": images,
    "aerial": images,
    "coco": coco,
    "potsdam": potsdam,
    "mnist": mnist,
    "fashion": mnist,
    "cifar10": cifar10,
    "cifar100": cifar100,
    "stl10": stl10,
    "celeba": celeba,
    "pong": pong,
}


def two_steps(name, where, tmp_path):
    status = models_iic.main(
        [
            f"--config={CONFIGS / name}.yaml", *where,
            f"--out={tmp_path / 'runs'}", f"--name={name}", "--data.batch=4",
            "--train.epochs=null", "--train.steps=2", "--train.steps_per_call=1",
            "--report.every=2", "--report.window=never",
        ]
    )  # fmt: skip
    assert status == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_two_steps_from_end_to_end(name, digits, tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    make = MAKERS[name.split("_")[0]]
    make(folder, digits)
    where = [f"--data.dir={folder}"]
    if make is images:
        where = [f"--data.images={folder}/images", f"--data.masks={folder}/labels"]
    if name == "stl10_698":
        two_steps("stl10_650", where, tmp_path)
        where = [f"--tune.run={tmp_path / 'runs' / 'stl10_650'}"]  # has images, too
    if make is pong:
        where = [f"--data.folder={folder}", "--data.labels=folder"]
        where += ["--data.limit=[16,8]"]
    two_steps(name, where, tmp_path)
    summary = json.loads((tmp_path / "runs" / name / "summary.json").read_text())
    assert summary["steps"] == 2
    if "reconstruction_error" in summary:
        assert 0 < summary["reconstruction_error"] < 1
        return
    doubled = summary.get("errors_batch_statistics") or [0.5]
    for errors in (summary["errors"], doubled):
        assert all(0 <= error <= 1 for error in errors)
