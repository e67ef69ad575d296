"""What ``pip install`` brings: the command line, its recipes and its configurations."""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from iic_tf import root_files

ROOT = Path(__file__).parents[1]

SHORT = [
    *("--k=2", "--data.size=16", "--data.batch=8", "--data.neighbours=0"),
    *("--data.repeats=1", "--graph.args.fan_out_init=2", "--graph.args.stages=2"),
    *("--heads.main=2", "--heads.aux=1", "--train.steps=4", "--report.window=never"),
]


def run(*words, **how):
    finished = subprocess.run(words, capture_output=True, text=True, **how)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    place = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    run(*pip, "--no-build-isolation", "--wheel-dir", str(place), str(ROOT))
    [found] = place.glob("*.whl")
    return found


@pytest.fixture
def photographs(tmp_path):
    folder = tmp_path / "photographs"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(24):
        pixels = rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return folder


@pytest.mark.long
def test_a_wheel_brings_the_whole_command_line(wheel, photographs, tmp_path):
    target = tmp_path / "installed"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    run(*pip, "--target", str(target), str(wheel))
    how = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": str(target)}}
    where = "import sys; sys.argv = ['iic']; import iic_tf; print(iic_tf.__file__)"
    assert run(sys.executable, "-c", where, **how).startswith(str(target))
    for name in ("page.html", "page.css", "page.js"):  # of reports
        assert (target / "iic_tf" / "report" / name).is_file()
    start = [sys.executable, "-m", "iic_tf"]
    out = run(*start, f"--data.folder={photographs}", *SHORT, "--name=a", **how)
    assert "Sub-head 0" in out
    assert (tmp_path / "runs/a/assignments.csv").is_file()
    # configurations come along, and the command is called as it was typed
    shown = run(*start, "--config", "configs/cifar10.yaml", "--print_config", **how)
    assert "recipe: cifar10" in shown
    iic = [sys.executable, str(target / "bin" / "iic")]
    assert run(*iic, "--help", **how).startswith("usage: iic ")
    assert "usage: iic evaluate RUN" in run(*iic, "evaluate", "--help", **how)


def test_the_command_line_loads_tensorflow_late():
    code = (
        "import sys; sys.argv = ['iic', '--help']\n"
        "from iic_tf.__main__ import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "assert 'tensorflow' not in sys.modules"
    )
    assert "usage: iic" in run(sys.executable, "-c", code, cwd=ROOT)


def test_root_files_are_those_of_the_clone():
    assert root_files.root() == ROOT
    graphs = root_files.root_module("graphs")
    assert Path(graphs.__file__) == ROOT / "graphs.py"
    assert root_files.root_module("graphs") is graphs
    found = root_files.find_config("configs/mnist.yaml")
    assert found.read_text() == (ROOT / "configs/mnist.yaml").read_text()
    assert root_files.find_config("nowhere.yaml") == Path("nowhere.yaml")


@pytest.mark.slow
def test_an_empty_environment_installs_and_runs(wheel, photographs, tmp_path):
    venv.create(tmp_path / "empty", with_pip=True)
    binaries = tmp_path / "empty" / "bin"
    run(str(binaries / "pip"), "install", "--quiet", str(wheel))
    words = [f"--data.folder={photographs}", *SHORT, "--name=a"]
    run(str(binaries / "iic"), *words, cwd=tmp_path)
    summary = json.loads((tmp_path / "runs/a/summary.json").read_text())
    assert summary["k"] == 2
