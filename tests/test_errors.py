"""What the engine says makes sense without the command line."""

import ast
import re
from pathlib import Path

import pytest

import iic_tf
from iic_tf.errors import UserError, require

MODULES = sorted(Path(iic_tf.__file__).parent.rglob("*.py"))


def test_no_sentence_of_the_engine_names_a_command_line_option():
    found = [
        f"{path.name}:{node.lineno}: {node.value}"
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.search(r"(^|[\s(])--[a-z]", node.value)
    ]
    assert len(MODULES) > 50 and not found


def test_a_mistake_names_what_was_expected_and_what_came():
    require(True, "never raised")
    with pytest.raises(UserError) as caught:
        require(False, "k must be at least 2", k=1, name="a")
    assert str(caught.value) == "k must be at least 2. Received: k=1, name='a'"
