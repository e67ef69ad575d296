"""``report``: one page about a finished run, read as a file and in a browser."""

import csv
import json
import shutil

import numpy as np
import pytest
from browser import browser, find_browser
from PIL import Image
from runs import TINY, as_words
from test_page import HOSTILE, Reader, made_up_page

import models_iic
from iic_tf.names import escaped
from iic_tf.report.page import render
from iic_tf.run_folder import read_summary


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.long
def test_a_run_is_reported_on(labelled_run, tmp_path, capsys):
    run = labelled_run.copy_to(tmp_path)
    before = {path.name for path in run.iterdir()}
    assert models_iic.main(["report", str(run)]) == 0
    told = capsys.readouterr().out
    page = run / "report.html"
    assert f"The report is {page} (" in told and page.stat().st_size < 10e6
    new = {path.name for path in run.iterdir()} - before
    assert new == {"report.html", "outliers.csv", "duplicates.csv"}
    text = page.read_text()
    found = Reader(text)
    ids = {attributes.get("id") for _, attributes in found.tags}
    assert {"features", "tree", "unusual", "scores", "curves", "cluster-9"} <= ids
    summary = read_summary(run)
    nats = summary["information"][summary["chosen"]]
    assert f"{nats:.2f} nats" in text and "240 images in 10 clusters" in text
    assert f"{100 * summary['errors'][summary['chosen']]:.0f} %" in text
    points = [a for tag, a in found.tags if a.get("class") == "point"]
    assert len(points) == 240
    rows = read(run / "outliers.csv")
    assert len(rows) == 10 and list(rows[0]) == ["image", "distance", "nearest"]
    distances = [float(row["distance"]) for row in rows]
    assert distances == sorted(distances, reverse=True)
    assert all(0 <= int(row["nearest"]) < 240 for row in rows)
    # once more: the same page, names that were given included
    place = run / "named"
    place.mkdir()
    names = ["cats & dogs", *[None] * 9]
    named = json.dumps({"named": "clusters", "classes": names})
    (place / "summary.json").write_text(named)
    assert models_iic.main(["report", str(run)]) == 0
    again = page.read_text()
    assert "cats \\u0026 dogs" in again
    assert again.replace('"0": "cats \\u0026 dogs"', "") == text


def folder_of_images(folder):
    """Images with the names that are most trouble, one of them twice."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    names = [name.replace("/", "") for name in HOSTILE]
    names += [f"{i}.png" for i in range(35)]
    for name in names:
        small = Image.fromarray(rng.integers(0, 255, (6, 6), np.uint8))
        small.resize((24, 24), Image.Resampling.BICUBIC).save(folder / name)
    shutil.copy(folder / "0.png", folder / "=copy.png")
    return names


@pytest.mark.slow
def test_hostile_names_and_copies_of_images(tmp_path, capsys):
    names = folder_of_images(tmp_path / "images")
    options = {**TINY, "data.folder": tmp_path / "images", "out": tmp_path, "k": 3}
    options |= {"data.batch": 20, "train.steps": 2, "name": "run"}
    assert models_iic.main(as_words(options)) == 0
    assert models_iic.main(["report", str(tmp_path / "run")]) == 0
    text = (tmp_path / "run" / "report.html").read_text()
    found = Reader(text)
    assert len(found.scripts) == 2 and "alert(" not in found.scripts[1]
    mapped = json.loads(found.scripts[0])["map"]["names"]
    assert {escaped(name) for name in names} < set(mapped)
    [row] = read(tmp_path / "run" / "duplicates.csv")
    # as in other tables a formula is made text
    assert {row["path"], row["nearest"]} == {"0.png", "'=copy.png"}
    assert float(row["distance"]) == 0 and "1 pair of images" in text
    # the images are gone
    capsys.readouterr()
    shutil.move(tmp_path / "images", tmp_path / "moved")
    assert models_iic.main(["report", str(tmp_path / "run")]) == 2
    told = capsys.readouterr().err
    assert "say with --data.folder where they are now" in told and "\n" not in told[:-1]
    moved = ["report", str(tmp_path / "run"), "--data.folder", str(tmp_path / "moved")]
    assert models_iic.main(moved) == 0
    assert "not the images" not in capsys.readouterr().out


@pytest.mark.long
def test_vectors_are_sketched(tmp_path):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(60, 9)) + 4 * np.eye(9)[np.arange(60) % 3]
    np.save(tmp_path / "x.npy", vectors.astype(np.float32))
    options = {name: value for name, value in TINY.items() if "graph" not in name}
    options |= {"data.features": tmp_path / "x.npy", "out": tmp_path, "k": 3}
    options |= {"data.batch": 30, "name": "run", "heads.aux": 0}
    assert models_iic.main(as_words(options)) == 0
    assert models_iic.main(["report", str(tmp_path / "run")]) == 0
    text = (tmp_path / "run" / "report.html").read_text()
    assert "60 examples in 3 clusters" in text and "data:image/png" in text


@pytest.mark.slow
def test_a_segmentation_has_overlays_and_shares(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for i in range(4):
        image = rng.integers(0, 90, (48, 48, 3), np.uint8)
        image[:24] += 150
        Image.fromarray(image).save(tmp_path / "images" / f"{i}<b>.png")
    kept = ("heads", "train", "report", "data.neighbours", "data.repeats")
    options = {name: v for name, v in TINY.items() if name.startswith(kept)}
    options |= {"data.images": tmp_path / "images", "out": tmp_path, "k": 2}
    options |= {"name": "run", "train.steps": 2, "data.batch": 2}
    options |= {"data.augment.side": 32}
    assert models_iic.main(as_words(options)) == 0
    assert models_iic.main(["report", str(tmp_path / "run")]) == 0
    text = (tmp_path / "run" / "report.html").read_text()
    found = Reader(text)
    assert "4 images segmented into 2 clusters" in text
    assert "<b>" not in text and "0&lt;b&gt;.png" in text
    alts = [attributes.get("alt", "") for _, attributes in found.tags]
    assert sum("with its clusters" in alt for alt in alts) == 4
    assert not (tmp_path / "run" / "duplicates.csv").exists()
    assert "names.json" not in text.partition("<script")[0]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--k", "3"], "report takes one run and where its images are"),
        (["other"], "report takes one run and where its images are"),
        (["--data.array", "nowhere.npy"], "say with --data.array where they are now"),
    ],
)
def test_mistakes_are_told_in_a_sentence(more, told, labelled_run, capsys):
    assert models_iic.main(["report", str(labelled_run.folder), *more]) == 2
    assert told in capsys.readouterr().err


def test_other_tasks_are_refused(labelled_run, tmp_path, capsys):
    run = labelled_run.copy_to(tmp_path)
    options = (run / "options.yaml").read_text()
    for before, after in (
        ("task: cluster", "task: classify"),
        ("method: iic", "method: spectral"),
    ):
        assert before in options
        (run / "options.yaml").write_text(options.replace(before, after))
        assert models_iic.main(["report", str(run)]) == 2
        assert "a network that clusters or segments" in capsys.readouterr().err


def test_help_answers_at_once(capsys):
    with pytest.raises(SystemExit) as caught:
        models_iic.main(["report", "--help"])
    assert caught.value.code == 0 and "outliers" in capsys.readouterr().out


# ------------------------------------------------------------------------ in a browser


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    if find_browser() is None:
        pytest.skip("there is no Chromium; CHROMIUM may say where one is")
    with browser(tmp_path_factory.mktemp("profile")) as tab:
        yield tab


def errors_of(tab):
    """What went wrong in a page: exceptions, and what its policy has stopped."""
    kinds = (
        "Runtime.exceptionThrown",
        "Log.entryAdded",
        "Page.javascriptDialogOpening",
    )
    return [event for event in tab.events if event["method"] in kinds]


def test_clusters_are_named_and_merged_by_keyboard(tab, tmp_path):
    (tmp_path / "report.html").write_text(render(made_up_page(HOSTILE)))
    place = tmp_path / "downloads"
    tab.open(tmp_path / "report.html")
    tab.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(place))
    assert tab.run("document.getElementById('name-1').value").startswith("<script>")
    tab.run("document.getElementById('name-0').focus()")
    tab.type("cats & <b>dogs</b>")
    assert tab.run("document.querySelector('#title-0').textContent").strip() == (
        "0 · cats & <b>dogs</b>"
    )
    tab.run(
        "(s => { s.value = '0'; s.dispatchEvent(new Event('change')); })"
        "(document.getElementById('merge-2'))"
    )
    told = tab.run("document.getElementById('naming-status').textContent")
    assert told.startswith("3 of 3 clusters named, 2 different names")
    assert tab.run("document.getElementById('merged-2').textContent") == "Merged with 0"
    tab.run("document.getElementById('download').focus()")
    outline = tab.run("getComputedStyle(document.activeElement).outlineStyle")
    tab.run("document.getElementById('download').click()")
    found = place / "names.json"
    tab.wait(
        "document.getElementById('naming-status').textContent.includes('downloads')"
    )
    for _ in range(100):
        if found.exists() and found.stat().st_size:
            break
        tab.run("new Promise(done => setTimeout(done, 50))")
    names = json.loads(found.read_text())["clusters"]
    assert names["0"] == names["2"] == "cats & <b>dogs</b>" and outline != "none"
    # names are still there when the page is opened again
    tab.open(tmp_path / "report.html")
    assert tab.run("document.getElementById('name-2').value") == names["0"]
    assert errors_of(tab) == []


def test_the_map_tells_what_is_looked_at(tab, tmp_path):
    (tmp_path / "report.html").write_text(render(made_up_page(key="other")))
    tab.open(tmp_path / "report.html")
    tab.wait("document.getElementById('looked-told').textContent.includes('a.png')")
    tab.run("document.getElementById('map-image').focus()")
    tab.press("ArrowRight")
    tab.wait("document.getElementById('looked-told').textContent.includes('b.png')")
    assert errors_of(tab) == []


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_the_window_and_loads_nothing(tab, tmp_path, width, dark):
    (tmp_path / "report.html").write_text(render(made_up_page()))
    tab.events.clear()
    tab.open(tmp_path / "report.html", width=width, dark=dark)
    assert tab.run("document.documentElement.scrollWidth") <= width
    paper = tab.run("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, paper[4:-1].split(","))) < 300) == dark
    requested = [
        event["params"]["request"]["url"]
        for event in tab.events
        if event["method"] == "Network.requestWillBeSent"
    ]
    assert {url.partition(":")[0] for url in requested} <= {"file", "data"}
    assert errors_of(tab) == []
