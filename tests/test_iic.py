import json

import numpy as np
import pytest

from iic_tf.datasets.splits import Protocol, Split
from iic_tf.evaluation.inference import compile_predict
from iic_tf.evaluation.metrics import contingencies, matched_errors
from iic_tf.options import Options
from iic_tf.report.sentences import error_words
from iic_tf.resolved import resolve
from iic_tf.tasks import iic
from iic_tf.tasks.cluster import ClusterTask
from iic_tf.training.checkpoints import History


@pytest.fixture
def history():
    history = History()
    results = {
        "main_loss": np.array([-10.0, -15.0]),
        "aux_loss": np.array([-20.0]),
        "main_joint": np.stack([np.eye(4), np.ones((4, 4))]) * 30,
        "aux_joint": np.eye(8)[None] * 10,
    }
    history.add(results, steps=10)
    return history


def test_a_row_is_plain_and_complete(history):
    row = iic.report(history.take(), history, step=10, start=0)
    assert json.loads(json.dumps(row)) == row
    assert row["chosen"] == 1  # the lower loss
    assert row["main_loss"] == [-1.0, -1.5]  # means over ten steps
    np.testing.assert_allclose(row["main_information"], [np.log(4), 0], atol=1e-9)
    np.testing.assert_allclose(row["aux_bound"], np.log(8))
    assert history.pending == {}


def test_a_run_that_still_learns_its_groups_is_not_off_track(history):
    nothing = {"main_loss": np.zeros(2), "main_joint": np.ones((2, 4, 4))}
    for step, start, off_track in ((400, 0, True), (400, 200, False), (500, 200, True)):
        history = History()
        history.add(nothing, steps=10)
        row = iic.report(history.take(), history, step=step, start=start)
        assert row["off_track"] is off_track
    history.add(nothing, steps=10)
    row = iic.report(history.take(), history, step=100, start=100)
    assert "Until step 100 the network learns the clusters" in row["words"][-1]


def test_regrouping_is_said_in_words_and_kept(history):
    history.remarks.append({"step": 7, "regrouped": [1.25, 2.04]})
    row = iic.report(history.take(), history, step=10, start=0)
    assert row["remarks"] == [{"step": 7, "regrouped": [1.25, 2.04]}]
    assert "At step 7 all main sub-heads restarted" in row["words"][-1]
    assert "(2.04 nats)" in row["words"][-1]
    assert history.remarks == []


def test_a_lower_lambda_is_said_in_words(history):
    history.remarks.append({"step": 300, "lamb_at_most": 1.0})
    row = iic.report(history.take(), history, step=310, start=0)
    assert row["words"][-1].startswith("At step 300 lambda was lowered to 1 ")
    assert row["off_track"] is False  # one sub-head knows everything


@pytest.mark.parametrize(
    ("shares", "patience", "expected"),
    [
        ([0.5, 0.6, 0.601, 0.6005], 2, True),
        ([0.5, 0.6, 0.601, 0.6005], 3, False),  # the first is all there is before
        ([0.5, 0.6, 0.599, 0.603], 2, False),
        ([0.6, 0.601], 2, False),
        ([0.01, 0.01, 0.01, 0.01], 2, False),  # off track
    ],
)
def test_a_run_has_plateaued_if_the_last_reports_gained_nothing(
    shares, patience, expected
):
    rows = [
        {"step": 10 * i, "off_track": share < 0.1, "main_bound": 2.0}
        | {"main_information": [0.0, 2.0 * share]}
        for i, share in enumerate([0.9, *shares])  # the first is before the last change
    ]
    assert iic.has_plateaued(rows, patience=patience, after=5) is expected


def test_scores_are_added_to_the_row(tiny_model, digits, views):
    images, labels = digits[0][:60], digits[1][:60]
    model, options = tiny_model(), resolve(Options())

    def scorer(*, mapping=None):
        split = Split(images, labels)
        protocol = Protocol(split, split, "sixty", mapping=mapping)
        return ClusterTask(protocol, views, "here").scorer(model, options)

    row = {"chosen": 0, "words": []}
    iic.scoring(scorer(), scored_on="sixty")(row)
    shown = views.evaluate(images / np.float32(255), (0, 0))
    clusters = compile_predict(model)(shown)["main"].numpy().argmax(-1)
    tables = contingencies(clusters, labels, num_clusters=10, num_classes=10)
    expected = matched_errors(tables)
    np.testing.assert_allclose(row["errors"], expected)
    assert row["scored_on"] == "sixty" and row["match"] == "one-to-one"
    assert row["words"][0].startswith(f"Error {expected[0]:.4f} of the lowest-loss")

    both = {"chosen": 0, "words": []}
    batch_statistics = compile_predict(model, batch_statistics=True)
    same = scorer(mapping=Split(images, labels))
    iic.scoring(same, scored_on="", batch_statistics=batch_statistics)(both)
    assert both["errors"] == row["errors"]  # mapped on the images scored
    assert len(both["errors_batch_statistics"]) == 3
    other = scorer(mapping=Split(digits[0][100:140], digits[1][100:140]))
    assert (other.errors() >= expected - 1e-9).all()


def test_errors_of_every_sub_head_are_readable_with_ten_and_more():
    errors = [0.5, *(0.0101 + i / 1000 for i in range(11))]
    words = error_words(errors, chosen=3, scored_on="test")
    assert words[0] == (
        "Error 0.0121 of the lowest-loss sub-head (3); mean 0.0555, best 0.0101, worst "
        "0.5000 of 12 (test)."
    )
    assert words[1].startswith("Errors of sub-heads 0 to 9: 0.5000 0.0101 0.0111 ")
    assert words[2] == "Errors of sub-heads 10 to 11: 0.0191 0.0201"
    assert len(words) == 3 and max(map(len, words)) < 105
    alone = error_words([0.25], chosen=0, scored_on="test")
    assert alone == ["Error 0.2500 of the lowest-loss sub-head (0) (test)."]


def test_an_output_that_was_closed_is_told():
    words = iic.remark_words({"step": 30, "output": "closed"})
    assert words == "At step 30 the output was closed; the run continued."


def test_a_refused_regrouping_is_told():
    done = {"step": 50, "regrouped": [1.2, 1.3], "sources": [0], "refused": False}
    assert "restarted" in iic.remark_words(done)
    assert "(1.30 nats)" in iic.remark_words(done)
    assert "which are kept" in iic.remark_words({**done, "refused": True})


def test_groups_are_found_by_the_last_lambda_or_by_information():
    assert iic.grouping_lamb(0.65) == 0.65
    assert iic.grouping_lamb(1.5) == 1
    assert iic.grouping_lamb([[0.0, 1.5], [0.5, 0.7]]) == 0.7
