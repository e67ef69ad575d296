import numpy as np

from iic_tf.report.sentences import class_table, score_table, sub_head_table


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


def test_table_of_scores():
    scores = {"one-to-one": np.array([0.5, 0.9, 0.7]), "NMI": np.array([0.1, 0.2, 0.3])}
    lines = score_table(scores, chosen=1)
    assert lines[0].split() == ["chosen", "mean", "std", "best", "worst"]
    expected = ["one-to-one", "0.9000", "0.7000", "0.1633", "0.9000", "0.5000"]
    assert lines[1].split() == expected
    assert lines[2].startswith("NMI") and len(lines) == 3


def test_table_of_classes():
    recall = np.array([0.5, np.nan])
    lines = class_table(["cat", "giraffe"], np.array([1200, 0]), recall)
    assert [line.split() for line in lines] == [
        ["class", "images", "recall"],
        ["cat", "1,200", "0.5000"],
        ["giraffe", "0", "-"],
    ]
    assert len({len(line) for line in lines}) == 1
    recall = np.linspace(0.9, 0.1, 33)
    lines = class_table(list(map(str, range(33))), np.arange(33), recall)
    assert [line.split()[0] for line in lines[1:-1]] == list(map(str, range(3, 33)))
    assert lines[-1] == "Not shown: 3 with a higher recall (summary.json)"
    lines = class_table(list(map(str, range(31))), np.arange(31), None)
    assert lines[1].split() == ["1", "1"]
    assert lines[-1] == "Not shown: 1 with fewer images (assignments.csv)"
