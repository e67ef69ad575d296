"""Whatever docs/capabilities.md names is there: tests, options, commands, files."""

import ast
import contextlib
import dataclasses
import importlib
import io
import re
from functools import cache
from pathlib import Path

import pytest

import data
import graphs
import models_iic
from iic_tf.options import Options

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "capabilities.md").read_text()
ROWS = [line for line in TEXT.splitlines() if re.match(r"\| S\d", line)]
CODE = [span for row in ROWS for span in re.findall(r"`([^`]+)`", row)]


def known_options():
    """Every option by its full name, as in train.steps."""
    names = {"config", "help", "print_config", "print-only", "runlong", "runslow"}
    names |= {"show-pairs", "time-limit"}
    for field in dataclasses.fields(Options):
        names.add(field.name)
        part = getattr(Options(), field.name)
        if dataclasses.is_dataclass(part):
            names |= {f"{field.name}.{x.name}" for x in dataclasses.fields(part)}
    return names


FREE = (
    *("data.augment.", "graph.args.", "heads.initializer_args."),
    *("train.optimizer_args.", "train.schedule_args."),
)
"""Options whose further names are those of a recipe or of a network."""


@cache
def functions_of(file):
    tree = ast.parse((ROOT / "tests" / file).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@cache
def help_of(command):
    told = io.StringIO()
    with contextlib.redirect_stdout(told), contextlib.suppress(SystemExit):
        models_iic.main([command, "--help"])
    return told.getvalue()


def exists(name):
    """Whether a dotted name of the engine, of data or of graphs can be imported."""
    parts = name.split(".")
    for split in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:split]))
        except ImportError:
            continue
        for part in parts[split:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


def missing(rows):
    """What rows of the map name that is not there, in words."""
    lacks, options = [], known_options()
    for row in rows:
        file, scripts = None, []  # those that the row has named so far
        for span in re.findall(r"`([^`]+)`", row):
            span = span.replace("\\|", "|")
            if match := re.fullmatch(r"(test_\w+\.py)?(?:::(\w+))?", span):
                file = match[1] or file
                if file is None or not (ROOT / "tests" / file).is_file():
                    lacks.append(f"test file {file}")
                elif match[2] and match[2] not in functions_of(file):
                    lacks.append(f"test {file}::{match[2]}")
                continue
            lacks += [
                f"file {path}"
                for path in re.findall(r"(?:configs|benchmarks|iic_tf)/\w+\.\w+", span)
                if not (ROOT / path).is_file()
            ]
            script = re.match(r"python (\S+\.py)(?: ([a-z][\w-]*))?", span)
            if script and not (ROOT / script[1]).is_file():
                lacks.append(f"script {script[1]}")
            if script and script[1] == "models_iic.py" and script[2]:
                if script[2] in models_iic.COMMANDS:
                    scripts.append(help_of(script[2]))
                else:
                    lacks.append(f"command {script[2]}")
            elif script and (ROOT / script[1]).is_file():
                scripts.append((ROOT / script[1]).read_text())
            for option in re.findall(r"(?<!\S)--([\w.-]+)", span):
                known = option in options or option.startswith(FREE)
                if not known and not any(f"--{option}" in text for text in scripts):
                    lacks.append(f"option --{option}")
            names = re.findall(r"--data\.recipe (\w+)", span)
            recipes = data.RECIPES
            lacks += [f"recipe {name}" for name in names if name not in recipes]
            builders = {**graphs.GRAPHS, **graphs.SEGMENT_GRAPHS}
            names = re.findall(r"--graph\.name (\w+)", span)
            lacks += [f"graph {name}" for name in names if name not in builders]
            if match := re.match(r"(?:iic_tf|graphs)(?:\.\w+)+|data\.[A-Z]\w+", span):
                if not exists(match[0]):
                    lacks.append(f"name {match[0]}")
    return lacks


def test_the_map_names_nothing_that_is_not_there():
    assert len(ROWS) > 150 and len(CODE) > 200
    assert missing(ROWS) == []


@pytest.mark.parametrize(
    ("row", "lack"),
    [
        ("| S1-0 | a | `test_nowhere.py` |", "test file test_nowhere.py"),
        (
            "| S1-0 | a | `test_heads.py::test_nothing` |",
            "test test_heads.py::test_nothing",
        ),
        ("| S1-0 | a | `test_heads.py`, `::test_no` |", "test test_heads.py::test_no"),
        ("| S1-0 | a | `--train.stops 3` |", "option --train.stops"),
        ("| S1-0 | a | `python models_iic.py predicts RUN` |", "command predicts"),
        ("| S1-0 | a | `python models_iic.py curate R --nom x` |", "option --nom"),
        ("| S1-0 | a | `python benchmarks/no.py` |", "file benchmarks/no.py"),
        ("| S1-0 | a | `configs/no.yaml` |", "file configs/no.yaml"),
        ("| S1-0 | a | `iic_tf.losses.no_loss` |", "name iic_tf.losses.no_loss"),
        ("| S1-0 | a | `--data.recipe mnits` |", "recipe mnits"),
        ("| S1-0 | a | `--graph.name vgg_z` |", "graph vgg_z"),
    ],
)
def test_a_name_that_is_not_there_is_found(row, lack):
    assert lack in missing([row])
