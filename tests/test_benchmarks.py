"""Benchmarks that no other file of tests runs, each on as little as will do."""

import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import mistakes
from iic_tf.run_folder import read_summary

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def said(capsys, monkeypatch):
    """Runs a benchmark and returns what it prints."""

    def run(name, *words):
        monkeypatch.setattr(sys, "path", list(sys.path))  # which the script changes
        monkeypatch.setattr(sys, "argv", [name, *words])
        runpy.run_path(str(BENCHMARKS / name), run_name="__main__")
        return capsys.readouterr().out

    return run


def test_costs_of_the_segmentation_loss(said):
    small = ["--k=2", "--side=16", "--reach=1", "--batch=1", "--rounds=1"]
    table = said("segmentation_loss.py", *small, "--without", "torch")
    rows = [line.split() for line in table.splitlines()[1:]]
    assert [row[:4] for row in rows] == [
        ["collapsed", "2", "16", "1"],
        ["uncollapsed", "2", "16", "1"],
    ]


@pytest.mark.long
def test_baselines_of_a_folder(said, digits, tmp_path):
    for number in range(300):
        file = tmp_path / str(digits[1][number]) / f"{number}.png"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(digits[0][number, ..., 0]).save(file)
    table = said("baselines.py", "--folder", str(tmp_path), "--seeds", "0")
    errors = dict(re.findall(r"^(.*?)  +error (0\.\d+)", table, re.MULTILINE))
    middle = "k-means on edges and patches, the middle first" in errors
    assert middle == bool(re.search(r"^chosen: .*, the middle first$", table, re.M))
    assert len(errors) == 13 + 3 * middle
    assert sum("(chosen)" in name for name in errors) == 2
    drawings = r"^graph of drawings.* --method spectral  +error (0\.\d+)"
    assert float(re.search(drawings, table, re.MULTILINE)[1]) < 0.3
    told = re.findall(r"groups (\d\.\d\d)  classes (\d\.\d\d)", table)
    assert len(told) == 3
    assert all(0 < float(nats) <= 2.31 for pair in told for nats in pair)


def test_neighbours_of_one_kind_of_mistake_by_hand():
    nearest = np.array([[1, 2], [0, 3], [3, 3], [2, 2]])
    labels = np.array(["1", "1", "1", "2"])
    predicted = np.array(["2", "2", "1", "2"])
    found = mistakes.shares(nearest, labels, predicted, ("1", "2"))
    assert found == (2 / 4, 1 / 4, 1 / 4)


@pytest.mark.long
def test_mistakes_and_the_neighbours_of_who_makes_them(labelled_run, capsys):
    mistakes.main([str(labelled_run.folder), "--kinds", "200"])
    told = capsys.readouterr().out
    summary = read_summary(labelled_run.folder)
    wrong = round(240 * summary["errors"][summary["chosen"]])
    assert f"{wrong} of 240 images are wrong" in told
    kinds = re.findall(r"(\d) in place of (\d): (\d+) images", told)
    assert sum(int(images) for _, _, images in kinds) == wrong
    assert all(cluster != true for cluster, true, _ in kinds)
    shares = re.findall(r"same mistake (.*?), .* class (.*?), .* other (.*)", told)
    assert len(shares) == len(kinds)
    assert all(sum(map(float, row)) <= 1.01 for row in shares)
