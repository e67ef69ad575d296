"""Every message of ours that the page quotes can still be printed."""

import ast
import re
from itertools import groupby
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text()
MOST_ENTRIES = 60
GAP = "…"
"""What varies, in quotations as in the strings below."""


def sources():
    for place in ("iic_tf", "commands"):
        yield from sorted((ROOT / place).rglob("*.py"))
    for name in ("data.py", "graphs.py", "models_iic.py"):
        yield ROOT / name


def text_of(node):
    """What an expression prints, as far as it is written there; else None."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) or GAP for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mult):
        both = text_of(node.left), text_of(node.right)
        return None if both == (None, None) else "".join(x or GAP for x in both)
    return None


def strings(code):
    """All texts in some code, blanks made one, without docstrings."""
    tree = ast.parse(code)
    prose = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)
    }  # a value that nothing is done with
    found = (text_of(node) for node in ast.walk(tree) if id(node) not in prose)
    return {" ".join(text.split()) for text in found if text}


def can_be_printed(message, texts):
    """Whether the parts between gaps follow each other in one of some texts."""
    parts = [part.strip() for part in message.split(GAP) if part.strip(" .;:,()'-")]
    wanted = re.compile(".*".join(map(re.escape, parts)), re.DOTALL)
    return bool(parts) and any(wanted.search(text) for text in texts)


def entries(page):
    """Heads of entries: messages with who says them, or None for this program."""
    heads = re.findall(r"^- (\*\*`.*?)\n\n", page, re.MULTILINE | re.DOTALL)
    one = re.compile(r"\*\*`([^`]+)`\*\*(?:\s\(([\w ]+)\))?")
    quoted = [one.findall(head) for head in heads]
    return [[(" ".join(m.split()), who or None) for m, who in head] for head in quoted]


TEXTS = {text for path in sources() for text in strings(path.read_text())}
OURS = [message for entry in entries(PAGE) for message, who in entry if who is None]


@pytest.mark.parametrize("message", OURS)
def test_a_quoted_message_of_ours_is_in_the_code(message):
    assert can_be_printed(message, TEXTS)


def test_messages_that_are_not_in_the_code_are_found():
    texts = strings(
        '"""k must be large."""\n'
        'told = f"the run {folder} has" " gone"\n'
        'more = "a" + f" b {c}" + (" d" if c else "")\n'
    )
    assert can_be_printed("the run … has gone", texts)
    assert can_be_printed("a b …", texts)
    for lost in ("k must be large", "the run has gone", "has … the run", "…", "… (…)"):
        assert not can_be_printed(lost, texts)


def test_the_page_is_short_and_every_entry_says_what_to_do():
    found = entries(PAGE)
    assert 40 <= len(found) <= MOST_ENTRIES and all(found)
    quoted = [message for entry in found for message, _ in entry]
    assert len(quoted) == len(set(quoted)) == len(re.findall(r"\*\*`", PAGE))
    lines = [line for line in PAGE.splitlines() if line and line[0] != "#"]
    kinds = [kind for kind, _ in groupby(lines, lambda x: x.startswith("- **`"))]
    assert kinds.count(True) == len(found)  # no entry follows another without a text
