"""``merge`` and ``name --names``: clusters joined and named by hand."""

import csv
import json

import keras
import numpy as np
import pytest

import models_iic
import utils
from iic_tf.evaluation.inference import assignments_of, compile_predict
from iic_tf.training.naming import read_naming
from iic_tf.training.stored import chosen_heads


def read(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def soft_and_views(run):
    """Soft assignments of the digits of a run, and views of them."""
    stored = utils.load(run)
    task = utils.images_of(stored)
    heads = {"main": chosen_heads(run, stored.model)["main"]}
    batches = list(task._shown(task.protocol.evaluate.images))
    views = np.concatenate([x.numpy() for [x] in batches])
    return assignments_of(compile_predict(stored.model), batches, heads=heads), views


def test_joined_clusters_are_written_and_modelled(labelled_run, tmp_path, capsys):
    run = labelled_run.copy_to(tmp_path)
    words = ["merge", str(run), "3+7", "2+5", "--rename", "3=cats", "0=Null"]
    assert models_iic.main(words) == 0
    told, place = capsys.readouterr().out, run / "named"
    assert "10 clusters of sub-head" in told and "become 8" in told
    assert any(line.split()[0::2] == ["cats", "3,"] for line in told.splitlines())
    names = ["Null", "1", "2+5", "cats", "4", "6", "8", "9"]
    soft, views = soft_and_views(run)
    soft = soft["main"]
    joined = np.stack(
        [
            soft[:, c].sum(axis=1)
            for c in ([0], [1], [2, 5], [3, 7], [4], [6], [8], [9])
        ],
        axis=1,
    )
    rows = read(place / "named.csv")
    assert [row["class"] for row in rows] == [names[i] for i in joined.argmax(axis=1)]
    assert [int(row["cluster"]) for row in rows] == soft.argmax(axis=1).tolist()
    model = keras.models.load_model(place / "named.keras")
    assert list(model.class_names) == names
    np.testing.assert_allclose(model.predict(views, verbose=0), joined, atol=2e-3)
    listed = {row["cluster"]: row["class"] for row in read(place / "clusters.csv")}
    assert listed["7"] == listed["3"] == "cats" and listed["8"] == "8"
    assert (place / "named_clusters.png").read_bytes().startswith(b"\x89PNG")
    stored = read_naming(run)
    assert list(stored.names) == names
    assert stored.of_images(soft) == [row["class"] for row in rows]

    # a file takes the place of what was joined before
    (tmp_path / "names.json").write_text(
        json.dumps({"clusters": {"0": "cats", "3": "cats", "7": "dogs"}})
    )
    by_file = ["name", str(run), "--names", str(tmp_path / "names.json")]
    assert models_iic.main(by_file) == 0
    names = read_naming(run).names
    assert names == ("cats", "1", "2", "4", "5", "6", "dogs", "8", "9")
    told = capsys.readouterr().out
    assert f"Results in {place}." in told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["merge"], "required: RUN"),
        (["merge", "{run}"], "merge needs clusters to be joined"),
        (["merge", "{run}", "3"], "merge takes different clusters joined by +"),
        (["merge", "{run}", "3+3"], "merge takes different clusters joined by +"),
        (["merge", "{run}", "--rename", "3"], "--rename takes a cluster and its name"),
        (["merge", "{run}", "--rename", "3=a", "3=b"], "give cluster 3 one name"),
        (["merge", "{run}", "3+7", "--k", "3"], "merge takes one run, clusters"),
        (["merge", "{run}", "3+70"], "only clusters from 0 to 9 can be named"),
        (["name", "{run}", "--names", "x", "--labels", "y"], "--names is used without"),
        (["name", "{run}", "--names", "no.json"], "the names no.json must be JSON"),
    ],
)
def test_mistakes_of_the_command_line(labelled_run, capsys, words, told):
    given = [word.format(run=labelled_run.folder) for word in words]
    assert models_iic.main(given) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1
    assert not (labelled_run.folder / "named").exists()


def test_damaged_names_are_one_sentence(labelled_run, tmp_path, capsys):
    run = labelled_run.copy_to(tmp_path)
    (run / "named").mkdir()
    (run / "named" / "summary.json").write_text('{"class_names": ["a"]}')
    assert models_iic.main(["export", str(run)]) == 2
    error = capsys.readouterr().err
    assert "summary.json is damaged" in error and error.count("\n") == 1
