import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from iic_tf.report.curves import LearningCurve, draw, has_display


def rows(labels=True):
    made = []
    for step in (100, 200, 300):
        row = {
            "step": step,
            "passes": step / 140,
            "main_information": [1.0 + step / 1000, 1.1],
            "aux_information": [2.0, 2.2],
            "main_bound": float(np.log(10)),
            "aux_bound": float(np.log(50)),
            "chosen": 1,
        }
        if labels:
            row |= {"errors": [0.5, 20 / step], "scored_on": "test"}
        made.append(row)
    return made


def test_both_panels_with_labels_and_one_without():
    figure = Figure()
    draw(figure, rows(), title="a run")
    assert len(figure.axes) == 2
    texts = [t.get_text() for axes in figure.axes for t in axes.get_legend().texts]
    assert any("lowest-loss sub-head (0.0667)" in text for text in texts)
    assert figure.axes[1].get_title(loc="left") == "scored on test"
    draw(figure, rows(labels=False), title="a run")
    assert len(figure.axes) == 1


def test_what_was_done_is_marked():
    marked = rows()
    marked[0] |= {"off_track": True, "remarks": [{"step": 100, "lamb_at_most": 1.0}]}
    marked[1] |= {"off_track": False, "remarks": [{"step": 200, "regrouped": [2.0]}]}
    figure = Figure()
    draw(figure, marked, title="a run")
    top = figure.axes[0]
    labels = [text.get_text() for text in top.get_legend().texts]
    assert labels[2:] == ["regrouping", "off track"]
    assert "λ lowered to 1" in [text.get_text() for text in top.texts]
    [lost] = [line for line in top.lines if line.get_label() == "off track"]
    assert lost.get_xdata().tolist() == [100]


def test_the_picture_is_rewritten_and_nothing_else_is_left(tmp_path):
    curve = LearningCurve(tmp_path / "curve.png", title="a run", window=False)
    curve.update([])
    assert not list(tmp_path.iterdir())
    curve.update(rows()[:1])
    first = (tmp_path / "curve.png").read_bytes()
    curve.update(rows())
    assert (tmp_path / "curve.png").read_bytes() != first
    assert [path.name for path in tmp_path.iterdir()] == ["curve.png"]
    with Image.open(tmp_path / "curve.png") as image:
        assert image.size[0] > 600


@pytest.mark.parametrize(("display", "expected"), [("", False), (":0", True)])
def test_a_display_is_found_by_its_variable(monkeypatch, display, expected):
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", display)
    assert has_display() is expected


def test_a_display_that_cannot_be_opened_is_no_reason_to_stop(monkeypatch, tmp_path):
    # that of a session which has ended; pytest turns any warning into an error
    monkeypatch.setattr("iic_tf.report.curves.has_display", lambda: True)
    monkeypatch.setenv("DISPLAY", ":987")
    curve = LearningCurve(tmp_path / "curve.png", title="a run", window=True)
    curve.update(rows())
    assert (tmp_path / "curve.png").is_file()
