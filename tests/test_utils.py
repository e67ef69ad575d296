"""What one does with a trained run from a notebook."""

import numpy as np
import pytest
import tensorflow as tf

import utils
from iic_tf.errors import UserError


def test_a_finished_run_is_loaded_and_applied(labelled_run, tmp_path):
    folder = labelled_run.folder
    run = utils.load(folder)
    assert run.options.task == "cluster" and run.summary["k"] == 10
    assert [row["step"] for row in run.history] == [4, 8]

    task = utils.images_of(run)
    images = task.protocol.evaluate.images
    views = task.views.evaluate(images / np.float32(255), tf.constant((0, 0))).numpy()
    clusters, probability = run.assign(views)
    rows = (folder / "assignments.csv").read_text().splitlines()[1:]
    assert clusters.tolist() == [int(row.split(",")[1]) for row in rows]
    np.testing.assert_array_equal(probability, run.probabilities(views).max(axis=1))
    with pytest.raises(UserError, match=r"views must have shape \(n, 24, 24, 1\)"):
        run.assign(views[:, :10])
    with pytest.raises(UserError, match="load needs the folder of a run"):
        utils.load(tmp_path / "none")


def test_images_are_shown_side_by_side(digits):
    shown = utils.show(digits[0][:6], columns=3, least=56)
    assert shown.size == (3 * 56 + 4, 2 * 56 + 2) and shown.mode == "RGB"
