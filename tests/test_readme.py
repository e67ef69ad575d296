"""What the README says can be done, can be done."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import data
import graphs
import models_iic
from iic_tf.datasets.masks import find_items
from iic_tf.options import check_arguments

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BASH = [
    line
    for block in re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
]


def test_the_two_commands_are_there_and_ci_runs_the_second():
    assert BASH[0] == "pip install -r requirements.txt && python models_iic.py"
    tests = [line for line in BASH if "pytest" in line]
    assert tests == ['pip install -e ".[dev]" && python -m pytest']
    quiet = tests[0].replace("pip install", "pip install --quiet")
    assert quiet in (ROOT / ".ci" / "run").read_text()


COMMANDS = [
    line.split("models_iic.py", 1)[1]
    for line in BASH
    if "python models_iic.py" in line
    and "--resume" not in line
    and line.split()[2] not in models_iic.COMMANDS  # test_models_iic.py runs these
]


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_is_understood(line, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    words = shlex.split(line)
    if {"--help", "--print_config"} & set(words):
        with pytest.raises(SystemExit) as caught:
            models_iic.parse(words)
        assert caught.value.code == 0
    else:
        options = models_iic.parse(words)
        if options.graph.name != "tiny":  # that is the reader's
            of_maps = data.is_of_maps(options.data)
            name = options.graph.name or ("small_maps" if of_maps else "small")
            builder = graphs.find(name, of_maps=of_maps)
            check_arguments(builder, options.graph.args, option="graph.args")


def test_the_photographs_come_with_a_package():
    [found] = re.findall(r"IMAGES=\$\(python -c \"(.*)\"\)", "\n".join(BASH))
    call = [sys.executable, "-c", found]
    told = subprocess.run(call, capture_output=True, text=True, check=True).stdout
    names = [item.name for item in find_items(Path(told.strip()), None)]
    assert {"china.jpg", "flower.jpg"} <= set(names)


def test_the_backbone_in_ten_lines_works(monkeypatch, digits_npz, tmp_path):
    [code] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    known = dict(graphs.GRAPHS)
    monkeypatch.setattr(graphs, "GRAPHS", known)
    exec(compile(code, "README.md", "exec"), vars(graphs))  # as if pasted there
    backbone = known["tiny"]((24, 24, 1), filters=4)
    assert backbone(np.zeros((2, 24, 24, 1))).shape == (2, 144)
    status = models_iic.main(
        [
            "--graph.name=tiny", "--graph.args.filters=2", f"--data.dir={digits_npz}",
            f"--out={tmp_path / 'runs'}", "--data.batch=50", "--train.steps=2",
        ]
    )  # fmt: skip
    assert status == 0


def test_the_recipes_named_are_there():
    for name in re.findall(r"--data\.recipe (\w+)", README):
        assert name in {**data.RECIPES, **data.MAP_RECIPES}
    for name in re.findall(r"`(network_\w+|graph_\w+|vgg_\w)`", README):
        builder = {**graphs.GRAPHS, **graphs.MAP_GRAPHS}[name]
        assert isinstance(builder((32, 32, 1)), keras.Model)


def test_every_figure_has_been_filled_in():
    assert not re.search(r"@[A-Z]+@", README)


def test_every_picture_is_there():
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README)
    assert pictures
    for picture in pictures:
        assert (ROOT / picture).read_bytes().startswith(b"\x89PNG")
