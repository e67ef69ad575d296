"""``name``: a finished run, labels of some images, and what comes of them."""

import csv
import json
import shutil

import keras
import numpy as np
import pytest
from PIL import Image

import models_iic
import utils
from iic_tf.evaluation.inference import assignments_of, compile_predict
from iic_tf.training import naming
from iic_tf.training.stored import chosen_heads


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def write(path, rows, *, first="image"):
    path.write_text(f"{first},class\n" + "".join(f"{i},{c}\n" for i, c in rows))
    return str(path)


@pytest.fixture
def run(labelled_run, tmp_path):
    """A copy of the run on 240 digits, which are known by number."""
    return labelled_run.copy_to(tmp_path)


@pytest.fixture
def truth(digits):
    return digits[1][:240].tolist()


def assignments(run):
    """Soft assignments of the digits by bank, and views of them."""
    stored = utils.load(run)
    task = utils.images_of(stored)
    heads = chosen_heads(run, stored.model)
    batches = list(task._shown(task.images))
    views = np.concatenate([x.numpy() for [x] in batches])
    return assignments_of(compile_predict(stored.model), batches, heads=heads), views


@pytest.mark.long
def test_labels_are_asked_for_and_name_clusters_round_after_round(run, truth, capsys):
    assert models_iic.main(["name", str(run)]) == 0
    told = capsys.readouterr().out
    place = run / "named"
    asked = [int(row["image"]) for row in read(place / "label_next.csv")]
    assert sorted(x.name for x in place.iterdir()) == [
        "label_next.csv",
        "label_next.png",
    ]
    soft, views = assignments(run)
    clusters = soft["main"].argmax(axis=1)
    used = np.unique(clusters)
    assert len(asked) == 10 and set(clusters[asked]) == set(used)
    assert "none yet" in told

    labels = write(place / "label_next.csv", [(i, truth[i]) for i in asked])
    assert models_iic.main(["name", str(run), "--labels", labels]) == 0
    told = capsys.readouterr().out
    assert "Score:    none, too few labels" in told
    # what somebody has filled in stays, and is not asked for again
    assert len(read(place / "label_next.csv")) == 10
    more = [int(row["image"]) for row in read(place / "label_next-2.csv")]
    assert len(more) == 10 and not set(more) & set(asked)
    assert f"--labels {labels} {place / 'label_next-2.csv'}" in told

    model = keras.models.load_model(place / "named.keras")
    names = [*sorted({str(truth[i]) for i in asked})]
    assert [name for name in model.class_names if name] == names
    found = model.predict(views, verbose=0)
    rows = read(place / "named.csv")
    assert [row["class"] for row in rows] == [
        model.class_names[i] for i in found.argmax(axis=1)
    ]
    for row, probability in zip(rows, found.max(axis=1), strict=True):
        assert abs(float(row["confidence"]) - probability) < 1e-3
    assert [int(row["cluster"]) for row in rows] == clusters.tolist()

    listed = read(place / "clusters.csv")
    assert [int(row["images"]) for row in listed] == np.bincount(
        clusters, minlength=10
    ).tolist()
    assert sum(int(row["of"]) for row in listed) == 10
    for row in listed:
        number = sum(
            str(truth[i]) == row["class"] and clusters[i] == int(row["cluster"])
            for i in asked
        )
        assert int(row["labels"]) == number


@pytest.mark.long
def test_with_many_labels_half_is_held_back_for_a_score(run, truth, tmp_path, capsys):
    labels = write(tmp_path / "all.csv", enumerate(truth))
    words = ["name", str(run), "--labels", labels, "--overclusters"]
    assert models_iic.main(words) == 0
    told = capsys.readouterr().out
    place = run / "named"
    assert "Named:    50 overclusters" in told and "seed 0" in told
    soft, _ = assignments(run)
    classes = np.array(truth)
    right, number = naming.held_back_score(
        soft, np.arange(240), classes, num_classes=10, overclusters=True
    )
    summary = json.loads((place / "summary.json").read_text())
    assert summary["named"] == "overclusters" and summary["labels"] == 240
    assert summary["score"] == right / number and number < 125
    assert f"Score:    {right / number:.4f} of {number} labelled images" in told
    assert not read(place / "label_next.csv")  # all are labelled
    assert (place / "named_clusters.png").read_bytes().startswith(b"\x89PNG")


def test_a_mistake_in_labels_writes_nothing(run, tmp_path, capsys):
    before = sorted(run.iterdir())
    labels = write(tmp_path / "labels.csv", [(0, 7), (240, 7)])
    assert models_iic.main(["name", str(run), "--labels", labels]) == 2
    error = capsys.readouterr().err
    assert f"line 3 of {labels} must name an image of the run: its number" in error
    assert "from 0 to 239" in error and error.count("\n") == 1
    assert sorted(run.iterdir()) == before


@pytest.mark.long
def test_a_failure_while_writing_leaves_what_was_there(
    run, truth, tmp_path, monkeypatch
):
    labels = write(tmp_path / "labels.csv", list(enumerate(truth))[:30])
    place = run / "named"
    place.mkdir()
    (place / "named.csv").write_text("from before")

    def full(*args, **how):
        raise OSError(28, "No space left on device", "named.keras")

    monkeypatch.setattr(naming.NamedClusters, "save", full)
    assert models_iic.main(["name", str(run), "--labels", labels]) == 1
    assert [x.name for x in place.iterdir()] == ["named.csv"]
    assert (place / "named.csv").read_text() == "from before"
    assert not list(run.glob(".unfinished*"))


@pytest.mark.long
def test_images_in_folders_of_a_run_that_was_moved(run, digits, tmp_path, capsys):
    """The folder is given anew, since neither run nor images are where they were."""
    photos, moved = tmp_path / "photos", tmp_path / "moved"
    for i, (image, label) in enumerate(zip(*digits, strict=True)):
        (photos / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[..., 0]).save(photos / str(label) / f"{i}.png")
        if i == 59:
            break
    shutil.move(run, moved)
    paths = sorted(x.relative_to(photos).as_posix() for x in photos.glob("*/*.png"))
    rows = [(path if i % 2 else path.split("/")[1], f"digit {path[0]}")
            for i, path in enumerate(paths[:40])]  # fmt: skip
    labels = write(tmp_path / "labels.csv", rows, first="path")
    words = ["name", str(moved), f"--data.folder={photos}", "--labels", labels]
    assert models_iic.main(words) == 0
    told = capsys.readouterr().out
    assert "not the set of images that the run was trained on" in told
    named = read(moved / "named" / "named.csv")
    assert [row["path"] for row in named] == paths
    assert {row["class"] for row in named} <= {"", *(name for _, name in rows)}
    asked = read(moved / "named" / "label_next.csv")
    assert {row["path"] for row in asked} <= set(paths[40:])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["name"], "required: RUN"),
        (["name", "nowhere"], "name needs the folder of a run"),
        (["name", "{run}", "--labels", "no.csv"], "no.csv must be a text file"),
        (["name", "{run}", "--k", "3"], "name takes one run, --labels"),
        (["name", "{run}", "{run}"], "name takes one run, --labels"),
        (["name", "{maps}"], "name needs a run that clusters whole images"),
        (["name", "{moved}"], "say with --data.folder where they are now"),
    ],
)
def test_mistakes_of_the_command_line(labelled_run, tmp_path, capsys, words, told):
    places = {"run": str(labelled_run.folder)}
    for name, where in (("maps", f"images: {tmp_path}"), ("moved", "folder: /gone")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "options.yaml").write_text(f"data:\n  {where}\n")
        places[name] = str(tmp_path / name)
    assert models_iic.main([word.format(**places) for word in words]) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1
    assert not (labelled_run.folder / "named").exists()
