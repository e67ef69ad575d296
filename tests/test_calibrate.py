"""Confidence of a run, from its network to its files."""

import csv

import numpy as np
import pytest
from conftest import write_digits
from runs import WHOLE, words

import models_iic
from benchmarks import calibration
from iic_tf.augment.pairs import own_views
from iic_tf.run_folder import read_summary
from iic_tf.tasks.calibrate import MAX_VIEWED, calibrate


def rows_of(folder):
    with (folder / "assignments.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_image_is_seen_in_the_own_views_wherever_it_is(digits, views):
    images = digits[0][:7]

    def shown(some, batch):
        batches = own_views(some, views, number=3, batch=batch, seed=1)
        return np.concatenate([part.numpy() for part in batches])

    found = shown(images, 4)
    assert found.shape == (7, 3, 12, 12, 1)
    np.testing.assert_array_equal(shown(images[5:6], 1)[0], found[5])
    assert np.abs(found[:, 0] - found[:, 1]).max() > 0.1
    # copies have the same views, other images others
    white = np.full_like(images[:3], 255)
    white[2, 14, 14] = 0
    one, other, third = shown(white, 3)
    np.testing.assert_array_equal(one, other)
    assert np.abs(one - third)[:, :3, :3].max() > 0


def test_a_network_is_calibrated_and_stays_as_it_is(digits, views, tiny_model):
    model = tiny_model(num_main=3, num_aux=2)
    before = [weights.numpy() for weights in model.weights]
    how = {"head": 1, "lamb": 1.0, "seed": 0}
    found = calibrate(model, digits[0][:200], views, **how)
    assert np.shape(found.matched) == (3, 10) and found.views == 4
    assert list(found.matched[1]) == list(range(10))
    assert np.shape(found.agreement) == (10,)
    assert 0 <= min(found.agreement) <= max(found.agreement) <= 1
    assert found == calibrate(model, digits[0][:200], views, **how)
    for weights, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weights.numpy(), value)
    alone = tiny_model(num_main=2, num_aux=0)
    assert calibrate(alone, digits[0][:50], views, **how).agreement == [1.0] * 10


def test_many_images_are_not_augmented(digits, views, tiny_model):
    many = np.broadcast_to(digits[0][:1], (MAX_VIEWED + 1, *digits[0].shape[1:]))
    found = calibrate(tiny_model(), many, views, head=0, lamb=1.0, seed=0)
    assert found.views == 0


def test_a_run_tells_how_sure_it_is(labelled_run):
    folder, told = labelled_run
    rows = rows_of(folder)
    summary = read_summary(folder)
    sure = np.array([float(row["confidence"]) for row in rows])
    unsure = [row["unsure"] == "yes" for row in rows]
    assert unsure == (sure < 0.5).tolist()
    assert summary["unsure"] == {
        "below": 0.5, "images": sum(unsure), "share": sum(unsure) / len(rows),
    }  # fmt: skip
    assert summary["confidence"] == pytest.approx(sure.mean(), abs=1e-4)
    assert len(summary["calibration"]["agreement"]) == 10
    assert f"images are unsure (below 0.5), {100 * np.mean(unsure):.1f} %." in told
    assert f"calibration error {summary['calibration_error']:.3f}" in told
    assert (folder / "reliability.png").stat().st_size > 5_000
    assert "reliability.png" in told

    right = [row["label"] == row["predicted"] for row in rows]
    bins = np.minimum((sure * 15).astype(int), 14)
    apart = [
        (bins == i).mean()
        * abs(sure[bins == i].mean() - np.mean(right, where=bins == i))
        for i in set(bins)
    ]
    assert summary["calibration_error"] == pytest.approx(sum(apart), abs=0.01)


def test_images_are_as_sure_on_their_own(labelled_run, digits, tmp_path):
    run = labelled_run.copy_to(tmp_path)
    np.savez(tmp_path / "some.npz", images=digits[0][100:108])
    place = f"--data.dir={tmp_path / 'some.npz'}"
    given = ["evaluate", str(run), place, "--report.unsure=0.9"]
    assert models_iic.main(given) == 0
    found, known = rows_of(run / "evaluation-1"), rows_of(run)[100:108]
    for row, before in zip(found, known, strict=True):
        assert row["cluster"] == before["cluster"]
        sure = float(before["confidence"])
        assert float(row["confidence"]) == pytest.approx(sure, abs=2e-3)
        assert row["unsure"] == ("yes" if float(row["confidence"]) < 0.9 else "no")
    assert not (run / "evaluation-1" / "reliability.png").exists()


@pytest.mark.long
def test_labels_change_no_confidence(labelled_run, digits, tmp_path, few_plots):
    place = write_digits(tmp_path, digits[0], digits[1][:240][::-1])
    assert models_iic.main(words(place, tmp_path / "runs", **WHOLE, name="other")) == 0
    found = []
    for folder in (labelled_run.folder, tmp_path / "runs" / "other"):
        rows = rows_of(folder)
        summary = read_summary(folder)
        found.append([(row["cluster"], row["confidence"]) for row in rows])
        found[-1].append(summary["calibration"])
        assert summary["calibration"]["views"] == 4
    assert found[0] == found[1]
    errors = [read_summary(x)["errors"] for x in (labelled_run.folder, folder)]
    assert errors[0] != errors[1]


def test_the_threshold_is_a_share(capsys):
    assert models_iic.main(["--report.unsure", "1.5"]) == 2
    told = capsys.readouterr().err
    assert "report.unsure must be between 0 and 1" in told


@pytest.mark.long
def test_the_benchmark_tells_errors_before_and_after(labelled_run, capsys):
    calibration.main([str(labelled_run.folder), "--rules"])
    told = capsys.readouterr().out.splitlines()
    [heading] = [line for line in told if line.startswith(str(labelled_run.folder))]
    lines = told[told.index(heading) + 1 :]
    assert "240 images" in heading
    assert [line.split("  ")[1].strip() for line in lines] == [
        "before", "mean of sub-heads", "times agreement", "with views", "after",
    ]  # fmt: skip
    summary = read_summary(labelled_run.folder)
    assert f"ECE {summary['calibration_error']:.3f}" in lines[-1]
    accuracy = 1 - summary["errors"][summary["chosen"]]
    assert all(f"accuracy {accuracy:.3f}" in line for line in lines)
