"""The benchmark that trains a run for every combination of some options."""

import json
import runpy
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "sweep.py"

ERRORS = {"HeNormal": [0.5, 0.2], "GlorotNormal": [0.1, 0.4], "Zeros": [0.9, 0.9]}


@pytest.fixture
def sweep():
    return SimpleNamespace(**runpy.run_path(str(SCRIPT)))


@pytest.fixture
def commands(monkeypatch):
    """Runs that end at once: the command line of each, and a summary by its options."""
    asked = []

    def run(command, **how):
        asked.append(command[2:])
        given = dict(word.lstrip("-").split("=", 1) for word in command if "=" in word)
        folder = Path(given["out"]) / given["name"]
        folder.mkdir(parents=True)
        errors = ERRORS[given["heads.initializer"]]
        summary = {
            "chosen": 0,
            "errors": errors,
            "information": [1 - x for x in errors],
        }
        summary["scores"] = {"NMI": [int(given["seed"]) / 10, 0]}
        (folder / "summary.json").write_text(json.dumps(summary))
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(subprocess, "run", run)
    return asked


def rows_of(text):
    return [line.split()[1::2] for line in text.splitlines() if line.startswith("│")]


def test_every_combination_is_trained_once_and_sorted(
    sweep, commands, tmp_path, capsys
):
    words = ["--set", "heads.initializer", *ERRORS, "--set", "seed", "3", "4"]
    words += ["--out", str(tmp_path), "--more=--k=10 --train.steps=8"]
    sweep.main(words)
    rows = rows_of(capsys.readouterr().out)
    assert [row[0] for row in rows] == [
        "GlorotNormal", "GlorotNormal", "HeNormal", "HeNormal", "Zeros", "Zeros",
    ]  # fmt: skip
    assert rows[0] == ["GlorotNormal", "3", "0.1000"]
    assert len(commands) == 6 and commands[0][:4] == [
        "--heads.initializer=HeNormal", "--seed=3", "--k=10", "--train.steps=8",
    ]  # fmt: skip
    sweep.main([*words, "--by", "NMI"])
    assert rows_of(capsys.readouterr().out)[0] == ["HeNormal", "4", "0.4000"]
    assert len(commands) == 6  # they were there
    with pytest.raises(SystemExit, match="is a run of other options"):
        sweep.main([*words, "--more=--k=3"])


@pytest.mark.parametrize(
    ("by", "number"),
    [("error", 0.5), ("mean error", 0.35), ("best error", 0.2), ("information", 1.5)],
)
def test_numbers_of_a_summary(sweep, by, number):
    summary = {"chosen": 0, "errors": [0.5, 0.2], "information": [1.5, 2.0]}
    assert sweep.measured(summary, by) == pytest.approx(number)
    unlabelled = {"chosen": 1, "information": [1.0, 2.0]}
    expected = {"information": 2.0}.get(by, float("nan"))
    assert sweep.measured(unlabelled, by) == pytest.approx(expected, nan_ok=True)


def test_mistakes(sweep, tmp_path):
    with pytest.raises(SystemExit, match="at least one value"):
        sweep.main(["--set", "seed", "--out", str(tmp_path)])
