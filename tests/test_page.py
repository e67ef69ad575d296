import re
from html.parser import HTMLParser

import numpy as np
import pytest

from iic_tf.evaluation.confidence import reliability
from iic_tf.neighbours.grouping import merge_tree
from iic_tf.report.page import (
    Cluster,
    Map,
    MergeTree,
    Overlay,
    Page,
    Pair,
    Row,
    Shown,
    Table,
    Unusual,
    render,
)
from iic_tf.report.page_plots import charts, lay_out_tree, reliability_chart
from iic_tf.report.thumbnails import sprite, thumbnail

HOSTILE = [
    "<script>alert(1)</script>.png",
    "\" onerror='alert(2)' x=\".png",
    "</script><img src=x onerror=alert(3)>.png",
    "{{ 7 * 7 }} & {% raw %}.png",
    "\x1b[2J\u202egnp.exe\udcff.png",
]

REPORT = {
    "step": 8,
    "main_information": [0.3],
    "main_bound": 1.1,
    "errors": [0.5],
    "scored_on": "all",
    "chosen": 0,
}


def made_up_page(paths=("a.png", "b.png", "c.png"), **changes):
    """A page with everything on it, of images with these names."""
    uri = thumbnail(np.zeros((4, 4, 1)), side=4)
    shown = [Shown(uri, f"{name}, cluster 0", "0.90") for name in paths]
    k, number = 3, len(paths)
    clusters = [
        Cluster(i, 5, 1 / k, 0.9, (1, 0.2) if i else None, paths[i],
                [Row("Typical", shown), Row("Borderline", [], "None.")])
        for i in range(k)
    ]  # fmt: skip
    tree = lay_out_tree(*merge_tree(np.eye(4) + 0.1), k=2)
    leaves = [shown[:1]] * 4
    pair = Pair(shown[0], shown[1], f"0.100: {paths[0]}")
    sheet, square = sprite([np.zeros((4, 4, 1))] * number, side=4)
    places = np.arange(2 * number).reshape(number, 2)
    content = {
        "title": paths[0],
        "heading": f"{number} images from {paths[1]}",
        "unit": "images",
        "tiles": [("3", "images")],
        "summary": ["Found."],
        "advice": [f"Look at {paths[2]}."],
        "clusters": clusters,
        "charts": charts([REPORT]),
        "about": [("Images", paths[0])],
        "options": f"folder: {paths[0]}\nk: 3\n",
        "files": [("model.keras", "the network")],
        "repeat": f"python models_iic.py --data.folder '{paths[0]}'",
        "key": paths[0],
        "naming": "python models_iic.py name RUN --names names.json",
        "names": {1: paths[0]},
        "map": Map(places, np.zeros(number, int), paths, np.ones(number), {0: (1, 2)},
                   sheet, square, 2, "A map."),
        "tree": MergeTree(tree, np.eye(4, 3, dtype=int), leaves, ["A tree."], "cells"),
        "unusual": Unusual([pair], "One pair.", [pair], "One image."),
        "scores": [("NMI", (0.5, 0.4, 0.6, 0.3))],
        "confusion": Table.of_classes(np.eye(3), paths[:3], unit="images"),
        "overlays": [Overlay(paths[0], shown[0], shown[1], "0: 50 %")],
        "unsure": Row("Unsure: 2 images", shown[:2]),
        "reliability": reliability_chart(reliability(np.ones(3), np.ones(3, bool))),
    }  # fmt: skip
    return Page(**{**content, **changes})


class Reader(HTMLParser):
    """All tags of a page with their attributes, and the text of its scripts."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.scripts = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.open.append(tag)

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)


def test_names_of_files_are_text_and_nothing_else():
    plain, hostile = (Reader(render(made_up_page(names))) for names in
                      (["a", "b", "c", "d", "e"], HOSTILE))  # fmt: skip
    assert [tag for tag, _ in plain.tags] == [tag for tag, _ in hostile.tags]
    for (_, before), (_, after) in zip(plain.tags, hostile.tags, strict=True):
        assert set(before) == set(after)
    assert not any(
        name.startswith("on") or name == "style"
        for _, attributes in hostile.tags
        for name in attributes
    )
    assert len(hostile.scripts) == 2 and "alert(" not in hostile.scripts[1]
    text = render(made_up_page(HOSTILE))
    assert "{{ 7 * 7 }}" in text and "\x1b" not in text and "\u202e" not in text
    text.encode()  # no half of a surrogate is left


def test_nothing_is_loaded_from_anywhere():
    text = render(made_up_page())
    for _, attributes in Reader(text).tags:
        for name in ("src", "href", "action", "data", "poster"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:"))
    for address in re.findall(r"https?://[^\s\"']+", text):
        assert address == "http://www.w3.org/2000/svg"  # a name, not an address
    assert "@import" not in text and "url(" not in text
    assert "default-src &#39;none&#39;" in text and "unsafe" not in text


def test_every_image_has_words_and_every_field_a_label():
    tags = Reader(render(made_up_page())).tags
    labelled = {a["for"] for tag, a in tags if tag == "label"}
    ids = [a["id"] for _, a in tags if "id" in a]
    assert len(ids) == len(set(ids))
    for tag, attributes in tags:
        if tag == "img":
            assert "alt" in attributes
        if tag in ("input", "select"):
            assert attributes["id"] in labelled
        if tag == "a":
            assert attributes["href"].removeprefix("#") in ids
        if tag == "svg":
            assert "aria-hidden" in attributes or "aria-label" in attributes
        for name in ("aria-labelledby", "aria-describedby", "list"):
            assert attributes.get(name, ids[0]) in ids
    assert {"header", "nav", "main", "footer"} <= {tag for tag, _ in tags}


def test_unsure_images_and_confidence_are_on_the_page():
    text = render(made_up_page())
    assert "<h3>Unsure: 2 images</h3>" in text and "<h4>Typical</h4>" in text
    assert "1.00 at 1.00 (3 images)" in text
    assert text.count(">confidence</text>") == 1  # below the axis
    assert text.count(">training step</text>") == len(charts([REPORT]))


def test_what_there_is_not_is_left_out():
    without = dict.fromkeys(("map", "tree", "unusual", "confusion", "naming", "unsure"))
    empty = dict.fromkeys(("scores", "overlays", "charts", "files"), ())
    text = render(made_up_page(**without, **empty))
    ids = {a.get("id") for _, a in Reader(text).tags}
    assert {"summary", "clusters", "about"} <= ids
    assert not ids & {"features", "tree", "unusual", "scores", "overlays", "curves"}
    body = text.partition("<script")[0]
    assert "names.json" not in body and "Unsure" not in body


def test_a_branch_has_the_colour_of_nearly_all_its_images():
    table = np.array([[95, 5], [1, 0], [0, 50]])
    tree = MergeTree(lay_out_tree(*merge_tree(np.eye(3)), k=2), table, [], [], "")
    assert tree.main_of((0, 1)) == 0 and tree.main_of((0, 2)) is None


@pytest.mark.parametrize("k", [1, 40])
def test_many_clusters_or_one(k):
    clusters = [Cluster(i, 0, 0.0) for i in range(k)]
    page = made_up_page(clusters=clusters, tree=None, overlays=())
    assert render(page).count("<article") == k
