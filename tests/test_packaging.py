import importlib
import subprocess
import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:  # Python 3.10
    import tomli as tomllib

import pytest
import tensorflow as tf

import iic_tf
import models_iic

ROOT = Path(__file__).parents[1]


def test_requirements_are_the_same_in_both_files():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    assert project["dependencies"] == [line.split("#")[0].strip() for line in lines]


def test_every_public_name_is_there():
    assert iic_tf.__all__ == sorted(iic_tf.__all__)
    for name in iic_tf.__all__:
        assert getattr(iic_tf, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        iic_tf.nothing  # noqa: B018


def test_importing_the_package_costs_nothing():
    code = "import sys, iic_tf; assert 'tensorflow' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=str)
def test_every_yaml_is_parsed_and_keeps_its_promises(path):
    text = path.read_text()
    options = models_iic.parse(["--config", str(path)])
    data, graphs = importlib.import_module("data"), importlib.import_module("graphs")
    if data.is_of_maps(options.data):
        recipe = data.MAP_RECIPES[options.data.recipe]
        channels = 4 if path.stem.startswith("potsdam") else 3
        views = recipe.views(channels, options.data.perturb)
        shape = views.finish(tf.zeros((1, 8, 8, channels)), (0, 0)).shape
        backbone = graphs.on_views(
            graphs.find(options.graph.name or "small_maps", of_maps=True),
            (None, None, shape[-1]),
            sobel=views.edges,
            infrared=views.infrared,
            **options.graph.args,
        )
        # what the trunk sees: colours and slopes, or colours and infrared
        if options.graph.name == "network_10a":
            assert backbone.layers[-1].output.shape[-1] == 512
    else:
        recipe = data.RECIPES[options.data.recipe]
        views = recipe.views(recipe.source_shape, options.data.perturb)
        graphs.on_views(
            graphs.find(options.graph.name or "small"),
            views.seen_shape(recipe.source_shape),
            sobel=recipe.sobel,
            **options.graph.args,
        )
    header = "".join(line for line in text.splitlines(True) if line.startswith("#"))
    for promise in ("command", "data", "scored on", "hardware", "time", "expected"):
        assert f"#   {promise} " in header
    assert f"--config configs/{path.name}" in header


def test_the_default_yaml_holds_the_defaults():
    path = str(ROOT / "configs" / "mnist.yaml")
    written, default = models_iic.parse(["--config", path]), models_iic.parse([])
    written, default = models_iic.as_plain(written), models_iic.as_plain(default)
    # written out
    default["heads"]["k_aux"], default["train"]["lamb_aux"] = 50, 1
    default["graph"]["name"] = "small"  # as chosen
    default["data"] |= {"recipe": "mnist", "batch": 500}  # as chosen
    assert written == default


def test_each_module_has_its_tests():
    modules = {p.stem for p in (ROOT / "iic_tf").glob("*.py")} - {"__init__"}
    modules |= {"data", "graphs", "utils", "models_iic"}
    # folders is driven by every run of test_models_iic, inference by test_models,
    # tasks by the runs of test_models_iic and test_maps
    tested = {p.stem.removeprefix("test_") for p in (ROOT / "tests").glob("test_*.py")}
    driven = {"folders", "inference", "cluster_task", "map_task"}
    assert modules - tested == driven
