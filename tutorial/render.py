"""Renders the tutorial: runs every part, writes its notebook and a page with plots.

``python tutorial/render.py`` takes each ``N_name.py`` (percent format of jupytext) and
writes ``N_name.ipynb``, without results, to be opened and run, and ``N_name.md`` with
results and plots, to be read. ``--notebooks`` writes only the first, in a second.
"""

import argparse
import re
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbconvert import MarkdownExporter

HERE = Path(__file__).parent
PARTS = sorted(HERE.glob("[0-9]_*.py"))


def notebook_of(part: Path) -> nbformat.NotebookNode:
    """The notebook of a part, without results; the same at each call."""
    book = jupytext.read(part)
    for number, cell in enumerate(book.cells):
        cell["id"] = f"cell-{number}"
        if cell.cell_type == "markdown":  # other parts are notebooks here
            cell.source = re.sub(r"\]\((\d_\w+)\.md\)", r"](\1.ipynb)", cell.source)
    book.metadata.pop("jupytext", None)
    return book


def write_notebook(part: Path) -> None:
    """Writes the notebook of a part beside it."""
    text = nbformat.writes(notebook_of(part)) + "\n"
    part.with_suffix(".ipynb").write_text(text)


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


def main() -> None:
    """Renders all parts."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--notebooks", action="store_true", help="run nothing")
    arguments = parser.parse_args()
    for part in PARTS:
        write_notebook(part)
        if not arguments.notebooks:
            write_page(part)


if __name__ == "__main__":
    main()
