"""What MkDocs needs beyond ``mkdocs.yml``: files outside of ``docs/``, and formulas.

Pages link to each other and to the code as they do on a code host, by paths in the
repository. README and tutorial become pages of the site; a link to anything else leads
to the repository, or is text alone where its address is not known.
"""

import html
import posixpath
import re
import sys
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tutorial"))
from render import repository  # noqa: E402

README = "quick_start.md"
"""The page that the README becomes; MkDocs would make it a front page."""

LINK = re.compile(r"```.*?```|`[^`]+`|\[([^][]*)\]\(([^)\s#]+)([^)\s]*)\)", re.DOTALL)
SPACE = '<mspace width="0.17em"/>'
PATH = re.compile(r"[\w./]*[./]\w*")
INLINE = re.compile(r"<code>[^<]+</code>")
FORMULA = re.compile(r"<(span|div) class=\"arithmatex\">\\[([](.*?)\\[])]</\1>", re.S)


def on_files(files: Files, *, config: Any) -> Files:
    """Adds the README, and the tutorial with its plots and notebooks."""
    tutorial = sorted((ROOT / "tutorial").glob("[0-9]_*/*.png"))
    for suffix in ("md", "ipynb"):
        tutorial += sorted((ROOT / "tutorial").glob(f"[0-9]_*.{suffix}"))
    for path in (ROOT / "README.md", *tutorial):
        place = uri(path.relative_to(ROOT).as_posix())
        files.append(File.generated(config, place, abs_src_path=str(path)))
    return files


def uri(path: str) -> str:
    """The place in the site of a file of the repository."""
    return README if path == "README.md" else path.removeprefix("docs/")


def source(place: str) -> str:
    """The file of the repository that is at a place of the site."""
    if place == README:
        return "README.md"
    return place if place.startswith("tutorial/") else f"docs/{place}"


def on_page_markdown(markdown: str, *, page: Any, files: Files, **_: Any) -> str:
    """The page with links that lead to other pages, or to the repository."""
    here = page.file.src_uri
    address = repository()

    def moved(link: re.Match) -> str:
        text, target, anchor = link.groups()
        if target is None or re.match(r"\w+:", target):  # code, or elsewhere
            return link[0]
        path = posixpath.normpath(posixpath.join(Path(source(here)).parent, target))
        found = files.get_file_from_path(uri(path))
        if found and found.inclusion.is_included():
            there = posixpath.relpath(found.src_uri, posixpath.dirname(here) or ".")
            return f"[{text}]({there}{anchor})"
        if not (ROOT / path).exists():  # left as it is, so that MkDocs warns
            return link[0]
        if address:
            return f"[{text}]({address}/blob/HEAD/{path}{anchor})"
        return f"`{text}`" if PATH.fullmatch(text) else text

    return LINK.sub(moved, markdown)


def on_page_content(content: str, **_: Any) -> str:
    """The page with formulas in MathML, which needs no script, and options whole."""

    def whole(code: re.Match) -> str:
        option = r'<span class="option">\g<0></span>'
        return re.sub(r"(?<![\w-])--[\w.-]+", option, code[0])

    def drawn(formula: re.Match) -> str:
        kind = {"span": "inline", "div": "block"}[formula[1]]
        maths = convert(html.unescape(formula[2]), display=kind)
        return maths.replace("<mi>ln</mi>", f"{SPACE}<mi>ln</mi>{SPACE}")

    return FORMULA.sub(drawn, INLINE.sub(whole, content))
