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
    render = renderer()
    assert part.with_suffix(".ipynb").read_text() == (
        nbformat.writes(render.notebook_of(part, render.repository())) + "\n"
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


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.stem)
def test_pages_have_the_links_of_the_address_that_is_set(part):
    render = renderer()
    page = part.with_suffix(".md").read_text()
    links = render.hosted(part, render.repository())
    assert page == render.with_links(page, links), "tutorial/render.py --notebooks"


PROJECT = '[project]\nname = "x"\n'


def test_notebooks_open_in_hosted_services_where_the_repository_is_known(
    tmp_path, monkeypatch
):
    render, part = renderer(), tmp_path / "1_idea.py"
    project = tmp_path / "pyproject.toml"
    address = "https://github.com/someone/their.iic"
    project.write_text(f'{PROJECT}[project.urls]\nRepository = "{address}.git"\n')
    assert render.repository(project) == address
    part.write_text("# %% [markdown]\n# # An idea\n")
    part.with_suffix(".md").write_text("# An idea\n")
    monkeypatch.setattr(render, "repository", lambda: address)
    for _ in range(2):  # no second line the second time
        render.write_notebook(part)
        render.write_links(part)
    links, page = part.with_suffix(".md").read_text().split("\n\n", 1)
    assert page == "# An idea\n"
    assert re.findall(r"\((.*?)\)", links) == [
        "https://colab.research.google.com/github/someone/their.iic/blob/main/"
        "tutorial/1_idea.ipynb",
        "https://mybinder.org/v2/gh/someone/their.iic/main?labpath="
        "tutorial%2F1_idea.ipynb",
    ]
    book = nbformat.read(part.with_suffix(".ipynb"), as_version=4)
    assert [cell.source for cell in book.cells] == [links, "# An idea"]


@pytest.mark.parametrize("address", [None, "https://elsewhere.example/someone/iic"])
def test_without_an_address_that_they_know_there_are_no_such_links(
    address, tmp_path, monkeypatch
):
    render, part = renderer(), tmp_path / "1_idea.py"
    urls = f'[project.urls]\nRepository = "{address}"\n' if address else ""
    (tmp_path / "pyproject.toml").write_text(PROJECT + urls)
    assert render.repository(tmp_path / "pyproject.toml") == address
    part.write_text("# %% [markdown]\n# # An idea\n")
    part.with_suffix(".md").write_text(
        f"{render.hosted(part, 'https://github.com/a/b')}\n\n# An idea\n"
    )
    monkeypatch.setattr(render, "repository", lambda: address)
    render.write_notebook(part)
    render.write_links(part)
    assert part.with_suffix(".md").read_text() == "# An idea\n"
    book = nbformat.read(part.with_suffix(".ipynb"), as_version=4)
    assert [cell.source for cell in book.cells] == ["# An idea"]


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
