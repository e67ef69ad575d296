"""The benchmark that leaves out one part of a run after the other."""

import json
import runpy
import subprocess
from pathlib import Path
from types import SimpleNamespace

from test_capabilities import known_options

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "ablation.py"


def test_every_variant_is_trained_and_its_error_shown(monkeypatch, tmp_path, capsys):
    monkeypatch.syspath_prepend(SCRIPT.parent)
    asked = []

    def run(command, **how):
        given = dict(word.lstrip("-").split("=", 1) for word in command if "=" in word)
        asked.append(given)
        folder = Path(given["out"]) / given["name"]
        folder.mkdir(parents=True)
        error = len(asked) / 100
        (folder / "summary.json").write_text(
            json.dumps({"chosen": 1, "errors": [0.9, error]})
        )
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(subprocess, "run", run)
    script = runpy.run_path(str(SCRIPT))
    script["main"](["--seeds", "3", "4", "--more=--k=7", "--out", str(tmp_path)])
    names = list(script["VARIANTS"])
    assert len(asked) == 2 * len(names)
    assert [given["seed"] for given in asked] == ["3", "4"] * len(names)
    assert all(given["k"] == "7" for given in asked)
    assert set().union(*script["VARIANTS"].values()) <= known_options()
    rows = [row.split("│") for row in capsys.readouterr().out.splitlines()]
    shown = [row[1:4] for row in rows if len(row) == 5]
    assert [row[0].strip() for row in shown] == names
    assert [float(x) for row in shown for x in row[1:]] == [
        number / 100 for number in range(1, len(asked) + 1)
    ]
