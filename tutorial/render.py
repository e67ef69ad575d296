"""Renders the tutorial: runs every part, writes its notebook and a page with plots.

``python tutorial/render.py`` takes each ``N_name.py`` (percent format of jupytext) and
writes ``N_name.ipynb``, without results, to be opened and run, and ``N_name.md`` with
results and plots, to be read. ``--notebooks`` runs nothing, in a second: it writes the
notebooks, and in the pages only the links to hosted services. These are at the top if
``pyproject.toml`` says that the repository is on GitHub.
"""

import argparse
import re
import sys
from pathlib import Path
from urllib.parse import quote, urlsplit

import jupytext
import nbformat
from nbclient import NotebookClient
from nbconvert import MarkdownExporter

if sys.version_info >= (3, 11):
    import tomllib
else:  # Python 3.10
    import tomli as tomllib

HERE = Path(__file__).parent
PARTS = sorted(HERE.glob("[0-9]_*.py"))
OPENS = "Open this part in "
"""How the line of links to hosted services begins."""


def repository(project: Path = HERE.parent / "pyproject.toml") -> str | None:
    """The address of the repository, if the project's file has one."""
    urls = tomllib.loads(project.read_text())["project"].get("urls", {})
    return urls["Repository"].rstrip("/").removesuffix(".git") if urls else None


def hosted(part: Path, address: str | None) -> str | None:
    """The line of links that open a part's notebook in hosted services.

    None if there is no address, or one of another host than GitHub, which these
    services read from.
    """
    place = urlsplit(address or "")
    if place.netloc != "github.com":
        return None
    notebook = f"tutorial/{part.stem}.ipynb"
    colab = "https://colab.research.google.com/github"
    binder = "https://mybinder.org/v2/gh"
    return (
        f"{OPENS}[Colab]({colab}{place.path}/blob/main/{notebook}) or "
        f"[Binder]({binder}{place.path}/main?labpath={quote(notebook, safe='')})."
    )


def with_links(page: str, links: str | None) -> str:
    """A page with this line of links at its top, and without an earlier one."""
    rest = re.sub(rf"\A{OPENS}.*\n\n", "", page)
    return f"{links}\n\n{rest}" if links else rest


def notebook_of(part: Path, address: str | None = None) -> nbformat.NotebookNode:
    """The notebook of a part, without results; the same at each call.

    Args:
        part: Its source.
        address: That of the repository; None leaves out the links to hosted services.
    """
    book = jupytext.read(part)
    for number, cell in enumerate(book.cells):
        cell["id"] = f"cell-{number}"
        if cell.cell_type == "markdown":  # other parts are notebooks here
            cell.source = re.sub(r"\]\((\d_\w+)\.md\)", r"](\1.ipynb)", cell.source)
    book.metadata.pop("jupytext", None)
    if links := hosted(part, address):
        book.cells.insert(0, nbformat.v4.new_markdown_cell(links, id="hosted"))
    return book


def write_notebook(part: Path) -> None:
    """Writes the notebook of a part beside it."""
    text = nbformat.writes(notebook_of(part, repository())) + "\n"
    part.with_suffix(".ipynb").write_text(text)


def write_links(part: Path) -> None:
    """Brings the links at the top of a part's page up to date."""
    page = part.with_suffix(".md")
    page.write_text(with_links(page.read_text(), hosted(part, repository())))


def tidy(text: str) -> str:
    """The same without gaps of several lines."""
    return re.sub(r"(```python\n|\n\n)\n+", r"\1", text).strip()


def write_page(part: Path) -> None:
    """Runs a part, and writes a page with its results and its plots."""
    book = jupytext.read(part)
    NotebookClient(book, timeout=None, resources={"metadata": {"path": HERE}}).execute()
    for cell in book.cells:
        if "outputs" in cell:  # libraries greet on stderr
            cell.outputs = [x for x in cell.outputs if x.get("name") != "stderr"]
    places = {"output_files_dir": f"{part.stem}_files", "unique_key": "plot"}
    text, resources = MarkdownExporter().from_notebook_node(book, resources=places)
    for name, content in resources["outputs"].items():
        path = HERE / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    part.with_suffix(".md").write_text(tidy(text.replace("![png]", "![plot]")) + "\n")
    write_links(part)


def main() -> None:
    """Renders all parts."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--notebooks", action="store_true", help="run nothing")
    arguments = parser.parse_args()
    for part in PARTS:
        write_notebook(part)
        write_links(part) if arguments.notebooks else write_page(part)


if __name__ == "__main__":
    main()
