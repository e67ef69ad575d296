import csv

import numpy as np
import pytest

import graphs
from iic_tf.evaluation.metrics import contingency, match_one_to_one
from iic_tf.neighbours.spectral import neighbour_graph, typical
from iic_tf.report.files import write_assignments, write_network
from iic_tf.report.results import name_classes
from iic_tf.report.segment_plots import iou_lines
from iic_tf.report.sentences import score_table, sub_head_table


def test_table_of_sub_heads_with_and_without_labels():
    information = np.array([1.9, 2.01])
    lines = sub_head_table(
        information,
        chosen=1,
        errors=np.array([0.1666, 0.02764]),
        chosen_by="lowest loss",
    )
    assert lines == [
        "Sub-head 0  error = 0.1666  MI = 1.90 nats",
        "Sub-head 1  error = 0.0276  MI = 2.01 nats  <- chosen (lowest loss)",
        "Mean of 2 sub-heads  error = 0.0971",
    ]
    lines = sub_head_table(information, chosen=1, chosen_by="lowest loss")
    assert lines[1] == "Sub-head 1  MI = 2.01 nats  <- chosen (lowest loss)"
    assert len(lines) == 2


def test_of_many_classes_the_most_frequent_are_told():
    counts = np.zeros((2, 128), int)
    counts[0, 3:40] = np.arange(37) + 1
    counts[1, 100] = 297
    ious = {f"c{i}": None if n == 0 else 0.5 for i, n in enumerate(counts.sum(axis=0))}
    lines = iou_lines(ious, counts)
    assert len(lines) == 11
    assert lines[0] == "IoU 0.5000  c31, 3 % of the pixels"
    assert lines[9] == "IoU 0.5000  c100, 30 % of the pixels"
    assert lines[10] == (
        "IoU of 118 more classes in summary.json, 90 of them without a pixel"
    )
    lines = iou_lines({"a": 0.25, "\x1b[1m": None}, np.array([[4, 0], [0, 0]]))
    assert lines == [
        "IoU 0.2500  a, 100 % of the pixels",
        "IoU -       \\x1b[1m, 0 % of the pixels",
    ]


def test_clusters_are_matched_with_classes():
    clusters, labels = np.array([2, 2, 0, 0, 1]), np.array([0, 0, 1, 1, 1])
    match = match_one_to_one(
        contingency(clusters, labels, num_clusters=3, num_classes=2)
    )
    assert match.tolist() == [1, -1, 0]


def test_classes_have_their_names_or_their_numbers():
    assert name_classes(3, ("cat", "dog", "cow")) == ["cat", "dog", "cow"]
    assert name_classes(3, ("cat", "dog")) == ["0", "1", "2"]
    assert name_classes(3, None) == ["0", "1", "2"]


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


def test_assignments_name_files(tmp_path):
    path = tmp_path / "assignments.csv"
    write_assignments(path, np.eye(2), paths=("a/x, y.jpg", "b.jpg"))
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == ["a/x, y.jpg", "b.jpg"]


def test_table_of_scores():
    scores = {"one-to-one": np.array([0.5, 0.9, 0.7]), "NMI": np.array([0.1, 0.2, 0.3])}
    lines = score_table(scores, chosen=1)
    assert lines[0].split() == ["chosen", "mean", "std", "best", "worst"]
    expected = ["one-to-one", "0.9000", "0.7000", "0.1633", "0.9000", "0.5000"]
    assert lines[1].split() == expected
    assert lines[2].startswith("NMI") and len(lines) == 3


def test_networks_in_words(tmp_path):
    backbone = graphs.network_6c((24, 24, 1), tracked=False)
    write_network(tmp_path / "network.txt", backbone)
    lines = (tmp_path / "network.txt").read_text().splitlines()
    assert lines[1].split() == ["stage1_conv", "Conv2D", "24×24×64", "1,600"]
    marked = [line.split()[0] for line in lines if "no running statistics" in line]
    assert marked == [f"stage{i}_bn" for i in range(1, 5)]
    assert lines[-1].split()[-1] == "parameters"


def test_typical_images_have_neighbours_of_their_own_group():
    nearest = np.array([[1, 2], [0, 2], [0, 1], [4, 2], [3, 2]])
    shares = typical(neighbour_graph(nearest), np.array([0, 0, 0, 1, 1]), 2)
    assert shares.dtype == np.float32
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    np.testing.assert_array_equal(shares.argmax(axis=1), [0, 0, 0, 1, 1])
    assert shares[0, 0] == 1  # all its neighbours are like it
    assert shares[2, 0] == pytest.approx((1 + 4 / 6) / 2)
