"""The main job as people use it: command lines, real digits, exit statuses."""

import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
import yaml
from PIL import Image
from runs import TINY, WHOLE, as_words, words
from test_archives import write_stl10

import graphs
import models_iic
from iic_tf.errors import UserError
from iic_tf.evaluation import health
from iic_tf.options import Options
from iic_tf.report import cluster_plots
from iic_tf.tasks import cluster
from iic_tf.training import stored
from iic_tf.training.checkpoints import History

ROOT = Path(__file__).parents[1]


pytestmark = pytest.mark.usefixtures("few_plots")


@pytest.fixture
def out(tmp_path):
    return tmp_path / "runs"


# --------------------------------------------------------------------- from end to end


def test_a_run_with_labels(labelled_run):
    folder, text = labelled_run
    npz = folder.parents[1] / "digits.npz"
    assert f"240 for training, from npz file {npz}" in text
    assert "train.steps=8" in text and "data.shuffle" not in text
    assert re.search(r"mutual information \d\.\d\d of 2\.30 nats \(\d+ %\)", text)
    lines = re.findall(r"Sub-head (\d)  error = (0\.\d{4})  MI = \d\.\d\d nats", text)
    assert [head for head, _ in lines] == ["0", "1"]
    assert text.count("<- chosen (lowest loss)") == 1
    assert "Mean of 2 sub-heads" in text

    summary = json.loads((folder / "summary.json").read_text())
    errors = [float(error) for _, error in lines]
    np.testing.assert_allclose(summary["errors"], errors, atol=1e-4)
    assert f"sub-head: {summary['chosen']}," in text
    for name in (
        *("learning_curve.png", "clusters.png", "first_groups.png"),
        *("model.keras", "manifest.json"),
    ):
        assert (folder / name).stat().st_size > 0
    with (folder / "assignments.csv").open() as file:
        table = list(csv.DictReader(file))
    assert len(table) == 240
    assert list(table[0]) == [
        "image", "cluster", "confidence", "runner_up", "unsure", "label", "predicted",
    ]  # fmt: skip
    # the file is of the sub-head that was chosen, and says what it gets wrong
    wrong = [row["label"] != row["predicted"] for row in table]
    assert np.mean(wrong) == pytest.approx(summary["errors"][summary["chosen"]])
    for row in table:
        assert row["predicted"] == (summary["classes"][int(row["cluster"])] or "")
    assert re.search(r"Classes of the clusters: 0 is \d, 1 is \d, .*9 is \d\.", text)
    assert summary["mapping_errors"] is None  # mapped on what is scored
    stored = yaml.safe_load((folder / "options.yaml").read_text())
    assert stored["train"]["steps"] == 8
    rows = [json.loads(x) for x in (folder / "history.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [4, 8]
    assert summary["chosen"] == rows[-1]["chosen"]  # one rule for the lowest loss
    for row in rows:  # every report has the error of every sub-head
        first, second = (f"{error:.4f}" for error in row["errors"])
        assert f"Errors of sub-heads 0 to 1: {first} {second}\n" in text


@pytest.mark.slow
@pytest.mark.plots
def test_more_classes_than_the_recipe_has_names_for(digits, out, tmp_path):
    path = tmp_path / "many.npz"
    np.savez(path, images=digits[0][:240], labels=np.arange(240) % 26)
    assert models_iic.main(words(path, out, name="many")) == 0
    assert (out / "many" / "clusters.png").is_file()


@pytest.mark.long
def test_the_same_run_without_labels(unlabelled_run):
    folder, text = unlabelled_run
    assert folder.name == "mnist-1"
    assert "rror" not in text
    assert re.search(r"Sub-head \d  MI = \d\.\d\d nats  <- chosen", text)
    assert json.loads((folder / "summary.json").read_text())["errors"] is None
    header = (folder / "assignments.csv").read_text().splitlines()[0]
    assert header == "image,cluster,confidence,runner_up,unsure"


def test_labels_never_touch_training(labelled_run, unlabelled_run, digits, out):
    """True labels, others and none give the same weights, regroupings and choice."""
    path = out.with_name("wrong.npz")
    np.savez(path, images=digits[0][:240], labels=digits[1][:240][::-1])
    assert models_iic.main(words(path, out, name="wrong", **WHOLE)) == 0
    runs = (labelled_run.folder, out / "wrong", unlabelled_run.folder)
    right, *others = map(weights, runs)
    for other in others:
        for a, b in zip(right, other, strict=True):
            np.testing.assert_array_equal(a, b)
    right, wrong, none = (
        json.loads((folder / "summary.json").read_text()) for folder in runs
    )
    assert right["chosen"] == wrong["chosen"] == none["chosen"]
    assert right["errors"] != wrong["errors"] and none["errors"] is None
    remarks, *same = (
        [row["remarks"] for row in without_times(folder)] for folder in runs
    )
    assert same == [remarks] * 2
    assert sum("regrouped" in one for row in remarks for one in row) >= 2


@pytest.mark.long
def test_the_published_recipe_and_alternating_heads(digits_npz, out):
    changes = {
        "data.recipe": "mnist_published",
        "train.order": "[aux,main,main]",
        "train.epochs": 1,
        "data.repeats": None,  # as many as the recipe has
    }
    assert models_iic.main(words(digits_npz, out, **changes)) == 0
    assert (out / "mnist_published-1" / "summary.json").is_file()


def test_main_sub_heads_start_anew_now_and_then(labelled_run):
    # with the recipe's number of neighbours, as none is given
    check_regroupings(*labelled_run, neighbours=5, number=2)


@pytest.mark.slow  # what differs is in test_regroup.py and test_cluster.py
@pytest.mark.parametrize(("neighbours", "number"), [(0, 1), (2, 2)])
def test_they_start_anew_with_any_neighbours(
    digits_npz, out, neighbours, number, capsys
):
    changes = {**WHOLE, "data.neighbours": neighbours, "name": "again"}
    assert models_iic.main(words(digits_npz, out, **changes)) == 0
    text = capsys.readouterr().out
    check_regroupings(out / "again", text, neighbours=neighbours, number=number)


def check_regroupings(folder, text, *, neighbours, number):
    """Of as many groupings: those of one auxiliary head, and of the graph if any."""
    lines = (folder / "history.jsonl").read_text().splitlines()
    remarks = [remark for line in lines for remark in json.loads(line)["remarks"]]
    assert [remark["step"] for remark in remarks] == [3, 6]
    assert all(len(remark["regrouped"]) == number for remark in remarks)
    assert all(set(remark["sources"]) <= {0, -1} for remark in remarks)
    assert "At step 3 " in text
    stored = yaml.safe_load((folder / "options.yaml").read_text())
    assert stored["data"]["neighbours"] == neighbours


@pytest.mark.slow
def test_runs_are_numbered(digits_npz, out):
    for _ in range(2):
        assert models_iic.main(words(digits_npz, out, **{"train.steps": 2})) == 0
    assert sorted(path.name for path in out.iterdir()) == ["mnist-1", "mnist-2"]


def test_pairs_are_drawn_without_training(digits_npz, out, capsys):
    assert models_iic.main([*words(digits_npz, out), "--show-pairs"]) == 0
    assert [path.name for path in out.iterdir()] == ["pairs_mnist.png"]
    assert "pairs_mnist.png" in capsys.readouterr().out


@pytest.mark.long
def test_what_a_network_has_lost_the_graph_still_has(digits_npz, out, capsys):
    # nothing is learned, so all images are in one cluster or two
    changes = {"train.learning_rate": 1e-12, "name": "lost", "data.neighbours": 5}
    changes |= {"train.steps": 2, "report.every": 2}
    assert models_iic.main(words(digits_npz, out, **changes)) == 0
    text = capsys.readouterr().out
    assert "sub-heads are therefore fitted to those of the graph." in text
    summary = json.loads((out / "lost" / "summary.json").read_text())
    with open(out / "lost" / "assignments.csv", newline="") as file:
        clusters = {row["cluster"] for row in csv.DictReader(file)}
    assert len(clusters) == summary["k"] == 10
    assert summary["errors"][summary["chosen"]] < 0.6


@pytest.mark.plots
def test_the_quick_look_needs_no_network(digits_npz, out, capsys):
    given = {"method": "spectral", "name": "look", "data.neighbours": None}
    looked = words(digits_npz, out, **given)
    assert models_iic.main(looked) == 0
    names = {path.name for path in (out / "look").iterdir()}
    assert {"assignments.csv", "clusters.png", "summary.json"} <= names
    assert "model.keras" not in names
    text = capsys.readouterr().out
    assert "neighbour graph" in text and "error = 0." in text
    summary = json.loads((out / "look" / "summary.json").read_text())
    assert summary["images"] == 240 and summary["errors"][0] < 0.6
    assert models_iic.main([*looked, "--data.neighbours=0", "--name=none"]) == 2
    assert "method spectral needs data.neighbours" in capsys.readouterr().err
    assert not (out / "none").exists()
    assert models_iic.main([*looked, "--data.protocol=holdout", "--name=none"]) == 2
    assert "data.protocol must be all" in capsys.readouterr().err


def test_a_time_limit_is_minutes(tmp_path):
    assert models_iic.parse(["--time-limit", "2.5"]).time_limit == 2.5
    assert models_iic.parse([]).time_limit is None
    path = tmp_path / "o.yaml"
    path.write_text("time_limit: 3\n")
    assert models_iic.parse(["--config", str(path)]).time_limit == 3
    for wrong in ("0", "-1", ".inf", "soon"):
        with pytest.raises(UserError, match=r"time.limit"):
            models_iic.parse(["--time-limit", wrong])


def test_a_run_that_is_late_says_so(digits_npz, out, capsys, monkeypatch):
    monkeypatch.setattr("iic_tf.training.run.FEWEST_STEPS", 4)
    given = {"train.steps": None, "name": "late", "data.neighbours": 0}
    late = [*words(digits_npz, out, **given), "--time-limit=0.001"]
    assert models_iic.main(late) in (0, 3)
    text = " ".join(capsys.readouterr().out.split())
    assert re.search(
        r"The run took 0:\d\d, longer than the time limit of 0:00: a step took "
        r"[\d.]+ s, but [\d.]+ s when the run was planned. Was the machine busy\?",
        text,
    )


@pytest.mark.long
def test_a_degenerate_run_says_so_and_exits_3(digits_npz, out, capsys, monkeypatch):
    monkeypatch.setattr(health, "MIN_STEPS_TO_JUDGE", 8)
    # uniform outputs for ever: a rate of almost nothing, and no neighbours, else the
    # groups of their graph are handed over
    assert (
        models_iic.main(words(digits_npz, out, **{"train.learning_rate": 1e-12})) == 3
    )
    text = capsys.readouterr().out
    assert "This run is degenerate" in text and "Off track" in text


@pytest.mark.slow
def test_lambda_is_lowered_where_it_holds_sub_heads_at_uniform(digits_npz, out, capsys):
    changes = {"train.steps": 900, "train.lamb": 3, "train.regroup_to": 0}
    changes |= {"train.learning_rate": 1e-12, "data.batch": 8, "name": "held"}
    changes |= {"report.every": 300, "train.steps_per_call": 50}
    command_line = words(digits_npz, out, **changes)
    assert models_iic.main(command_line) == 3
    assert "At step 300 lambda was lowered to 1" in capsys.readouterr().out
    lines = (out / "held" / "history.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["off_track"] for row in rows] == [True] * 3
    expected = {"step": 300, "lamb_at_most": 1.0}
    assert [row["remarks"] for row in rows] == [[expected], [], []]  # once is enough


@pytest.mark.slow
def test_sub_heads_far_behind_overclusters_start_anew(digits_npz, out, monkeypatch):
    # as if no main sub-head had ever found anything
    monkeypatch.setattr(
        "iic_tf.tasks.iic.is_degenerate", lambda health, *, steps: steps == 10
    )
    changes = {"train.steps": 20, "report.every": 5, "train.learning_rate": 3e-3}
    changes |= {"train.regroup_to": 0.01, "name": "behind"}
    changes |= {"data.batch": 40, "heads.k_aux": 20}
    monkeypatch.setattr("iic_tf.tasks.iic.OFF_TRACK_SHARE", 0.0)
    monkeypatch.setattr("iic_tf.training.trainer.Trainer.scheduled", lambda *_: 1.0)
    assert models_iic.main(words(digits_npz, out, **changes)) == 0
    lines = (out / "behind" / "history.jsonl").read_text().splitlines()
    remarks = [json.loads(line)["remarks"] for line in lines]
    assert [len(row) for row in remarks] == [0, 1, 0, 0]
    assert remarks[1][0]["step"] == 10 and "regrouped" in remarks[1][0]


@pytest.mark.slow
def test_sub_heads_that_lag_at_the_end_take_over_the_best(
    digits_npz, out, monkeypatch, capsys
):
    # as if all but the best always lagged
    monkeypatch.setattr("iic_tf.evaluation.health.LAGGING_SHARE", 0.0)
    changes = {"train.steps": 20, "report.every": 5, "name": "late", "heads.main": 3}
    changes |= {"train.regroup_to": 0.5, "train.regroup_every": 10, "data.batch": 40}
    changes["heads.k_aux"] = 20
    assert models_iic.main(words(digits_npz, out, **changes)) == 0
    lines = (out / "late" / "history.jsonl").read_text().splitlines()
    remarks = [json.loads(line)["remarks"] for line in lines]
    kinds = [[sorted(remark)[0] for remark in row] for row in remarks]
    assert kinds[1] in (["regrouped"], ["refused"])  # as the few steps have it
    assert (kinds[0], kinds[2], kinds[3]) == ([], ["reseeded"], [])
    [remark] = remarks[2]
    information = json.loads(lines[2])["main_information"]
    assert remark["source"] == int(np.argmax(information))
    assert remark["reseeded"] == [i for i in range(3) if i != remark["source"]]
    assert "At step 15 the lagging sub-heads restarted" in capsys.readouterr().out


@pytest.mark.long
def test_a_loss_that_is_not_finite_stops_with_status_1(digits_npz, out, capsys):
    changes = {"data.augment.contrast": 3e38}  # pixels overflow
    assert models_iic.main(words(digits_npz, out, **changes)) == 1
    message = capsys.readouterr().err
    assert "became nan between steps 1 and 2" in message
    assert "no checkpoint was saved" in message
    assert message.count("\n") == 1


@pytest.mark.long
def test_a_breakdown_keeps_the_last_checkpoint(labelled_run, out, capsys):
    folder = labelled_run.copy_to(out)
    resume = ["--resume", str(folder), "--train.steps=12", "--data.neighbours=0"]
    resume.append("--train.regroup_every=12")
    assert models_iic.main([*resume, "--data.augment.contrast=3e38"]) == 1
    message = capsys.readouterr().err
    assert "between steps 9 and 10" in message
    assert f"resume {folder} to continue from step 8" in message
    assert models_iic.main([*resume, "--data.augment.contrast=0.4"]) == 0


# ---------------------------------------------------------------------- own images


def own_words(folder, **changes):
    return as_words({**TINY, "out": folder, "data.batch": 8, "k": 3, **changes})


@pytest.fixture
def photographs(tmp_path):
    """Thirty-odd files of many kinds and sizes, some of them no images."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "My photos"
    for i in range(30):
        place = folder / ("cats", "dogs", "deep/birds")[i % 3]
        place.mkdir(parents=True, exist_ok=True)
        shape = (20 + i, 34, 3) if i % 4 else (28, 30)
        pixels = rng.integers(0, 256, shape, dtype=np.uint8)
        suffix = (".jpg", ".png", ".bmp", ".gif")[i % 4]
        Image.fromarray(pixels).save(place / f"{i}{suffix}")
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "cats" / "notes.txt").write_text("not an image")
    Image.fromarray(pixels).save(folder / "dogs" / "really a png.jpg", "PNG")
    return folder


@pytest.mark.long
def test_a_folder_of_anyones_images(photographs, out, capsys):
    assert models_iic.main(own_words(out, **{"data.folder": photographs})) == 0
    text = capsys.readouterr().out
    assert re.search(r"Recipe:   colour, chosen for images of (\d+)×\1 pixels", text)
    assert "Images:   31 for training" in text and "in memory" in text
    assert text.count("Skipped: 2 files (not an image: 2)") == 2  # first and last
    assert "rror" not in text  # nothing to score
    folder = out / "My photos-1"
    with (folder / "assignments.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 31 and set(rows[0]) == {
        "path", "cluster", "confidence", "runner_up", "unsure",
    }  # fmt: skip
    assert all((photographs / row["path"]).is_file() for row in rows)
    with (folder / "unreadable.csv").open() as file:
        unreadable = {row["path"]: row["reason"] for row in csv.DictReader(file)}
    assert set(unreadable) == {"empty.jpg", "cats/notes.txt"}
    stored = yaml.safe_load((folder / "options.yaml").read_text())["data"]
    assert (stored["recipe"], stored["channels"]) == ("colour", 3)
    assert 20 <= stored["size"] <= 34


@pytest.mark.slow  # how deep images are read is in test_image_folder
def test_deep_images_and_a_run_among_them(out, tmp_path, capsys):
    """What 16 bits show, in a folder in which the runs lie, is stored with the run."""
    folder = tmp_path / "tiles"
    out = folder / "runs"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(24):
        tile = (2_000, 20_000)[i % 2] + rng.normal(0, 300, (16, 16))
        Image.fromarray(tile.astype(np.uint16)).save(folder / f"{i:02}.png")
    arguments = own_words(out, **{"data.folder": folder, "k": 2, "name": "deep"})
    assert models_iic.main(arguments) == 0
    first = capsys.readouterr().out
    assert "Range: 24 images" in first
    stored = yaml.safe_load((out / "deep" / "options.yaml").read_text())["data"]
    low, high = stored["range"]
    assert 700 < low < 2_000 and 20_000 < high < 21_300
    for name in ("clusters", "agreement"):  # as runs have them
        Image.new("RGB", (20, 20), "red").save(out / "deep" / f"{name}.png")
    assert models_iic.main(["--resume", str(out / "deep"), "--train.steps=10"]) == 0
    again = capsys.readouterr().out
    assert "Images:   24 for training" in again and "1 folder (a run: 1)" in again
    # the dark ones alone are shown as they were among the others
    new = tmp_path / "new"
    new.mkdir()
    for i in range(0, 24, 2):
        shutil.copy(folder / f"{i:02}.png", new)
    assert models_iic.main(["predict", str(out / "deep"), str(new)]) == 0
    told = f"with more than 8 bits; values {low:,.0f} to {high:,.0f}"
    assert told in " ".join(capsys.readouterr().out.split())
    groups = {}
    for place in (out / "deep", *(out / "deep").glob("evaluat*")):
        with (place / "assignments.csv").open() as file:
            rows = {row["path"]: row for row in csv.DictReader(file)}
        groups[place] = [
            (rows[f"{i:02}.png"]["cluster"], rows[f"{i:02}.png"]["confidence"])
            for i in range(0, 24, 2)
        ]
    assert len(groups) == 2 and len({str(found) for found in groups.values()}) == 1


@pytest.mark.long
@pytest.mark.plots
def test_classes_by_folder_names_and_every_image(photographs, out, capsys):
    changes = {"data.folder": photographs, "data.labels": "folder", "name": "named"}
    (photographs / "empty.jpg").unlink()
    changes |= {"report.display": 1, "report.progression": 4, "report.double": True}
    changes |= {"report.every": 4}
    assert models_iic.main(own_words(out, **changes)) == 0
    text = capsys.readouterr().out
    assert "With batch statistics  errors = 0." in text
    assert re.search(r"many-to-one( +\d\.\d{4}){5}", text)
    folder = out / "named"
    for name in (
        *("clusters", "mistakes", "confusion", "histograms", "agreement"),
        *("display/step_000003", "display/step_000006", "progression/step_000008"),
    ):
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    with Image.open(folder / "progression.gif") as animation:
        assert animation.n_frames == 3  # the first before training
    summary = json.loads((folder / "summary.json").read_text())
    assert set(summary["scores"]) == {
        "one-to-one", "many-to-one", "NMI", "ARI", "homogeneity", "completeness",
    }  # fmt: skip
    accuracy = np.array(summary["scores"]["one-to-one"])
    np.testing.assert_allclose(1 - accuracy, summary["errors"])
    assert len(summary["recall"]) == 3
    assert len(summary["errors_batch_statistics"]) == 2


@pytest.mark.long
@pytest.mark.plots
@pytest.mark.filterwarnings("error::UserWarning:matplotlib")
def test_no_name_costs_a_run(digits, out, tmp_path, monkeypatch, capfd):
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9 $1_$5\x1b[31m"))
    classes = ["$1_$5", "猫", "=1+1", "[bold]", "a\rb", os.fsdecode(b"\xe9")]
    try:
        for name in classes:
            (folder / name).mkdir(parents=True)
    except OSError:
        pytest.skip("this file system has names of its own")
    for i in range(48):
        path = folder / classes[i % 6] / f"-{i}.png"
        Image.fromarray(digits[0][i, ..., 0]).save(path)
    (folder / "=cmd.txt").write_text("")
    monkeypatch.setattr(cluster_plots, "number_table", lambda *_, **__: 1 / 0)
    changes = {"data.folder": folder, "data.labels": "folder", "k": 3}
    changes |= {"train.steps": 2, "report.every": 2}
    assert models_iic.main(own_words(out, **changes)) == 0
    text = capfd.readouterr().out
    assert r"caf\xe9 $1_$5\x1b[31m" in text and "\x1b" not in text
    assert "confusion.png could not be drawn: division by zero" in text
    [run] = out.iterdir()
    assert run.name == "caf_ $1_$5_[31m-1" and (run / "histograms.png").is_file()
    how = {"encoding": "utf-8", "errors": "surrogateescape", "newline": ""}
    with (run / "assignments.csv").open(**how) as file:
        rows = list(csv.DictReader(file))
    said = {row["label"] for row in rows}
    assert {label.removeprefix("'") for label in said} == set(classes)
    names = {row["path"].removeprefix("'") for row in rows}
    assert names == {path.relative_to(folder).as_posix() for path in folder.glob("*/*")}
    assert not any(cell.startswith(("=", "-")) for cell in said)
    assert "\n'=cmd.txt," in (run / "unreadable.csv").read_text()
    summary = json.loads((run / "summary.json").read_text())
    assert summary["class_names"] == sorted(classes)
    assert models_iic.parse(["--resume", str(run)]).data.folder == str(folder)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_terminal_that_lacks_signs_gets_replacements(encoding, tmp_path, monkeypatch):
    folder = tmp_path / "写真"
    folder.mkdir()
    told = io.BytesIO()
    terminal = io.TextIOWrapper(told, encoding=encoding)  # one that raises, as they do
    monkeypatch.setattr(sys, "stderr", terminal)
    assert models_iic.main([f"--data.folder={folder}"]) == 2
    terminal.flush()
    assert b"data.folder must hold images" in told.getvalue()
    assert b"??" in told.getvalue()


@pytest.mark.parametrize("name", ["#recycle", "~", "&a", "a: b", "[x]", "1e3", "true"])
def test_names_are_no_yaml(name):
    options = models_iic.parse([f"--data.folder={name}", "--name", name])
    assert (options.data.folder, options.name) == (name, name)
    assert models_iic.parse(["--data.folder=null", "--name=null"]) == Options()


def test_an_empty_file_of_options_is_told(tmp_path, capsys):
    path = tmp_path / "mine.yaml"
    for content in ("", "# to be written\n"):
        path.write_text(content)
        assert models_iic.main(["--config", str(path)]) == 2
        told = capsys.readouterr().err
        assert "must be YAML that sets options" in told and "mine.yaml" in told


@pytest.mark.long
def test_an_array_with_labels_of_its_own(digits, out, tmp_path):
    np.save(tmp_path / "x.npy", digits[0][:60, ..., 0])
    np.save(tmp_path / "y.npy", digits[1][:60] % 3)
    changes = {"data.array": tmp_path / "x.npy", "data.labels": tmp_path / "y.npy"}
    changes |= {"report.choose": "label", "train.steps": 2, "report.every": 2}
    assert models_iic.main(own_words(out, **changes)) == 0
    summary = json.loads((out / "x-1" / "summary.json").read_text())
    assert summary["chosen"] == int(np.argmin(summary["errors"]))
    assert "using labels" in summary["chosen_by"]


@pytest.mark.long
@pytest.mark.plots
def test_vectors_and_series_are_clustered(out, tmp_path):
    rng = np.random.default_rng(0)
    which = np.arange(60) % 3
    vectors, series = which[:, None] + rng.normal(size=(60, 5)), np.zeros((60, 9, 2))
    series[..., 0] = which[:, None] + rng.normal(size=(60, 9))
    for name, x in (("features", vectors), ("series", series)):
        np.save(tmp_path / f"{name}.npy", x)
    np.save(tmp_path / "y.npy", which)
    changes = {"k": 3, "data.batch": 20, "graph.args.stages": None}
    changes |= {"graph.args.fan_out_init": None, "graph.args.kernel": None}
    for name in ("features", "series"):
        there = {f"data.{name}": tmp_path / f"{name}.npy", "name": name}
        there["data.labels"] = tmp_path / "y.npy"
        assert models_iic.main(words(None, out, **changes, **there)) == 0
        summary = json.loads((out / name / "summary.json").read_text())
        assert summary["scored_on"] == "the file, also used for training"
        assert (out / name / "clusters.png").is_file()
        again = ["evaluate", str(out / name), f"--data.{name}={tmp_path / name}.npy"]
        assert models_iic.main(again) == 0


def test_more_clusters_than_images_in_a_folder(photographs, out, capsys):
    changes = {"data.folder": photographs, "k": 40}
    assert models_iic.main(own_words(out, **changes)) == 2
    assert "k must be at most the number of images, 31" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.long
def test_one_bank_of_more_clusters_than_classes(digits_npz, out, capsys):
    """The published overclustering protocol: one head, mapped on train, many to one."""
    changes = {"k": 25, "heads.aux": 0, "train.order": "[main]", "name": "over"}
    changes |= {"data.protocol": "holdout", "report.match": "many-to-one"}
    changes |= {"train.regroup_to": 0.6}  # nothing to regroup
    assert models_iic.main(words(digits_npz, out, **changes)) == 0
    text = capsys.readouterr().out
    assert "Images:   200 for training" in text
    assert "all 40 images of test, not used for training" in text
    assert "Errors after many-to-one matching" in text
    assert (
        "test, not used for training, with clusters mapped to classes on train" in text
    )
    summary = json.loads((out / "over" / "summary.json").read_text())
    accuracy = np.array(summary["scores"]["many-to-one"])
    np.testing.assert_allclose(1 - accuracy, summary["errors"])
    error = summary["mapping_errors"][summary["chosen"]]
    assert 0 < error < 1 and len(summary["mapping_errors"]) == 2
    assert f"mapped to classes: {error:.4f} (accuracy {1 - error:.4f})" in text


@pytest.mark.slow
def test_heads_train_on_different_images(out, tmp_path, capsys):
    """STL-10 in its own files; which images each pass sees is in test_run.py."""
    images = np.random.default_rng(0).integers(0, 256, (6, 96, 96, 3), dtype=np.uint8)
    write_stl10(tmp_path / "stl", images, np.arange(6))
    changes = {"data.dir": tmp_path / "stl", "data.recipe": "stl10_published"}
    changes |= {"data.batch": 4, "train.order": "[aux,main]", "data.shuffle": False}
    assert models_iic.main(words(None, out, **changes, name="stl")) == 0
    text = capsys.readouterr().out
    assert "Images:   36 for training" in text and "all 12 images of train + t" in text
    assert "Network:  small on 64×64×1" in text


# ------------------------------------------------------------------------- stored runs


@pytest.mark.long
@pytest.mark.plots
def test_a_stored_run_is_evaluated_again_and_on_other_images(
    labelled_run, digits, out, tmp_path, capsys, monkeypatch
):
    labelled_run.copy_to(out).rename(out / "a")
    first = json.loads((out / "a" / "summary.json").read_text())
    assert models_iic.main(["evaluate", str(out / "a")]) == 0
    again = json.loads((out / "a" / "evaluation-1" / "summary.json").read_text())
    np.testing.assert_allclose(again["errors"], first["errors"])
    assert again["scored_on"] == "train + test, also used for training"
    assert (out / "a" / "evaluation-1" / "confusion.png").is_file()
    monkeypatch.setattr(cluster, "draw_clusters", lambda *_, **__: [])
    assert again["chosen_by"] == f"by the run: {first['chosen_by']}"
    assert models_iic.main(["evaluate", str(out / "a"), "--report.adapt=true"]) == 0
    adapted = json.loads((out / "a" / "evaluation-2" / "summary.json").read_text())
    assert adapted["scored_on"].endswith("with batch normalisation adapted to them")
    assert adapted["information"] != again["information"]
    assert "Adapted:" in capsys.readouterr().out

    monkeypatch.setattr(stored, "UNLIKE", 0.0)
    np.save(tmp_path / "new.npy", digits[0][400:450])
    other = ["--data.array", str(tmp_path / "new.npy"), "--data.recipe=mnist"]
    assert models_iic.main(["evaluate", str(out / "a"), *other]) == 0
    new = json.loads((out / "a" / "evaluation-3" / "summary.json").read_text())
    assert new["images"] == 50 and new["errors"] is None
    assert "with report.adapt true, which adapts" in " ".join(
        capsys.readouterr().out.split()
    )
    assert "not the set of images that the run was trained on" in new["scored_on"]

    np.save(tmp_path / "small.npy", digits[0][:50, :20, :20])
    wrong = ["--data.array", str(tmp_path / "small.npy"), "--data.recipe=grey"]
    capsys.readouterr()
    assert models_iic.main(["evaluate", str(out / "a"), *wrong]) == 2
    assert "expects views of shape (24, 24, 1)" in capsys.readouterr().err
    anew = ["evaluate", str(out / "a"), "--report.choose=label"]
    assert models_iic.main(anew) == 0  # said now, it goes over the choice of the run
    anew = json.loads((out / "a" / "evaluation-4" / "summary.json").read_text())
    assert "in the run" not in anew["chosen_by"] and "labels" in anew["chosen_by"]
    capsys.readouterr()
    (out / "a" / "model.keras").unlink()
    assert models_iic.main(["evaluate", str(out / "a")]) == 2
    assert "has no model.keras" in capsys.readouterr().err


def test_runs_are_compared(labelled_run, unlabelled_run, out, tmp_path, capsys):
    labelled, unlabelled = (x.copy_to(out) for x in (labelled_run, unlabelled_run))
    assert models_iic.main(["compare", str(labelled), str(unlabelled)]) == 0
    text = capsys.readouterr().out
    summary = json.loads((labelled / "summary.json").read_text())
    assert f"{summary['errors'][summary['chosen']]:.4f}" in text
    assert "mnist-1" in text and "no labels" in text
    assert (out / "comparison.png").read_bytes().startswith(b"\x89PNG")
    for mistake, sentence in (
        (["compare"], "compare needs at least one run"),
        (["compare", str(tmp_path)], "compare needs the folder of a run"),
        (["evaluate"], "evaluate needs a run"),
    ):
        assert models_iic.main(mistake) == 2
        assert sentence in capsys.readouterr().err


# -------------------------------------------------------------- interrupted and resumed


def weights(folder):
    return keras.models.load_model(folder / "model.keras").get_weights()


def command(*arguments):
    return [sys.executable, str(ROOT / "models_iic.py"), *arguments]


def environment():
    return {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}


def without_times(folder):
    rows = [json.loads(x) for x in (folder / "history.jsonl").read_text().splitlines()]
    for row in rows:
        del row["seconds"]
    return rows


@pytest.mark.long
@pytest.mark.parametrize(
    # fewer than the 300 steps after which a run may be called degenerate
    ("kills", "steps"),
    [(1, 90), pytest.param(3, 280, marks=pytest.mark.slow)],
)
def test_killed_and_resumed_equals_uninterrupted(digits_npz, out, capsys, kills, steps):
    changes = {"train.steps": steps, "report.every": 50, "report.checkpoint_every": 20}
    changes |= {"train.regroup_every": 30, "train.regroup_to": 0.6}
    assert models_iic.main(words(digits_npz, out, name="whole", **changes)) == 0
    start = command(*words(digits_npz, out, name="killed", **changes))
    resume = command("--resume", str(out / "killed"))
    seen = -1
    for arguments in (start, resume, resume)[:kills]:
        before, kept = seen, out / "before"
        if before > 0:
            shutil.copytree(out / "killed", kept)
        for _ in range(5):
            seen = _killed_at(arguments, out / "killed", after=before)
            if seen < steps:
                break
            # a machine that is busy elsewhere looks too late: once more
            shutil.rmtree(out / "killed")
            if before > 0:
                shutil.copytree(kept, out / "killed")
        shutil.rmtree(kept, ignore_errors=True)
    assert 0 < seen < steps
    assert models_iic.main(resume[2:]) == 0
    assert f"resumed at step {seen}" in capsys.readouterr().out
    for a, b in zip(weights(out / "whole"), weights(out / "killed"), strict=True):
        np.testing.assert_array_equal(a, b)
    rows = without_times(out / "whole")
    assert rows == without_times(out / "killed")
    assert any(row["remarks"] for row in rows), "regrouping was to be part of this"


def _killed_at(arguments, folder, *, after):
    """Kills a run once it has a checkpoint of a later step; that of the newest one."""
    pointer = folder / "checkpoints" / "checkpoint"
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            arguments, env=environment(), stdout=subprocess.DEVNULL, stderr=said
        )
        deadline = time.monotonic() + 900
        while (newest := _newest(pointer)) <= after:
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                process.wait()
                said.seek(0)
                pytest.fail(f"no checkpoint after step {after}: {said.read()}")
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        if process.wait() != -signal.SIGKILL:  # all was done before the signal came
            assert process.returncode == 0
        newest = _newest(pointer)
    return newest


def _newest(pointer):
    found = re.search(r"ckpt-(\d+)", _text(pointer))
    return int(found[1]) if found else -1


def _text(path):
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


@pytest.mark.long
def test_stopped_by_a_signal_then_resumed_from_the_latest(
    labelled_run, digits_npz, out, capsys, monkeypatch
):
    from iic_tf.report.console import Training

    def stop_at_four(self, step):
        if step == 4:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(Training, "advance", stop_at_four)
        arguments = words(digits_npz, out, name="stopped", **WHOLE)
        assert models_iic.main(arguments) == 130
    text = capsys.readouterr().out
    assert "Stopped and saved at step 4 of 8" in text
    assert f"--resume {out / 'stopped'}" in text
    assert models_iic.main(["--resume", "latest", "--out", str(out)]) == 0
    assert "resumed at step 4" in capsys.readouterr().out
    whole = weights(labelled_run.folder)
    for a, b in zip(whole, weights(out / "stopped"), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.long
def test_a_run_that_gains_nothing_ends_by_itself(digits_npz, out, capsys):
    still = {"train.learning_rate": 1e-9, "train.patience": 1, "train.start": 0}
    changes = {**still, "train.steps": 40, "report.every": 4, "name": "still"}
    assert models_iic.main(words(digits_npz, out, **changes)) == 0
    text = capsys.readouterr().out
    assert "gained no mutual information in the last report: " in text
    rows = [
        json.loads(row)
        for row in (out / "still" / "history.jsonl").read_text().splitlines()
    ]
    last = rows[-1]["step"]
    assert f"the run ends at step {last} of 40" in text and last < 40
    assert rows[-1]["remarks"] == [{"step": last, "plateau": 1, "of": 40}]
    assert json.loads((out / "still" / "summary.json").read_text())["steps"] == last


def test_resuming_on_other_images_is_refused(
    labelled_run, digits, out, tmp_path, capsys
):
    folder = labelled_run.copy_to(out)
    np.savez(tmp_path / "other.npz", images=digits[0][300:540])
    arguments = ["--resume", str(folder), "--data.dir", str(tmp_path / "other.npz")]
    assert models_iic.main(arguments) == 2
    assert "was trained on other images" in capsys.readouterr().err


def test_a_failed_resume_touches_nothing(labelled_run, out, capsys):
    folder = labelled_run.copy_to(out)
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    resume = ["--resume", str(folder)]
    assert models_iic.main([*resume, "--k=9"]) == 2
    assert "can be loaded into this network" in capsys.readouterr().err
    assert models_iic.main([*resume, "--train.steps=4"]) == 2
    assert "train.steps must be at least the 8 steps" in capsys.readouterr().err
    assert {p: p.read_bytes() for p in before} == before


@pytest.mark.slow
def test_a_run_that_died_before_its_first_checkpoint_starts_again(
    digits_npz, out, capsys
):
    for name in ("a", "b"):
        assert models_iic.main(words(digits_npz, out, name=name)) == 0
    shutil.rmtree(out / "a" / "checkpoints")
    assert models_iic.main(["--resume", str(out / "a")]) == 0
    assert "started from scratch" in capsys.readouterr().out.rsplit("Run:", 1)[1]
    for a, b in zip(weights(out / "a"), weights(out / "b"), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_a_constant_learning_rate_can_be_changed_on_resume(digits_npz, out):
    changes = {"name": "a", "train.decay": "constant", "train.warmup_steps": 0}
    assert models_iic.main(words(digits_npz, out, **changes)) == 0
    before = weights(out / "a")
    resume = ["--resume", str(out / "a"), "--train.steps=10"]
    assert models_iic.main([*resume, "--train.learning_rate=1e-30"]) == 0
    np.testing.assert_array_equal(weights(out / "a")[0], before[0])


@pytest.mark.slow
def test_two_logical_devices_run_the_main_job(digits_npz, out):
    changes = {"train.regroup_every": 4, "train.regroup_to": 0.5}
    finished = subprocess.run(
        command("--devices", "2", *words(digits_npz, out, name="two", **changes)),
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert "Devices:  CPU:0, CPU:1\n" in finished.stdout
    assert finished.stderr == ""
    assert models_iic.main(words(digits_npz, out, name="one", **changes)) == 0
    one, two = (
        json.loads((out / name / "summary.json").read_text()) for name in ("one", "two")
    )
    np.testing.assert_allclose(one["information"], two["information"], atol=1e-3)


# ------------------------------------------------------------------- mistakes, kindly


def cut_short(folder):
    raw = bytes([0, 0, 8, 3, 0, 0, 0, 9, 0, 0, 0, 28, 0, 0, 0, 28]) + bytes(100)
    (folder / "train-images-idx3-ubyte").write_bytes(raw)
    return folder


def corrupt(folder):
    (folder / "bad.npz").write_bytes(b"PK\x03\x04" + bytes(40))
    return folder / "bad.npz"


def npz_with(folder, images, labels=None):
    arrays = {"images": images} | ({} if labels is None else {"labels": labels})
    np.savez(folder / "mine.npz", **arrays)
    return folder / "mine.npz"


def yaml_with(folder, text):
    path = folder / "options.yaml"
    path.write_text(text)
    return path


MISTAKES = {
    "missing folder": (
        lambda d: {"data.dir": d / "nowhere"},
        "data.dir must be an existing folder or file",
    ),
    "IDX file cut short": (
        lambda d: {"data.dir": cut_short(d)},
        "header declares 7056 bytes for the shape (9, 28, 28), but far fewer follow",
    ),
    "corrupt npz": (lambda d: {"data.dir": corrupt(d)}, "cannot read the npz file"),
    "images of another size": (
        lambda d: {"data.dir": npz_with(d, np.zeros((60, 16, 16), np.uint8))},
        "the recipe mnist needs images of shape (28, 28, 1)",
    ),
    "labels below zero": (
        lambda d: {
            "data.dir": npz_with(d, np.zeros((60, 28, 28), np.uint8), np.full(60, -1))
        },
        "must hold labels from 0",
    ),
    "no images at all": (
        lambda d: {"data.dir": npz_with(d, np.zeros((0, 28, 28), np.uint8))},
        "must hold images. Received: shape=(0, 28, 28, 1)",
    ),
    "one cluster": (lambda d: {"k": 1}, "k must be at least 2"),
    "more clusters than images": (
        lambda d: {"k": 241, "data.batch": 2},
        "k must be at most the number of images, 240",
    ),
    "batch larger than the data": (
        lambda d: {"data.batch": 500},
        "data.batch must not exceed the number of images",
    ),
    "unknown graph": (
        lambda d: {"graph.name": "resnet9000"},
        "graph.name must be one of small, network_6c, network_5g, resnet_18",
    ),
    "unknown recipe": (lambda d: {"data.recipe": "mnits"}, "must be one of mnist,"),
    "unknown argument of a graph": (
        lambda d: {"graph.args.depth": 3},
        "accepts fan_out_init, kernel, stages, initializer. Received: depth=3",
    ),
    "unknown optimiser": (
        lambda d: {"train.optimizer": "Adm"},
        "train.optimizer must be a class of keras.optimizers, such as Adam",
    ),
    "unknown initialiser": (
        lambda d: {"heads.initializer": "HeNorml"},
        "heads.initializer must be a class of keras.initializers, such as HeNormal",
    ),
    "argument of the wrong kind": (
        lambda d: {"graph.args.fan_out_init": "wide"},
        "fan_out_init must be a value like 16. Received: fan_out_init='wide'",
    ),
    "unknown figure of a augmentation": (
        lambda d: {"data.augment.twirl": 3},
        "data.augment of continuous_digits accepts size, rotation, crop",
    ),
    "figure of the wrong kind": (
        lambda d: {"data.augment.crop": 3},
        "data.augment.crop must be a value like (0.6, 1.0)",
    ),
    "range of the wrong length": (
        lambda d: {"data.augment.crop": "[0.6]"},
        "data.augment.crop must be a value like (0.6, 1.0)",
    ),
    "range upside down": (
        lambda d: {"data.augment.crop": "[1.0, 0.5]"},
        "the lower first. Received: crop=[1.0, 0.5]",
    ),
    "crop larger than the image": (
        lambda d: {"data.recipe": "mnist_published", "data.augment.crops": "[40]"},
        "data.augment.crops must lie between 1 and 28 pixels",
    ),
    "a network of nothing": (
        lambda d: {"graph.args.fan_out_init": 0},
        "cannot be built for images of 24×24×1",
    ),
    "unknown YAML key": (
        lambda d: {"config": yaml_with(d, "trian:\n  steps: 3\n")},
        "trian",
    ),
    "YAML that is not YAML": (
        lambda d: {"config": yaml_with(d, "train: [steps: {\n")},
        "options.yaml",
    ),
    "missing YAML": (lambda d: {"config": d / "no.yaml"}, "no.yaml"),
    "wrong type": (lambda d: {"train.steps": "many"}, "train.steps"),
    "unwritable output": (
        lambda d: {"out": cut_short(d) / "train-images-idx3-ubyte" / "runs"},
        "out must be a writable folder",
    ),
    "no such device": (lambda d: {"devices": "GPU:9"}, "devices must be auto, cpu"),
    "nothing to resume": (
        lambda d: {"resume": d / "nothing"},
        "resume needs the folder of a run, or latest",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_sentence_and_leaves_nothing(
    name, digits_npz, tmp_path, capsys
):
    change, expected = MISTAKES[name]
    folder = tmp_path / "mistake"
    folder.mkdir()
    changes = change(folder)
    out = tmp_path / "runs"
    # --config goes first: what follows goes over it
    config = [f"--config={changes.pop('config')}"] if "config" in changes else []
    assert models_iic.main(config + words(digits_npz, out, **changes)) == 2
    captured = capsys.readouterr()
    assert expected in captured.err
    assert captured.err.startswith("models_iic.py: error: ")
    assert captured.err.count("\n") == 1
    assert "Traceback" not in captured.err
    assert not out.exists()


def test_another_keras_backend_is_refused(digits_npz, out, capsys, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert models_iic.main(words(digits_npz, out)) == 2
    assert "KERAS_BACKEND must be tensorflow or unset" in capsys.readouterr().err


def test_an_existing_run_is_not_overwritten(labelled_run, digits_npz, out, capsys):
    folder = labelled_run.copy_to(out)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert models_iic.main(words(digits_npz, out, name=folder.name)) == 2
    assert "already exists" in capsys.readouterr().err
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_a_mistake_on_the_real_command_line():
    finished = subprocess.run(
        command("--k", "1"), capture_output=True, text=True, check=False
    )
    assert finished.returncode == 2
    assert finished.stdout == ""
    expected = "models_iic.py: error: k must be at least 2. Received: k=1\n"
    assert finished.stderr == expected


# ---------------------------------------------------------------------------- options


def test_defaults_then_yaml_then_command_line(tmp_path):
    path = tmp_path / "o.yaml"
    path.write_text("k: 7\ntrain:\n  learning_rate: 5e-4\n  steps: 30\n")
    options = models_iic.parse(["--config", str(path), "--train.steps", "40"])
    assert (options.k, options.train.learning_rate, options.train.steps) == (
        7,
        5e-4,
        40,
    )
    assert options.train.warmup_steps == Options().train.warmup_steps
    assert models_iic.parse([]) == Options()


@pytest.mark.parametrize(
    ("said", "steps", "epochs"),
    [
        (["--config=e"], None, 3),
        (["--config=e", "--train.steps=20"], 20, None),
        (["--config", "e", "--train.steps", "20"], 20, None),
        (["--config=s", "--train.epochs=2"], None, 2),
        (["--config=s", "--config=e"], None, 3),
        (["--config=e", "--config=s"], 40, None),
        (["--train.epochs=2", "--train.steps=20"], 20, None),
        (["--train.steps=20", "--train.epochs=2"], None, 2),
        (["--config=e", "--train.epochs=null", "--train.steps=20"], 20, None),
        (["--config=both"], 40, 3),  # in one file epochs take the place of steps
        (["--config=both", "--train.steps=20"], 20, None),
    ],
)
def test_of_steps_and_epochs_the_one_said_last_holds(
    tmp_path, monkeypatch, capsys, said, steps, epochs
):
    monkeypatch.chdir(tmp_path)
    Path("e").write_text("train:\n  epochs: 3\n")
    Path("s").write_text("train: {steps: 40}\n")
    Path("both").write_text("train: {steps: 40, epochs: 3}\n")
    options = models_iic.parse(said)
    assert (options.train.steps, options.train.epochs) == (steps, epochs)
    told = capsys.readouterr().out
    if len(said) > 1:
        name, value = ("steps", steps) if steps else ("epochs", epochs)
        assert f"train.{name}={value} was set last and overrides" in told
    else:
        assert told == ""


def test_steps_over_the_stored_epochs_of_a_run(tmp_path, capsys):
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "options.yaml").write_text("train: {epochs: 200, steps: 1600}\n")
    options = models_iic.parse(["--resume", str(folder), "--train.steps=20"])
    assert (options.train.steps, options.train.epochs) == (20, None)
    assert "overrides train.epochs=200" in capsys.readouterr().out


def test_a_resumed_run_has_its_name_or_a_new_one_and_the_latest_is_named(
    tmp_path, capsys
):
    folder = tmp_path / "a"
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    (folder / "options.yaml").write_text("k: 4\n")
    assert models_iic.main(["--resume", str(folder), "--name=b"]) == 2
    assert "name must be new, or that of the run" in capsys.readouterr().err
    options = models_iic.parse(["--resume", str(folder), "--name=c"])
    assert (options.resume, options.name) == (str(folder), "c")
    options = models_iic.parse(["--resume=latest", f"--out={tmp_path}", "--name=a"])
    assert options.resume == str(folder)
    assert f"Latest:   {folder}\n" in capsys.readouterr().out


FAILURES = {
    "memory": (MemoryError("Unable to allocate 9 TiB"), "not enough memory (Unable to"),
    "device": (
        tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor"),
        "not enough memory (OOM when allocating tensor); a lower data.batch",
    ),
    "disk": (
        OSError(28, "No space left on device", "runs/a/summary.json"),
        "runs/a/summary.json: No space left on device",
    ),
    "file": (tf.errors.OutOfRangeError(None, None, "ckpt-3"), "a file cannot be read"),
    "insides": (
        tf.errors.DataLossError(
            None, None, "{{function_node __wrapped__RestoreV2}} ckpt-3 [Op:RestoreV2]"
        ),
        "a file cannot be read or written: ckpt-3\n",
    ),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_of_the_machine_is_one_sentence(name, monkeypatch, capsys):
    failure, expected = FAILURES[name]

    def fail(options):
        raise failure

    monkeypatch.setattr(models_iic, "run", fail)
    assert models_iic.main([]) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"models_iic.py: {expected}") and told.count("\n") == 1

    def err(options):
        raise KeyError("a mistake of ours")

    monkeypatch.setattr(models_iic, "run", err)
    with pytest.raises(KeyError):  # not hidden
        models_iic.main([])


@pytest.mark.parametrize("long", ["x" * 300, "/".join(["y" * 100] * 50)])
@pytest.mark.parametrize(
    "said",
    [
        ["--resume"], ["--resume", "latest", "--out"], ["evaluate"], ["compare"],
        ["--config"], ["--out"], ["curate", "--name", "a"],
    ],
)  # fmt: skip
def test_a_path_too_long_for_any_file_is_one_sentence(said, long, capsys):
    assert models_iic.main([*said, long]) == 2
    told = capsys.readouterr().err
    assert told.startswith("models_iic.py: error: ") and told.count("\n") == 1
    assert len(told) < 1000


def test_a_new_folder_whose_path_is_too_long(labelled_run, capsys):
    for changed in (["evaluate", "--data.array"], ["predict"]):
        command, *option = changed
        run = str(labelled_run.folder)
        assert models_iic.main([command, run, *option, "x" * 300]) == 2
        told = capsys.readouterr().err
        assert "File name too long" in told and told.count("\n") == 1


def test_a_signal_outside_of_training_ends_with_a_sentence(monkeypatch, capsys):
    before = signal.getsignal(signal.SIGTERM)

    def terminated(options):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)

    monkeypatch.setattr(models_iic, "run", terminated)
    assert models_iic.main([]) == 143
    assert "terminated (SIGTERM)" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_full_disk_keeps_the_last_checkpoint(digits_npz, out, monkeypatch, capsys):
    write = History.write

    def full(self, path):
        if len(self.rows) > 1:
            raise OSError(28, "No space left on device", str(path))
        write(self, path)

    monkeypatch.setattr(History, "write", full)
    arguments = words(digits_npz, out, name="full", **{"report.every": 4})
    assert models_iic.main(arguments) == 1
    told = capsys.readouterr().err
    folder = out / "full"
    assert told == (
        f"models_iic.py: {folder / 'history.jsonl'}: No space left on device; "
        f"resume {folder} to continue from step 4\n"
    )


@pytest.mark.long
def test_a_disk_that_is_full_for_the_results(labelled_run, out, monkeypatch, capsys):
    def full(path, *_, **__):
        raise OSError(28, "No space left on device", str(path))

    folder = labelled_run.copy_to(out)
    (folder / "summary.json").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(cluster, "write_assignments", full)
        assert models_iic.main(["--resume", str(folder)]) == 1
    told = capsys.readouterr().err
    assert told == (
        f"models_iic.py: {folder / 'assignments.csv'}: No space left on device; "
        f"--resume {folder} writes the results\n"
    )
    assert not (folder / "summary.json").exists()
    assert models_iic.main(["--resume", str(folder)]) == 0
    assert (folder / "summary.json").exists()


@pytest.mark.slow
def test_a_reader_that_leaves_ends_no_run(digits_npz, out):
    arguments = words(digits_npz, out, name="unread", **{"report.every": 4})
    process = subprocess.Popen(
        command(*arguments), env=environment(), stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    process.stdout.readline()
    process.stdout.close()  # as head does
    with process.stderr:
        assert process.stderr.read() == b""
    assert process.wait() == 0
    folder = out / "unread"
    assert (folder / "checkpoints" / "ckpt-8.index").is_file()
    assert (folder / "summary.json").is_file()
    lines = (folder / "history.jsonl").read_text().splitlines()
    remarks = [remark for line in lines for remark in json.loads(line)["remarks"]]
    assert {"step": 4, "output": "closed"} in remarks


def test_help_answers_without_tensorflow():
    code = (
        "import sys, models_iic\n"
        "try:\n    models_iic.main(['--help'])\n"
        "except SystemExit as e:\n    assert e.code == 0\n"
        "assert 'tensorflow' not in sys.modules and 'numpy' not in sys.modules"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert finished.returncode == 0, finished.stderr
    for name in ("--data.dir", "--train.learning_rate", "--resume", "--show-pairs"):
        assert name in finished.stdout


def test_resume_puts_the_command_line_over_the_stored_options(tmp_path):
    folder = tmp_path / "runs" / "a"
    folder.mkdir(parents=True)
    (folder / "options.yaml").write_text("k: 4\ntrain:\n  decay: constant\n")
    words = ["--resume", str(folder), "--heads.k_aux=8", "--train.lr_drops=[800]"]
    options = models_iic.parse(words)
    assert (options.k, options.heads.k_aux, options.train.lr_drops) == (4, 8, [800])
    assert (options.name, options.out) == ("a", str(folder.parent))


def test_print_config_can_be_read_back(tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        models_iic.main(["--k", "12", "--print_config"])
    assert caught.value.code == 0
    path = tmp_path / "printed.yaml"
    path.write_text(capsys.readouterr().out)
    assert models_iic.parse(["--config", str(path)]) == models_iic.parse(["--k", "12"])


def test_lambda_as_a_number_and_as_points():
    assert models_iic.parse(["--train.lamb", "1.5"]).train.lamb == 1.5
    points = models_iic.parse(["--train.lamb", "[[0, 1], [0.5, 1.2]]"]).train.lamb
    assert [tuple(point) for point in points] == [(0, 1), (0.5, 1.2)]
    with pytest.raises(UserError, match=r"train\.lamb must be a number"):
        models_iic.parse(["--train.lamb", "[[0.5, 1], [0.1, 1.2]]"])


def test_a_backbone_that_is_none_is_refused(digits_npz, out, monkeypatch, capsys):
    """One that is: test_readme.py::test_the_backbone_in_ten_lines_works."""
    arguments = words(digits_npz, out, **{"graph.name": "unfinished"})
    arguments = [word for word in arguments if "graph.args" not in word]

    def unfinished(image_shape):
        images = keras.Input(image_shape)
        return keras.Model(images, keras.layers.Conv2D(4, 3)(images))

    monkeypatch.setitem(graphs.GRAPHS, "unfinished", unfinished)
    assert models_iic.main(arguments) == 2
    assert "must return features of shape (n, d)" in capsys.readouterr().err


# -------------------------------------------------------------------- the real thing


@pytest.mark.slow
@pytest.mark.timeout(1800)  # 7 minutes where nothing else runs
def test_mnist_within_three_percent(mnist_dir, out, capsys):
    arguments = ["--data.dir", str(mnist_dir), "--out", str(out), "--name", "mnist"]
    assert models_iic.main(arguments) == 0
    summary = json.loads((out / "mnist" / "summary.json").read_text())
    assert summary["errors"][summary["chosen"]] <= 0.03


def test_repeats_that_nothing_links_are_told(tmp_path, capsys, few_plots):
    draw = np.random.default_rng(0)
    pictures = draw.integers(0, 256, (5, 28, 28, 1))
    images = np.repeat(pictures, 24, axis=0) + draw.integers(-2, 3, (120, 28, 28, 1))
    np.savez(tmp_path / "x.npz", x_train=images.clip(0, 255).astype(np.uint8))
    asked = {"k": 2, "train.steps": 2, "data.batch": 8, "data.neighbours": 3}
    assert models_iic.main(words(tmp_path / "x.npz", tmp_path / "runs", **asked)) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "the images form 5 sets of near-repeats" in told
