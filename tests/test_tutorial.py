"""The tutorial runs, and its notebooks and pages are those of its sources."""

import importlib.util
import re
from pathlib import Path

import jupytext
import nbformat
import pytest
from nbclient import NotebookClient

TUTORIAL = Path(__file__).parents[1] / "tutorial"
PARTS = sorted(TUTORIAL.glob("[0-9]_*.py"))


def renderer():
    spec = importlib.util.spec_from_file_location("render", TUTORIAL / "render.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_there_are_three_parts():
    assert [part.stem for part in PARTS] == ["1_idea", "2_loss", "3_practice"]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.stem)
def test_notebooks_are_those_of_the_sources(part):
    assert part.with_suffix(".ipynb").read_text() == (
        nbformat.writes(renderer().notebook_of(part)) + "\n"
    ), "python tutorial/render.py --notebooks"


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.stem)
def test_pages_have_the_code_and_the_plots_of_the_sources(part):
    page = rest = part.with_suffix(".md").read_text()
    for cell in jupytext.read(part).cells:
        source = renderer().tidy(cell.source)
        assert source in rest, "python tutorial/render.py"
        rest = rest.partition(source)[2]
    plots = set(re.findall(rf"\(({part.stem}_files/\S+)\)", page))
    stored = {
        f"{x.parent.name}/{x.name}" for x in TUTORIAL.glob(f"{part.stem}_files/*")
    }
    assert plots and plots == stored
    assert "Traceback" not in page


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.stem)
def test_links_lead_somewhere(part):
    for suffix in (".md", ".ipynb"):
        text = part.with_suffix(suffix).read_text()
        for target in re.findall(r"\]\(((?!https?:)[^)#\s]+)", text):
            assert (TUTORIAL / target).exists(), target


@pytest.mark.long
@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.stem)
def test_notebooks_run_from_top_to_bottom(part, monkeypatch):
    monkeypatch.setenv("IIC_TF_TUTORIAL", "short")
    monkeypatch.delenv("MPLBACKEND", raising=False)  # plots go into the notebook
    book = nbformat.read(part.with_suffix(".ipynb"), as_version=4)
    where = {"metadata": {"path": TUTORIAL}}
    NotebookClient(book, timeout=300, resources=where).execute()
    printed = [x for cell in book.cells for x in cell.get("outputs", [])]
    assert any("image/png" in x.get("data", {}) for x in printed)
