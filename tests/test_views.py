from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from iic_tf.options import DataOptions, Options
from iic_tf.report import views as module
from iic_tf.report.views import NUMBER, draw_views
from iic_tf.resolved import resolve

OPTIONS = resolve(Options(data=DataOptions(recipe="mnist", repeats=3)))


@pytest.mark.parametrize(("images", "columns"), [(50, NUMBER), (4, 4)])
def test_a_row_of_originals_above_rows_of_views(
    images, columns, digits, views, monkeypatch, tmp_path
):
    drawn = []
    monkeypatch.setattr(
        module, "pair_grid", lambda path, shown, *, title: drawn.append((shown, title))
    )
    still = replace(views, augment=views.original)
    nearest = np.zeros((images, 1), np.int32)  # the first one is everybody's
    draw_views(
        tmp_path / "pairs.png", digits[0][:images], still, OPTIONS,
        more=", all of them near", neighbours=nearest, neighbour_share=1.0,
    )  # fmt: skip
    [(shown, title)] = drawn
    assert [view.shape for view in shown] == 4 * [(columns, 12, 12, 1)]
    assert title == "mnist: originals and their augmented views, all of them near"
    first = views.original(digits[0][:1] / np.float32(255), (0, 0))
    for augmented in shown[1:]:
        np.testing.assert_allclose(augmented, np.repeat(first, columns, 0), atol=1e-6)
    assert (shown[0] != shown[1]).any()


def test_the_plot_is_written(digits, views, tmp_path):
    draw_views(tmp_path / "pairs.png", digits[0][:30], views, OPTIONS)
    with Image.open(tmp_path / "pairs.png") as plot:
        assert plot.width > plot.height > 100
