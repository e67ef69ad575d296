"""The published data sets: tiny copies in their layouts, whole, cut and damaged."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import scipy.io
from PIL import Image
from test_coco_stuff import write_pair
from test_published import idx_bytes, write_celeba

from iic_tf.datasets.distributions import DISTRIBUTIONS


def checked(name, folder, images, **others):
    """Looks at a folder as if so many images had been published."""
    of = replace(DISTRIBUTIONS[name], images=images, **others)
    return of.check(of, folder)


def test_the_table_is_complete():
    for of in DISTRIBUTIONS.values():
        assert of.page.startswith("http") and all(of.images.values())
        for file in of.files:
            assert file.sha256 is None or re.fullmatch("[0-9a-f]{64}", file.sha256)
            assert file.url is None or file.url.endswith(f"/{file.name}")
            assert (file.size is None) == (file.sha256 is None)
    assert sum(DISTRIBUTIONS["celeba"].images.values()) == 202_599
    assert sum(DISTRIBUTIONS["potsdam"].images.values()) == 8_550


def test_sums_are_those_of_tensorflow_datasets():
    import tensorflow_datasets

    from iic_tf.datasets import published

    published.import_tfds()
    root = tensorflow_datasets.core.tfds_path()
    texts = [path.read_text() for path in (root / "url_checksums").glob("*.txt")]
    texts += [path.read_text() for path in root.glob("datasets/*/checksums.tsv")]
    known = {tuple(x.split("\t")[1:3]) for text in texts for x in text.splitlines()}
    for of in DISTRIBUTIONS.values():
        for file in of.files:
            assert file.size is None or (str(file.size), file.sha256) in known


def test_the_page_has_the_facts_of_the_table():
    page = (Path(__file__).parents[1] / "docs" / "data_sets.md").read_text()
    told = " ".join(page.split())
    for name, of in DISTRIBUTIONS.items():
        assert f"`prepare {name} FOLDER" in told and of.page in told
        for number in of.images.values():
            assert f"{number:,}" in told
        for file in of.files:
            assert file.name in told
            if file.size is not None:
                row = next(x for x in page.splitlines() if f"{file.size:,}" in x)
                assert f"`{file.name}`" in row and f"| {file.sha256[:8]} |" in row
            if file.url is not None:
                assert file.url in told or file.url.rpartition("/")[0] in told


def stl_files(folder, numbers, *, labels=("train", "test")):
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for name, number in numbers.items():
        pixels = rng.integers(0, 256, number * 27_648, dtype=np.uint8)
        (folder / f"{name}_X.bin").write_bytes(pixels.tobytes())
        if name in labels:
            classes = np.arange(number, dtype=np.uint8) % 10 + 1
            (folder / f"{name}_y.bin").write_bytes(classes.tobytes())


STL = {"train": 10, "test": 20, "unlabelled": 5}
STL_CONTENT = {
    "stl10_binary/train_X.bin": 10 * 27_648,
    "stl10_binary/train_y.bin": 10,
    "stl10_binary/unlabeled_X.bin": 5 * 27_648,
}


def test_stl10_whole_cut_and_without_labels(tmp_path):
    files = {"train": 10, "test": 20, "unlabeled": 5}
    stl_files(tmp_path / "a" / "stl10_binary", files)
    found, problems = checked("stl10", tmp_path / "a", STL, content=STL_CONTENT)
    assert found == [
        "train: 10 images of 96×96×3, 10 classes",
        "test: 20 images of 96×96×3, 10 classes",
        "unlabelled: 5 images of 96×96×3, no labels",
    ]
    assert not problems
    stl_files(
        tmp_path / "b" / "stl10_binary", {"train": 9, "test": 20}, labels=("test",)
    )
    _, problems = checked("stl10", tmp_path / "b", STL, content=STL_CONTENT)
    assert problems == [
        "train: 9 images, expected 10",
        "train: its labels are missing",
        "unlabelled: missing, expected 5 images",
        "stl10_binary/train_X.bin: 248,832 bytes, expected 276,480",
        "stl10_binary/train_y.bin: missing, expected 10 bytes",
        "stl10_binary/unlabeled_X.bin: missing, expected 138,240 bytes",
    ]


def test_an_empty_folder_and_a_damaged_file(tmp_path):
    _, problems = checked("stl10", tmp_path, STL, content=STL_CONTENT)
    assert [line.partition(":")[0] for line in problems] == list(STL_CONTENT)
    (tmp_path / "cifar-10-batches-bin").mkdir()
    (tmp_path / "cifar-10-batches-bin" / "data_batch_1.bin").write_bytes(b"123")
    _, problems = DISTRIBUTIONS["cifar10"].check(DISTRIBUTIONS["cifar10"], tmp_path)
    assert "must consist of records of 3073 bytes" in problems[0]
    assert "cifar-10-batches-bin/data_batch_1.bin: 3 bytes, expected 30,730,000" in (
        problems
    )
    assert (
        "cifar-10-batches-bin/test_batch.bin: missing, expected 30,730,000 bytes"
        in (problems)
    )


def test_mnist_in_other_forms_and_of_another_shape(tmp_path, digits_npz):
    images = {"train": 200, "test": 40}
    assert not checked("mnist", digits_npz.parent, images).problems
    square = np.zeros((3, 20, 20), np.uint8)
    (tmp_path / "train-images.idx3-ubyte").write_bytes(idx_bytes(square))
    (tmp_path / "train-labels.idx1-ubyte").write_bytes(
        idx_bytes(np.arange(3, dtype=np.uint8))
    )
    _, problems = checked("mnist", tmp_path, {"train": 3}, content={})
    assert problems == ["train: images of 20×20×1, expected 28×28×1"]


def coco_stuff(root, ids):
    values = np.full((360, 361), 148, np.uint8)
    for split, names in ids.items():
        for name in names:
            image = root / "images" / split / f"{name}.jpg"
            write_pair(image, root / "annotations" / split / f"{name}.png", values)
        lists = root / "curated" / split
        lists.mkdir(parents=True)
        for kind in ("Few_Stuff_6", "Full_Stuff_Coarse_7"):
            (lists / f"Coco164k{kind}.txt").write_text(f"{names[0]}\n")
    return root


def test_coco_stuff_file_by_file(tmp_path):
    images = {"train2017": 3, "val2017": 1}
    _, problems = checked("coco-stuff", tmp_path, images)
    assert (
        f"{tmp_path}/images/val2017: missing, expected a folder of 1 files" in problems
    )
    root = coco_stuff(tmp_path / "whole", {"train2017": "abc", "val2017": "d"})
    found, problems = checked("coco-stuff", root, images)
    assert not problems and found[:3] == [
        "train2017: 3 images",
        "train2017, Coco164kFew_Stuff_6: 1 images",
        "train2017, Coco164kFull_Stuff_Coarse_7: 1 images, the curation rule keeps 1 "
        "of 1 tried",
    ]
    (root / "annotations" / "train2017" / "b.png").unlink()
    (root / "images" / "val2017" / "d.jpg").rename(
        root / "images" / "val2017" / "e.jpg"
    )
    (root / "annotations" / "val2017" / "e.png").write_text("none")
    (root / "curated" / "train2017" / "Coco164kFew_Stuff_6.txt").unlink()
    _, problems = checked("coco-stuff", root, {"train2017": 4, "val2017": 1})
    told = "\n".join(problems)
    for line in (
        "train2017: 3 images, expected 4",
        "train2017/b.png: missing, expected the label map of an image",
        "Coco164kFew_Stuff_6.txt: missing, expected the authors' list of images",
        "val2017/e.png: cannot be read",
        "val2017/d.jpg: missing, expected an image of the list Coco164kFull_Stuff_Coa",
    ):
        assert line in told


def test_many_missing_files_are_counted(tmp_path):
    write_celeba(tmp_path, [0, 1, 2])
    images = {"train": 1, "validation": 1, "test": 1}
    assert checked("celeba", tmp_path, images) == (
        [f"{tmp_path}/img_align_celeba: 3 images",
         "train: 1 images", "validation: 1 images", "test: 1 images"],
        [],
    )  # fmt: skip
    _, problems = checked("celeba", tmp_path, {**images, "train": 40})
    assert problems[0].endswith("000004.jpg: missing, expected a face")
    assert problems[20] == "and 19 more files like these"
    assert "train: 1 images, expected 40" in problems
    (tmp_path / "list_eval_partition.txt").write_text("000001.jpg 0")
    _, problems = checked("celeba", tmp_path, images)
    assert "must give every image" in problems[0]
    (tmp_path / "list_eval_partition.txt").unlink()
    Image.new("RGB", (20, 20)).save(tmp_path / "img_align_celeba" / "000002.jpg")
    _, problems = checked("celeba", tmp_path, images)
    assert "000002.jpg: (20, 20, 3), expected 218×178×3" in problems[0]
    assert "list_eval_partition.txt: missing, expected the splits" in problems[1]
    _, problems = checked("celeba", tmp_path / "img_align_celeba", images)
    assert "missing, expected the folder of images" in problems[0]


def test_tiles_of_potsdam(tmp_path):
    for folder in ("imgs", "gt"):
        (tmp_path / folder).mkdir()
    images = {"labelled_train": 2, "unlabelled_train": 1, "labelled_test": 1}
    names = {"labelled_train": "ab", "unlabelled_train": "c", "labelled_test": "d"}
    for split, tiles in names.items():
        (tmp_path / f"{split}.txt").write_text("\n".join(tiles))
        for tile in tiles:
            pixels = {"img": np.zeros((200, 200, 4), np.uint8)}
            scipy.io.savemat(tmp_path / "imgs" / f"{tile}.mat", pixels)
            if tile != "c":
                labels = {"gt": np.zeros((200, 200), np.int32)}
                scipy.io.savemat(tmp_path / "gt" / f"{tile}.mat", labels)
    found, problems = checked("potsdam", tmp_path, images)
    assert found[0] == "labelled_train: 2 tiles" and not problems
    (tmp_path / "gt" / "a.mat").unlink()
    scipy.io.savemat(tmp_path / "gt" / "d.mat", {"gt": np.zeros((5, 5), np.int32)})
    (tmp_path / "unlabelled_train.txt").unlink()
    assert checked("potsdam", tmp_path, images).problems == [
        f"{tmp_path}/gt/a.mat: missing, expected a tile of labelled_train",
        f"{tmp_path}/unlabelled_train.txt: missing, expected a list of 1 tiles",
        f"{tmp_path}/gt/d.mat: (5, 5), not as large as its image",
    ]
