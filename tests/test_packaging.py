import dataclasses
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:  # Python 3.10
    import tomli as tomllib

import pytest
import tensorflow as tf

import data
import iic_tf
import models_iic
from commands import loading
from iic_tf.resolved import resolve

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


def test_the_command_line_imports_it_at_no_cost():
    code = "import sys, models_iic; assert 'tensorflow' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


KERNELS = {}


def first_kernel(builder, shape, **how):
    """Shape of a network's first kernel; networks that files share are built once."""
    key = repr((builder.__name__, shape, how))
    if key not in KERNELS:
        graphs = importlib.import_module("graphs")
        weights = graphs.on_views(builder, shape, **how).trainable_weights
        KERNELS[key] = next((w.shape for w in weights if w.ndim == 4), None)
    return KERNELS[key]


CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_yaml_is_parsed_and_keeps_its_promises(path):
    options = models_iic.parse(["--config", str(path)])
    data = importlib.import_module("data")
    assert options.data.recipe in data.RECIPES
    text = path.read_text()
    header = "".join(line for line in text.splitlines(True) if line.startswith("#"))
    for promise in ("command", "data", "scored on", "hardware", "time", "expected"):
        assert f"#   {promise} " in header
    assert f"--config configs/{path.name}" in header


@pytest.mark.long
@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_yaml_builds_its_network(path):
    options = models_iic.parse(["--config", str(path)])
    data, graphs = importlib.import_module("data"), importlib.import_module("graphs")
    recipe = data.RECIPES[options.data.recipe]
    if loading.task_of(options) == "segment":
        channels = 4 if path.stem.startswith("potsdam") else 3
        views = recipe.views((8, 8, channels), options.data.augment)
        shape = views.finish(tf.zeros((1, 8, 8, channels)), (0, 0)).shape
        kernel = first_kernel(
            graphs.find(options.graph.name or "small_segment", task="segment"),
            (None, None, shape[-1]),
            sobel=views.edges,
            infrared=views.infrared,
            **options.graph.args,
        )
        if options.graph.name == "network_10a":
            # what the trunk sees: colours and slopes, or colours and infrared
            assert kernel[2] == (4 if channels == 4 else 5)
    else:
        views = recipe.views(recipe.source_shape, options.data.augment)
        task = loading.task_of(options)
        first_kernel(
            graphs.find(options.graph.name or graphs.usual(task), task=task),
            views.seen_shape(recipe.source_shape),
            sobel=recipe.sobel,
            **options.graph.args,
        )


PUBLISHED_MAPS = {
    "coco_stuff_3_555": (3, 15, (1.5, 1), 1e-4, 120, 128, 0.33, 10, (0.4, 0.125)),
    "coco_stuff_3_714": (3, 15, (1, 1), 1e-4, 120, 128, 0.33, 10, (0.4, 0.125)),
    "coco_stuff_15_512": (15, 45, (1, 1), 1e-4, 60, 128, 0.33, 10, (0.4, 0.125)),
    "potsdam_3_545": (3, 24, (1.5, 1), 1e-5, 75, 200, 1, 10, (0.1, 0.1)),
    "potsdam_3_711": (3, 24, (1, 1), 1e-5, 75, 200, 1, 10, (0.1, 0.1)),
    "potsdam_6_544": (6, 36, (1, 1), 1e-6, 60, 200, 1, 5, (0.1, 0.1)),
    "coco_stuff_3_496": (15, None, (1, 1), 1e-4, 180, 128, 0.33, 10, (0.4, 0.125)),
    "coco_stuff_15_521": (45, None, (1, 1), 1e-4, 90, 128, 0.33, 10, (0.4, 0.125)),
    "potsdam_3_482": (9, None, (1, 1), 1e-5, 75, 200, 1, 10, (0.1, 0.1)),
    "potsdam_6_487": (24, None, (1, 1), 1e-5, 60, 200, 1, 10, (0.1, 0.1)),
}
"""k, that of the auxiliary sub-heads, λ of both, learning rate, windows a step, their
side, scale, T, jitter and hue: the paper's commands."""


@pytest.mark.parametrize("name", PUBLISHED_MAPS)
def test_published_runs_on_label_maps_have_their_figures(name):
    options = models_iic.parse(["--config", str(ROOT / "configs" / f"{name}.yaml")])
    data = importlib.import_module("data")
    recipe = data.RECIPES[options.data.recipe]
    usual = inspect.signature(data.maps).parameters
    figures = {key: parameter.default for key, parameter in usual.items()}
    figures |= recipe.parameters | options.data.augment
    assert figures["brightness"] == figures["contrast"] == figures["saturation"]
    k, k_aux, lambs, rate, batch, window, scale, displacement, jitter = PUBLISHED_MAPS[
        name
    ]
    assert (options.k, options.heads.k_aux) == (k, k_aux)
    assert (options.heads.main, options.heads.aux) == (1, int(k_aux is not None))
    assert (options.train.lamb, options.train.lamb_aux or 1) == lambs
    assert (options.train.learning_rate, options.data.batch) == (rate, batch)
    assert (figures["side"], recipe.usual.resize) == (window, scale)
    assert (figures["brightness"], figures["hue"]) == jitter
    assert options.segment.displacement == displacement and options.segment.sparse == (
        0,
        0,
    )
    assert not options.segment.collapsed and options.segment.at == "pixels"
    assert options.data.repeats == 1 and figures["flipped"] == 0.5
    assert figures["rotation"] == figures["shear"] == 0 and figures["scale"] == (1, 1)


def test_the_default_yaml_holds_the_defaults():
    path = str(ROOT / "configs" / "mnist.yaml")
    written, default = models_iic.parse(["--config", path]), models_iic.parse([])
    usual = dataclasses.replace(data.RECIPES["mnist"].usual_for(70_000), recipe="mnist")
    assert resolve(written, usual) == resolve(default, usual)
    assert written != default  # it does write something


def test_each_module_has_its_tests():
    modules = {p.stem for p in (ROOT / "iic_tf").rglob("*.py")} - {"__init__"}
    modules |= {"data", "graphs", "utils", "models_iic"}
    tested = {p.stem.removeprefix("test_") for p in (ROOT / "tests").glob("test_*.py")}
    # by the runs of test_models_iic, test_segment, test_results and test_root_files
    driven = {"__main__", "cluster_plots", "inference", "task"}
    assert modules - tested == driven
