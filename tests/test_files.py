import csv

import numpy as np

import graphs
from iic_tf.report.files import write_assignments, write_network


def test_assignments_can_be_read_back(tmp_path):
    probabilities = np.array([[0.1, 0.7, 0.2], [0.5, 0.1, 0.4]])
    path = tmp_path / "assignments.csv"
    write_assignments(path, probabilities, labels=np.array([4, 5]))
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == {
        "image": "0", "cluster": "1", "confidence": "0.7000", "runner_up": "2",
        "label": "4",
    }  # fmt: skip
    assert (rows[1]["cluster"], rows[1]["runner_up"]) == ("0", "2")


def test_assignments_may_be_unsure(tmp_path):
    path = tmp_path / "assignments.csv"
    sure = np.array([0.5, 0.2])
    write_assignments(path, np.eye(2), confidence=sure, unsure=0.5)
    with path.open() as file:
        rows = list(csv.DictReader(file))
    found = [(row["confidence"], row["unsure"]) for row in rows]
    assert found == [("0.5000", "no"), ("0.2000", "yes")]


def test_assignments_name_files(tmp_path):
    path = tmp_path / "assignments.csv"
    write_assignments(path, np.eye(2), paths=("a/x, y.jpg", "b.jpg"))
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == ["a/x, y.jpg", "b.jpg"]


def test_networks_in_words(tmp_path):
    backbone = graphs.network_6c((24, 24, 1), tracked=False)
    write_network(tmp_path / "network.txt", backbone)
    lines = (tmp_path / "network.txt").read_text().splitlines()
    assert lines[1].split() == ["stage1_conv", "Conv2D", "24×24×64", "1,600"]
    marked = [line.split()[0] for line in lines if "no running statistics" in line]
    assert marked == [f"stage{i}_bn" for i in range(1, 5)]
    assert lines[-1].split()[-1] == "parameters"
