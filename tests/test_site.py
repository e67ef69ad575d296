"""The documentation is a site, complete, without warnings, dead links or fetches."""

import importlib
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote, urlsplit

import pytest
from browser import browser, find_browser
from mkdocs.structure.files import InclusionLevel

import iic_tf

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[1]
CONFIG = (ROOT / "mkdocs.yml").read_text()
API = list((ROOT / "docs" / "api").glob("*.md"))
NAV = re.findall(r"^ +- (?:[^:\n]+: )?(\S+\.md)\b", CONFIG, re.MULTILINE)


class Page(HTMLParser):
    """What a page has: anchors, words of its article, links, and what it loads."""

    def __init__(self, text):
        super().__init__()
        self.anchors, self.links, self.loaded, self.words = set(), [], [], 0
        self.classes, self._open = set(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.classes |= set((attrs.get("class") or "").split())
        self.anchors |= {attrs[key] for key in ("id", "name") if attrs.get(key)}
        if tag == "a" and attrs.get("href"):
            self.links.append(attrs["href"])
        elif tag == "link" and attrs.get("rel") not in ("prev", "next", "canonical"):
            self.loaded.append(attrs["href"])
        self.loaded += [attrs[key] for key in ("src", "srcset") if attrs.get(key)]
        if tag in ("article", "script", "style"):
            self._open.append(tag)

    def handle_endtag(self, tag):
        if self._open and tag == self._open[-1]:
            self._open.pop()

    def handle_data(self, text):
        if self._open == ["article"]:
            self.words += len(text.split())


def is_elsewhere(address):
    return bool(urlsplit(address).scheme or address.startswith("//"))


def dead(pages, name):
    """Links of a page and files that it loads which are not in the site."""
    root = pages.folder
    found = []
    for link in (*pages.all[name].links, *pages.all[name].loaded):
        if is_elsewhere(link):
            continue
        parts = urlsplit(link)
        path = unquote(parts.path) or Path(name).name
        # 404.html, which is shown at any address, has links from the root
        folder = root if path[0] == "/" else (root / name).parent
        target = (folder / path.lstrip("/")).resolve()
        there = target.relative_to(root).as_posix()
        known = pages.all[there].anchors if there in pages.all else set()
        anchor = unquote(parts.fragment)
        if not target.is_file() or (anchor and anchor not in known):
            found.append(link)
    return found


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site").resolve()
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", folder],
        cwd=ROOT, capture_output=True, text=True,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*.html")]
    pages = {name: Page((folder / name).read_text()) for name in names}
    return SimpleNamespace(folder=folder, all=pages)


def test_every_page_is_in_the_navigation_and_has_content(site):
    built = {f"{name.removesuffix('.md')}.html" for name in NAV}
    assert built == site.all.keys() - {"404.html"}
    for name in built:
        assert site.all[name].words > 30, name


def test_every_link_leads_somewhere(site):
    assert {name: dead(site, name) for name in site.all if dead(site, name)} == {}


def test_a_dead_link_would_be_found(site):
    words = '<a href="no.html"></a><a href="#no"></a><a href="options.html#no"></a>'
    pages = SimpleNamespace(folder=site.folder, all={**site.all, "x.html": Page(words)})
    assert dead(pages, "x.html") == ["no.html", "#no", "options.html#no"]


def test_nothing_is_loaded_from_elsewhere(site):
    loaded = {x for page in site.all.values() for x in page.loaded}
    assert loaded and not [
        x for x in loaded if is_elsewhere(x) and urlsplit(x).scheme != "data"
    ]
    sheets = list(site.folder.rglob("*.css"))
    assert sheets
    for path in sheets:
        assert not re.search(r"(url\(|@import)\s*[\"']?(https?:)?//", path.read_text())
    # Material's script fetches a package for these
    assert not any("mermaid" in page.classes for page in site.all.values())


@pytest.mark.skipif(not find_browser(), reason="needs Chromium")
def test_a_browser_asks_nobody_else(site, tmp_path):
    with browser(tmp_path / "profile") as tab:
        for name in ("index.html", "tutorial/2_loss.html", "api/losses.html"):
            tab.open(site.folder / name)
            tab.wait("document.querySelectorAll('article h1').length")
    asked = [
        event["params"]["request"]["url"]
        for event in tab.events
        if event["method"] == "Network.requestWillBeSent"
    ]
    assert asked and {urlsplit(url).scheme for url in asked} <= {"file", "data"}


@pytest.mark.skipif(not find_browser(), reason="needs Chromium")
def test_words_are_found_in_pages_opened_from_a_disk(site, tmp_path):
    with browser(tmp_path / "profile") as tab:
        tab.open(site.folder / "tutorial" / "2_loss.html")
        tab.wait("!document.querySelector('.md-search').hidden")
        tab.run("document.querySelector('.md-search__input').focus()")
        tab.type("overclustering")
        tab.press("Shift")  # keys that are released start the search
        tab.wait("document.querySelectorAll('.md-search-result__item a').length > 3")
        found = tab.run("document.querySelector('.md-search-result__item a').href")
    assert Path(unquote(urlsplit(found).path)).is_relative_to(site.folder)


@pytest.mark.parametrize("name", iic_tf.__all__)
def test_every_public_name_is_explained(site, name):
    real = f"iic_tf.{iic_tf._HOMES[name]}.{name}"
    pages = {page for page in site.all if real in site.all[page].anchors}
    assert len(pages) == 1 and pages <= {f"api/{x.stem}.html" for x in API}


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (None, "`data.py`, tests and [here](options.md#x) `[a](b)`"),
        (
            "https://host.example/iic",
            "[data.py](https://host.example/iic/blob/HEAD/data.py), "
            "[tests](https://host.example/iic/blob/HEAD/tests) and "
            "[here](options.md#x) `[a](b)`",
        ),
    ],
)
def test_links_to_code_lead_to_the_repository_or_are_text(address, shown, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    hooks = importlib.import_module("hooks")
    monkeypatch.setattr(hooks, "repository", lambda: address)
    pages = {
        "options.md": SimpleNamespace(
            src_uri="options.md", inclusion=InclusionLevel.INCLUDED
        )
    }
    files = SimpleNamespace(get_file_from_path=pages.get)
    page = SimpleNamespace(file=SimpleNamespace(src_uri="own_data.md"))
    text = "[data.py](../data.py), [tests](../tests) and [here](options.md#x) `[a](b)`"
    assert hooks.on_page_markdown(text, page=page, files=files) == shown


def test_formulas_are_drawn_without_a_script(site):
    text = (site.folder / "tutorial/2_loss.html").read_text()
    assert text.count("<math") > 30
    assert "arithmatex" not in text and "$$" not in text
