import re

import nbformat
import pytest
from nbclient import NotebookClient

FIT = """
import numpy as np
from iic_tf import ImageClusterer

images = np.random.default_rng(0).integers(0, 256, (60, 16, 16, 1), np.uint8)
ImageClusterer(2, steps=20, batch_size=20, n_neighbors=0, verbose={}).fit(images)
"""


@pytest.fixture(scope="module")
def outputs():
    """Outputs of two cells of a notebook: a fit with words, and one without."""
    cells = [nbformat.v4.new_code_cell(FIT.format(told)) for told in (True, False)]
    book = nbformat.v4.new_notebook(cells=cells)
    where = {"metadata": {"path": "."}}
    NotebookClient(book, timeout=300, resources=where).execute()
    return [cell.outputs for cell in book.cells]


def bars(outputs):
    found = [x.get("data", {}).get("text/html", "") for x in outputs]
    return [x for x in found if "<progress" in x]


@pytest.mark.long
def test_a_notebook_has_one_bar_and_one_curve_which_are_replaced(outputs):
    [bar] = bars(outputs[0])
    assert re.search('value="20" max="20"', bar) and "step 20 of 20" in bar
    plots = [x for x in outputs[0] if "image/png" in x.get("data", {})]
    assert len(plots) == 1


@pytest.mark.long
def test_nothing_is_shown_where_nothing_is_asked_for(outputs):
    assert not bars(outputs[1])
    assert not any("image/png" in x.get("data", {}) for x in outputs[1])
