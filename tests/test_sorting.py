"""``predict RUN IMAGES --into FOLDER``: image files in a folder for each cluster."""

import csv
import shutil

import pytest
from PIL import Image

import models_iic


def assigned(folder):
    with (folder / "assignments.csv").open(newline="") as file:
        return {row["path"]: row["cluster"] for row in csv.DictReader(file)}


def in_folders(into):
    """The folder of each file, by its name."""
    return {x.name: x.parent.name for x in into.glob("*/*")}


@pytest.fixture
def photos(digits, tmp_path):
    for i, image in enumerate(digits[0][:12]):
        place = tmp_path / "photos" / ("even", "odd")[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[..., 0]).save(place / f"{i}.png")
    return tmp_path / "photos"


@pytest.fixture
def run(labelled_run, tmp_path):
    """A copy of a run, somewhere else than where it was made."""
    return labelled_run.copy_to(tmp_path)


def test_a_folder_is_sorted_by_clusters_and_by_their_names(
    run, photos, tmp_path, capsys
):
    into = tmp_path / "sorted"
    words = ["predict", str(run), str(photos), "--into"]
    assert models_iic.main([*words, str(into)]) == 0
    told = capsys.readouterr().out
    clusters = assigned(run / "evaluation-1")
    assert sorted(clusters) == sorted(
        x.relative_to(photos).as_posix() for x in photos.rglob("*.png")
    )
    by_name = {path.split("/")[1]: cluster for path, cluster in clusters.items()}
    assert in_folders(into) == by_name
    number = len(set(by_name.values()))
    folders = "folder" if number == 1 else "folders"
    assert f"Sorted:   12 links in {number} {folders} of {into}" in told

    # what is there stays
    before = sorted(into.rglob("*"))
    assert models_iic.main([*words, str(into)]) == 2
    error = capsys.readouterr().err
    assert "--into must be a new or an empty folder" in error
    assert sorted(into.rglob("*")) == before and not (run / "evaluation-2").exists()

    all_joined = "+".join(map(str, range(10)))
    join = ["merge", str(run), all_joined, "--rename", "3=all/of them"]
    assert models_iic.main(join) == 0
    again = tmp_path / "again"
    given = [f"--into={again}", "--copy", str(photos / "even"), str(photos / "odd")]
    assert models_iic.main(["predict", str(run), *given]) == 0
    assert set(in_folders(again).values()) == {"all_of them"}
    shutil.rmtree(photos)
    assert len([x for x in again.glob("*/*") if x.read_bytes()[:4] == b"\x89PNG"]) == 12


@pytest.mark.long
def test_unsure_images_have_a_folder_of_their_own(run, photos, tmp_path, capsys):
    predict = ["predict", str(run), str(photos)]
    assert models_iic.main([*predict, "--unsure"]) == 2
    assert "--unsure is for --into FOLDER" in capsys.readouterr().err

    def sorted_at(below):
        into = tmp_path / f"sorted-{below}"
        words = [*predict, "--into", str(into), "--unsure"]
        assert models_iic.main([*words, f"--report.unsure={below}"]) == 0
        return in_folders(into)

    assert set(sorted_at(1).values()) == {"unsure"}
    with (run / "evaluation-1" / "assignments.csv").open(newline="") as file:
        sure = sorted(float(row["confidence"]) for row in csv.DictReader(file))
    below = (sure[5] + sure[6]) / 2
    found = sorted_at(below)
    clusters = assigned(run / "evaluation-2")
    with (run / "evaluation-2" / "assignments.csv").open(newline="") as file:
        rows = {row["path"]: row["unsure"] for row in csv.DictReader(file)}
    assert list(rows.values()).count("yes") == 6
    for path, unsure in rows.items():
        expected = "unsure" if unsure == "yes" else clusters[path]
        assert found[path.split("/")[1]] == expected


@pytest.mark.long
def test_files_and_folders_together(run, photos, capsys):
    files = [photos / "even" / "0.png", photos / "even" / "4.png"]
    words = ["predict", str(run), *map(str, files), str(photos / "odd")]
    assert models_iic.main(words) == 0
    found = sorted(assigned(run / "evaluation-1"))
    odd = sorted(f"odd/{x.name}" for x in (photos / "odd").iterdir())
    assert found == ["even/0.png", "even/4.png", *odd]
    assert models_iic.main(words[:3]) == 0
    assert list(assigned(run / "evaluation-2")) == ["0.png"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["{run}"], "predict needs a run and images"),
        (["{run}", "{photos}", "--into"], "--into needs a value"),
        (["{run}", "{photos}", "--copy"], "--copy is for --into FOLDER"),
        (["{run}", "{photos}", "--into", "x", "--print-only"], "used without --into"),
        (["{run}", "{photos}", "gone.png"], "predict needs files or folders of images"),
        (["{maps}", "{photos}", "--into", "x"], "--into needs a run that tells"),
    ],
)
def test_mistakes_of_the_command_line(
    labelled_run, photos, tmp_path, capsys, words, told
):
    maps = tmp_path / "maps"
    maps.mkdir()
    (maps / "options.yaml").write_text(f"data:\n  images: {tmp_path}\n")
    manifest = labelled_run.folder / "manifest.json"
    (maps / "manifest.json").write_text(manifest.read_text())
    places = {"run": labelled_run.folder, "photos": photos, "maps": maps}
    given = ["predict", *(word.format(**places) for word in words)]
    assert models_iic.main(given) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1
