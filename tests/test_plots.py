import numpy as np
import pytest
from PIL import Image

from iic_tf.evaluation.confidence import reliability
from iic_tf.report.plots import (
    cluster_grid,
    cluster_pairs,
    label_histograms,
    label_map_rows,
    latent_grid,
    map_colours,
    mistake_grid,
    number_table,
    pair_grid,
    reliability_plot,
    summed_up,
)


def test_cluster_grid_also_with_empty_clusters(digits, tmp_path):
    images = digits[0][:50]
    probabilities = np.random.default_rng(0).dirichlet(np.ones(4), 50)
    probabilities[:, 2] = 0  # an empty cluster
    path = tmp_path / "clusters.png"
    cluster_grid(
        path, images, probabilities, names=list("abcd"), title="a run", columns=8
    )
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("L"))
    assert (pixels < 50).mean() > 0.1  # black digits' backgrounds are there
    assert [p.name for p in tmp_path.iterdir()] == ["clusters.png"]


def test_equally_sure_images_are_not_shown_in_order(digits, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "iic_tf.report.plots._captioned_rows",
        lambda path, rows, **_: drawn.extend(rows),
    )
    images = digits[0][:200]
    probabilities = np.tile([0.9, 0.1], (200, 1))
    probabilities[150] = [0.99, 0.01]
    cluster_grid(tmp_path / "c.png", images, probabilities, title="", columns=10)
    shown = [int(np.flatnonzero((images / 255 == x).all((1, 2, 3)))[0])
             for x in drawn[0][2]]  # fmt: skip
    assert shown[0] == 150  # the surest
    assert max(shown) > 100 and shown[1:] != list(range(9))


def test_unsure_images_have_a_row_of_their_own(digits, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "iic_tf.report.plots._captioned_rows",
        lambda path, rows, **_: drawn.append(rows),
    )
    images, soft = digits[0][:6], np.tile([0.9, 0.1], (6, 1))
    sure = np.array([0.9, 0.3, 0.8, 0.2, 0.95, 0.7])
    how = {"confidence": sure, "title": ""}
    cluster_grid(tmp_path / "c.png", images, soft, unsure=0.5, **how)
    cluster_grid(tmp_path / "c.png", images, soft, unsure=0.1, **how)
    assert [name for name, *_ in drawn[0]] == ["cluster 0", "cluster 1", "unsure"]
    assert [name for name, *_ in drawn[1]] == ["cluster 0", "cluster 1"]
    _, note, shown = drawn[0][2]
    assert note == "2 images, confidence < 0.5"
    np.testing.assert_array_equal(shown, images[[3, 1]] / 255)
    _, note, shown = drawn[0][0]
    assert "confidence 0.64" in note
    np.testing.assert_array_equal(shown[0], images[4] / 255)


def test_reliability_is_drawn(tmp_path):
    path = tmp_path / "reliability.png"
    sure = np.linspace(0.1, 1, 50)
    reliability_plot(path, reliability(sure, sure > 0.5), title="a $run", scored="all")
    with Image.open(path) as image:
        assert min(image.size) > 400


@pytest.mark.parametrize(
    ("k", "order", "names", "title"),
    [
        (3, None, ["cluster 0", "cluster 1", "cluster 2"], "t"),
        (3, [2, 0], ["cluster 2", "cluster 0"], "t"),
        (50, [49, 0], ["cluster 0"], "t (40 largest of 50)"),
    ],
)
def test_clusters_are_drawn_in_the_order_asked_for(
    digits, tmp_path, monkeypatch, k, order, names, title
):
    drawn = []
    monkeypatch.setattr(
        "iic_tf.report.plots._captioned_rows",
        lambda path, rows, *, title, columns: drawn.append((rows, title)),
    )
    probabilities = np.eye(k)[np.arange(100) % min(k, 45)]
    cluster_grid(tmp_path / "c.png", digits[0][:100], probabilities, order=order,
                 title="t")  # fmt: skip
    [(rows, heading)] = drawn
    assert [row[0] for row in rows] == names and heading == title


def test_long_names_are_drawn_whole(digits, tmp_path):
    soft = np.eye(2)[np.arange(40) % 2]
    long = "W" * 32
    cluster_grid(tmp_path / "c.png", digits[0][:40], soft, names=[long, "b"],
                 mostly=[None, long], title="")  # fmt: skip
    with Image.open(tmp_path / "c.png") as image:
        pixels = np.asarray(image.convert("L"))
    inked = np.flatnonzero((pixels < 128).any(axis=0))
    assert 5 < inked[0] < 40  # neither cut off nor far from the edge


def test_cluster_grid_in_colour(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)
    images[..., 0] = 255
    probabilities = np.eye(3)[np.arange(12) % 3]
    cluster_grid(tmp_path / "c.png", images, probabilities, title="colour", columns=4)
    with Image.open(tmp_path / "c.png") as image:
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
    assert ((pixels[:, 0] == 255) & (pixels[:, 1] < 200)).mean() > 0.1


def test_latent_grid(digits, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "iic_tf.report.plots._captioned_rows",
        lambda path, rows, **how: drawn.append((rows, how)),
    )
    images, path = digits[0][:3] / 255.0, tmp_path / "latent.png"
    maps = np.arange(3 * 2 * 2 * 40, dtype=float).reshape(3, 2, 2, 40)
    maps[..., 0] = 7  # a channel that tells nothing
    latent_grid(path, images, maps, title="run")
    rows, how = drawn.pop()
    assert how["title"] == "run (2×2×40, 16 of 40 channels)" and len(rows) == 3
    image, dead, *_, last = rows[0][2]
    assert len(rows[0][2]) == how["columns"] == 17
    np.testing.assert_array_equal(image, np.repeat(images[0], 3, axis=-1))
    assert not dead.any()
    # from 39, the first of its channel, to 479, the last: each pixel 14×14 times
    expected = np.kron((maps[0, ..., 39] - 39) / 440, np.ones((14, 14)))
    np.testing.assert_allclose(last[..., 0], expected)
    latent_grid(path, images, np.arange(30.0).reshape(3, 10), title="run")
    [(rows, how)] = drawn
    assert how["title"] == "run (10 numbers, row by row)" and how["columns"] == 3
    assert [name for name, *_ in rows] == ["image", "latent"]
    tile = rows[1][2][0]
    assert tile.shape == (28, 28, 3)  # 4×4 places of 7 pixels
    np.testing.assert_allclose(tile[::7, ::7, 0].ravel()[:10], np.arange(10) / 29)
    assert (tile[::7, ::7, 0].ravel()[10:] == 1).all()


def test_pair_grid(digits, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "iic_tf.report.plots._captioned_rows",
        lambda path, rows, **_: drawn.extend(rows),
    )
    originals = digits[0][:6] / 255.0
    views = [originals, 1 - originals, originals / 2]
    pair_grid(tmp_path / "pairs.png", views, title="pairs")
    assert [name for name, *_ in drawn] == ["original", "view 1", "view 2"]
    for (_, _, shown), view in zip(drawn, views, strict=True):
        np.testing.assert_array_equal(shown, view)


def test_pair_grid_of_what_leaves_the_range(digits, tmp_path):
    views = [digits[0][:6] / 255.0, digits[0][:6] / 128.0 - 0.5]
    pair_grid(tmp_path / "pairs.png", views, title="pairs")
    with Image.open(tmp_path / "pairs.png") as image:
        assert image.size[0] > image.size[1]


def test_mistakes_are_drawn_the_most_frequent_first(digits, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "iic_tf.report.plots._captioned_rows",
        lambda path, rows, **_: drawn.extend(rows),
    )
    classes = np.repeat([0, 1, 2], 10)
    found = classes.copy()
    found[[0, 10, 11, 12, 20]] = [1, 2, 2, 2, -1]
    images = digits[0][:30]
    path = tmp_path / "mistakes.png"
    mistake_grid(path, images, classes, found, names="abc", title="", columns=2)
    assert [row[:2] for row in drawn] == [
        ("b → c", "3 (10.00 %)"),
        ("a → b", "1 (3.33 %)"),
        ("c → no class", "1 (3.33 %)"),
    ]
    np.testing.assert_array_equal(drawn[0][2], images[[10, 12]] / 255.0)


def test_no_mistakes_no_image(digits, tmp_path):
    labels = np.zeros(5, int)
    path = tmp_path / "mistakes.png"
    mistake_grid(path, digits[0][:5], labels, labels, names="a", title="")
    assert not path.exists()
    mistake_grid(path, digits[0][:5], labels, labels - 1, names="a", title="wrong")
    with Image.open(path) as image:
        assert image.size[0] > image.size[1]


def test_originals_and_copies_of_each_cluster(digits, monkeypatch, tmp_path):
    drawn = []
    monkeypatch.setattr(
        "iic_tf.report.plots._captioned_rows",
        lambda path, rows, **_: drawn.extend(rows),
    )
    originals = digits[0][:5] / 255.0
    probabilities = np.eye(3)[[0, 0, 1, 0, 1]]
    cluster_pairs(
        tmp_path / "c.png", originals, 1 - originals, probabilities,
        labels=np.array([7, 7, 2, 1, 2]), title="", columns=2,
    )  # fmt: skip
    assert [row[:2] for row in drawn] == [
        ("cluster 0", "3 images, 2 of class 7"),
        ("cluster 1", "2 images, 2 of class 2"),
        ("cluster 2", "0 images"),
    ]
    shown = drawn[0][2]  # two originals, a gap, their two copies
    np.testing.assert_array_equal(shown[:2], originals[:2])
    np.testing.assert_array_equal(shown[3:], 1 - originals[:2])


def test_tables_and_histograms(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(
        "iic_tf.report.plots.save_figure", lambda figure, path: figures.append(figure)
    )
    counts = np.array([[30, 0, 5], [1, 20, 0]])
    number_table(
        tmp_path / "t.png", counts / 30, rows=["a", "b"],
        columns=["x", "yy", "long one"], across="class", title="a table",
    )  # fmt: skip
    label_histograms(tmp_path / "h.png", counts, names=["x", "y", "z"], title="counts")
    table, histograms = figures
    [axes] = table.axes
    np.testing.assert_array_equal(axes.images[0].get_array(), counts / 30)
    written = {text.get_position(): text.get_text() for text in axes.texts}
    assert written == {  # column and row; nothing where there is nothing
        (0, 0): "100.0", (2, 0): "16.7", (0, 1): "3.3", (1, 1): "66.7",
    }  # fmt: skip
    ticks = [
        [t.get_text() for t in a.get_ticklabels()] for a in (axes.xaxis, axes.yaxis)
    ]
    assert ticks == [["x", "yy", "long one"], ["a", "b"]]
    assert axes.get_xlabel() == "class" and axes.get_title(loc="left") == "a table"
    for panel, row, number in zip(histograms.axes, counts, (35, 21), strict=True):
        assert [bar.get_height() for bar in panel.patches] == row.tolist()
        assert panel.get_title(loc="left").endswith(f": {number}")
        assert [t.get_text() for t in panel.get_xticklabels()] == ["x", "y", "z"]


@pytest.mark.parametrize("draw", ["table", "histograms"])
def test_tables_and_histograms_are_written(tmp_path, draw):
    counts = np.array([[30, 0, 5], [1, 20, 0]])
    path = tmp_path / "t.png"
    if draw == "table":
        number_table(path, counts / 30, rows="ab", columns="xyz", across="", title="t")
    else:
        label_histograms(path, counts, names="xyz", title="counts")
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3).astype(int)
    assert ((pixels[:, 2] - pixels[:, 0]) > 60).mean() > 0.005  # there is blue


def test_maps_are_drawn_beside_the_truth_in_the_colours_of_their_clusters(
    tmp_path, monkeypatch
):
    figures = []
    monkeypatch.setattr(
        "iic_tf.report.plots.save_figure", lambda figure, path: figures.append(figure)
    )
    image = np.full((4, 6, 3), 7, np.uint8)
    clusters = np.tile([0, 1, 2], (4, 2))
    truth = np.where(clusters == 1, 255, clusters // 2)  # 255: no class
    arguments = {"num_clusters": 3, "title": "a run"}
    label_map_rows(tmp_path / "m.png", [image], [clusters], **arguments)
    label_map_rows(
        tmp_path / "m.png", [image], [clusters], classes=np.array([1, -1, 0]),
        truth=[truth], names=["sky", "road"], **arguments,
    )  # fmt: skip
    alone, beside = (figure.axes for figure in figures)
    assert [axes.get_title() for axes in alone] == ["image", "clusters"]
    assert [axes.get_title() for axes in beside] == [
        "image", "clusters", "clusters mapped to classes", "ground truth"
    ]  # fmt: skip
    [legend] = figures[0].legends
    assert [text.get_text() for text in legend.texts] == [
        "cluster 0", "cluster 1", "cluster 2"
    ]  # fmt: skip
    [legend] = figures[1].legends
    assert [text.get_text() for text in legend.texts] == [
        "sky: cluster 2", "road: cluster 0"
    ]  # fmt: skip
    found, mapped, true = (axes.images[0].get_array() for axes in beside[1:])
    colours = map_colours(3)
    np.testing.assert_array_equal(found, colours[clusters])
    for drawn in (mapped, true):
        assert not drawn[clusters == 1].any()  # no class: black
    # sky has the colour of its cluster 2, road that of cluster 0
    np.testing.assert_array_equal(mapped[clusters != 1], found[clusters != 1])
    np.testing.assert_array_equal(true[clusters == 0], colours[[2] * 8])
    np.testing.assert_array_equal(true[clusters == 2], colours[[0] * 8])


def test_large_maps_are_drawn_at_a_fraction(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(
        "iic_tf.report.plots.save_figure", lambda figure, path: figures.append(figure)
    )
    clusters = np.zeros((1700, 90), np.uint8)
    label_map_rows(
        tmp_path / "m.png", [np.zeros((1700, 90, 3), np.uint8)], [clusters],
        num_clusters=2, title="a run",
    )  # fmt: skip
    shapes = [axes.images[0].get_array().shape[:2] for axes in figures[0].axes]
    assert shapes == [(567, 30), (567, 30)]


def test_a_table_of_hundreds_of_classes_is_summed_up():
    counts = np.ones((5, 300), int)
    counts[:, 250] = 9
    summed, names = summed_up(counts, [f"n{i}" for i in range(300)])
    assert summed.shape == (5, 41) and summed.sum() == counts.sum()
    assert names[39:] == ["n250", "260 others"] and summed[0, 39] == 9
    whole, names = summed_up(counts[:, :40], list("a" * 40))
    assert whole.shape == (5, 40) and names == list("a" * 40)


@pytest.mark.long
def test_pictures_of_a_thousand_clusters_stay_small(tmp_path):
    number = 1000
    images = np.full((number + 5, 4, 4, 1), 128, np.uint8)
    soft = np.eye(number)[np.arange(number + 5) % 7 * 100 + np.arange(number + 5) % 100]
    cluster_grid(tmp_path / "c.png", images, soft, title="many", columns=3)
    counts = np.eye(number, 3, dtype=int)
    label_histograms(tmp_path / "h.png", counts, names=list("abc"), title="many")
    number = 100  # each name takes its time, and fewer would fill the largest figure
    number_table(
        tmp_path / "t.png",
        np.eye(number),
        rows=["$_"] * number,
        columns=["x"] * number,
        across="",
        title="",
    )
    for path in tmp_path.iterdir():
        with Image.open(path) as image:
            assert max(image.size) < 3000


@pytest.mark.filterwarnings("error")
def test_names_are_no_formulas_anywhere(tmp_path):
    names = ["$1_$5", "$x$", "_under", "写真", r"\frac"]
    images = np.full((10, 8, 8, 3), 99, np.uint8)
    soft = np.eye(5)[np.arange(10) % 5]
    classes = np.arange(10) % 5
    title = "sale_$1_$5 写真"
    cluster_grid(tmp_path / "c.png", images, soft, names=names, title=title)
    found = (classes + 1) % 5
    mistake_grid(tmp_path / "m.png", images, classes, found, names=names, title=title)
    table = np.eye(5)
    number_table(
        tmp_path / "t.png", table, rows=names, columns=names, across="", title=title
    )
    label_histograms(tmp_path / "h.png", table.astype(int), names=names, title=title)
    label_map_rows(
        tmp_path / "r.png",
        images[:1],
        [np.zeros((8, 8), np.uint8)],
        num_clusters=5,
        classes=np.arange(5),
        truth=[np.zeros((8, 8), np.uint8)],
        names=names,
        title=title,
    )
    pair_grid(tmp_path / "p.png", [images / 255.0] * 2, title=title)
    assert len(list(tmp_path.iterdir())) == 6
