"""Published data sets are set up from a server, from archives and from raw images."""

import hashlib
import re
import shlex
import tarfile
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from test_distributions import STL, STL_CONTENT, coco_stuff, stl_files
from test_downloads import archive_of
from test_published import write_celeba

import data
import models_iic
from commands.prepare import NEXT
from commands.starting import quiet_start
from iic_tf.datasets import published
from iic_tf.datasets.distributions import DISTRIBUTIONS
from iic_tf.datasets.published import from_dir


def prepare(*words):
    return models_iic.main(["prepare", *map(str, words)])


def packed(tmp_path, name, folder):
    """An archive of all files of a folder."""
    path = tmp_path / name
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder, folder.name)
    return path


@pytest.fixture
def stl(tmp_path, server, monkeypatch):
    """STL-10 with 35 images, behind a server."""
    files = {"train": 10, "test": 20, "unlabeled": 5}
    stl_files(tmp_path / "raw" / "stl10_binary", files)
    path = packed(tmp_path, "stl10_binary.tar.gz", tmp_path / "raw" / "stl10_binary")
    content = path.read_bytes()
    server.files[path.name] = content
    [file] = DISTRIBUTIONS["stl10"].files
    file = file._replace(
        url=server.url + path.name,
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )
    tiny = replace(
        DISTRIBUTIONS["stl10"], files=(file,), images=STL, content=STL_CONTENT
    )
    monkeypatch.setitem(DISTRIBUTIONS, "stl10", tiny)
    return server


def test_stl10_is_downloaded_unpacked_checked_and_read(stl, tmp_path, capsys):
    folder = tmp_path / "my sets" / "stl"
    stl.broken_at = 100_000
    assert prepare("stl10", folder) == 2
    assert "broke off; the same command goes on from there" in capsys.readouterr().err
    stl.broken_at = None
    assert prepare("stl10", folder) == 0
    said = capsys.readouterr().out
    assert "Needed:   stl10_binary.tar.gz" in said
    assert "Checked:  train: 10 images of 96×96×3, 10 classes" in said
    assert stl.begun == [0, 100_000]
    assert sorted(path.name for path in folder.iterdir()) == [
        "stl10_binary", "stl10_binary.tar.gz",
    ]  # fmt: skip
    [run] = re.findall(r"Next: +python models_iic.py (.*)", said)
    options = models_iic.parse(shlex.split(run))
    assert options.data.recipe == "stl10" and options.data.dir == str(folder)
    images = data.find(options.data)[2].splits["train"].images
    assert images.shape == (10, 96, 96, 3)
    stl.files.clear()
    (folder / "stl10_binary.tar.gz").unlink()
    assert prepare("stl10", folder) == 0  # nothing is needed
    assert "Needed" not in capsys.readouterr().out


def test_a_download_that_cannot_be_had_is_one_sentence(stl, tmp_path, capsys):
    folder = tmp_path / "stl"
    stl.files.clear()
    assert prepare("stl10", folder) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and f"put it into {folder} and run the same" in said
    assert f"(…404 Not Found); get it from {stl.url}" in re.sub(
        r"\(.*: 404", "(…404", said
    )
    assert not folder.exists()


def test_archives_that_one_has_are_unpacked(stl, tmp_path, capsys):
    stl.files.clear()
    assert prepare("stl10", tmp_path / "a", "--from", tmp_path) == 0
    source = from_dir(str(tmp_path / "a"), name="stl10")
    assert len(source.splits["unlabelled"].images) == 5
    path = tmp_path / "stl10_binary.tar.gz"
    path.write_bytes(path.read_bytes()[:1000])
    assert prepare("stl10", tmp_path / "b", "--from", tmp_path) == 2
    told = capsys.readouterr()
    assert "not the file that was published" in told.out
    assert "cannot unpack" in told.err and not list((tmp_path / "b").iterdir())


def test_a_folder_is_only_checked(stl, tmp_path, capsys):
    assert prepare("stl10", tmp_path / "raw", "--check") == 0
    (tmp_path / "raw" / "stl10_binary" / "train_y.bin").unlink()
    assert prepare("stl10", tmp_path / "raw", "--check") == 2
    told = capsys.readouterr()
    assert "Wrong:    train: its labels are missing\n" in told.out
    assert "stl10_binary/train_y.bin: missing, expected 10 bytes" in told.out
    assert "does not hold STL-10 as published" in told.err
    assert not stl.begun


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["mnits", "x"], "prepare needs the name of a data set, such as mnist"),
        (["stl10", "nowhere", "--check"], "--check needs an existing folder"),
        (["stl10", "x", "--from", "nowhere"], "--from must be an existing folder"),
        (["stl10", "x", "--from", ".", "--check"], "--check takes no --from"),
        (["stl10"], "prepare: the following arguments are required"),
        (["celeba", "x"], "CelebA is not downloaded here.*list_eval_partition.txt"),
    ],
)
def test_mistakes_are_told(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    assert prepare(*words) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not list(tmp_path.iterdir())


def test_what_is_proposed_next_is_understood(tmp_path):
    assert list(NEXT) == list(DISTRIBUTIONS)
    with quiet_start():
        for words in NEXT.values():
            options = models_iic.parse([*words, "--data.dir", str(tmp_path)])
            assert data.RECIPES[data.recipe_of(options.data)].find is not None


def test_idx_files_that_one_has(tmp_path, mnist_dir, capsys):
    assert prepare("mnist", tmp_path / "mnist", "--from", mnist_dir) == 0
    assert "Checked:  train: 60,000 images of 28×28×1" in capsys.readouterr().out
    assert len(list((tmp_path / "mnist").iterdir())) == 4


def test_what_is_there_in_another_form_is_enough(digits_npz, monkeypatch, capsys):
    images = {"train": 200, "test": 40}
    tiny = replace(DISTRIBUTIONS["mnist"], images=images)
    monkeypatch.setitem(DISTRIBUTIONS, "mnist", tiny)
    assert prepare("mnist", digits_npz.parent) == 0
    assert "Needed" not in capsys.readouterr().out


def test_celeba_from_its_two_files(tmp_path, monkeypatch, capsys):
    write_celeba(tmp_path / "have", [0, 1, 2])
    faces = tmp_path / "have" / "img_align_celeba"
    files = {f"img_align_celeba/{x.name}": x.read_bytes() for x in faces.iterdir()}
    archive_of(tmp_path / "have" / "img_align_celeba.zip", files)
    images = {"train": 1, "validation": 1, "test": 1}
    tiny = replace(DISTRIBUTIONS["celeba"], images=images)
    monkeypatch.setitem(DISTRIBUTIONS, "celeba", tiny)
    assert prepare("celeba", tmp_path / "celeba", "--from", tmp_path / "have") == 0
    assert "celeba_autoencode_resnet.yaml" in capsys.readouterr().out
    source = published.from_celeba(tmp_path / "celeba", side=16)
    assert list(source.splits) == ["train", "validation", "test"]


def test_coco_stuff_from_a_server_with_its_lists(tmp_path, server, monkeypatch, capsys):
    root = coco_stuff(tmp_path / "raw", {"train2017": "abc", "val2017": "d"})
    (tmp_path / "COCO" / "CocoStuff164k").mkdir(parents=True)
    (root / "curated").rename(tmp_path / "COCO" / "CocoStuff164k" / "curated")

    def zipped(name, *folders):
        files = {
            str(path.relative_to(folder.parent)): path.read_bytes()
            for folder in folders
            for path in folder.iterdir()
        }
        return archive_of(tmp_path / name, files)

    made = [
        zipped("train2017.zip", root / "images" / "train2017"),
        zipped("val2017.zip", root / "images" / "val2017"),
        zipped("stuffthingmaps_trainval2017.zip", *(root / "annotations").iterdir()),
        packed(tmp_path, "COCOStuff164kCurated.tar.gz", tmp_path / "COCO"),
    ]
    server.files.update({path.name: path.read_bytes() for path in made})
    of = DISTRIBUTIONS["coco-stuff"]
    files = tuple(
        file._replace(url=server.url + file.name, size=None, sha256=None)
        for file in of.files
    )
    tiny = replace(of, files=files, images={"train2017": 3, "val2017": 1})
    monkeypatch.setitem(DISTRIBUTIONS, "coco-stuff", tiny)
    assert prepare("coco_stuff", tmp_path / "coco") == 0
    said = capsys.readouterr().out
    assert said.count("Needed:") == said.count("Unpacked:") == 4
    assert "Coco164kFull_Stuff_Coarse_7: 1 images, the curation rule keeps 1 of" in said
    mine = ["curate", tmp_path / "coco", "--classes", "few", "--name", "mine"]
    assert prepare(*mine) == 0
    lists = tmp_path / "coco" / "curated"
    assert (lists / "train2017" / "mine.txt").read_text() == "a\nb\nc\n"


def raw_potsdam(raw):
    for folder in ("4_Ortho_RGBIR", "5_Labels_for_participants"):
        (raw / folder).mkdir(parents=True)
    pixels = np.zeros((400, 800, 4), np.uint8)
    for number in ("2_10", "2_11"):
        name = f"top_potsdam_{number}_RGBIR.tif"
        Image.fromarray(pixels, "RGBA").save(raw / "4_Ortho_RGBIR" / name)
    labels = Image.new("RGB", (800, 400), (0, 0, 255))
    labels.save(raw / "5_Labels_for_participants" / "top_potsdam_2_10_label.tif")


def test_potsdam_is_cut_or_unpacked(tmp_path, monkeypatch, capsys):
    raw_potsdam(tmp_path / "raw")
    splits = {"labelled_train": 2, "unlabelled_train": 2, "labelled_test": 0}
    tiny = replace(DISTRIBUTIONS["potsdam"], images=splits)
    monkeypatch.setitem(DISTRIBUTIONS, "potsdam", tiny)
    tiles = tmp_path / "Potsdam"
    assert prepare("potsdam", tiles, "--from", tmp_path / "raw") == 0
    told = capsys.readouterr().out
    assert "Tiles in" in told and "Checked:  labelled_train: 2 tiles" in told
    assert "configs/potsdam_3_545.yaml" in told
    packed(tmp_path, "Potsdam.tar.gz", tiles)
    assert prepare("potsdam", tmp_path / "b", "--from", tmp_path) == 0
    assert (tmp_path / "b" / "imgs" / "2_10_0_0.mat").is_file()


def test_tools_are_words_of_prepare_and_commands(tmp_path, capsys):
    for call in (["prepare", "mosaic"], ["mosaic"]):
        assert models_iic.main([*call, str(tmp_path), str(tmp_path / "out")]) == 2
        assert "the folder must hold label maps" in capsys.readouterr().err
