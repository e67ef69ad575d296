"""The examples in docstrings print what they say, and every public name has one."""

import doctest
import importlib
import inspect
import pkgutil

import keras
import numpy as np
import pytest
import tensorflow as tf

import iic_tf

FOLDERS = ("augment", "losses", "neighbours")
"""Sub-packages in whose modules every public function has an example."""

MODULES = (
    *("data", "graphs", "utils"),
    *(
        f"iic_tf.{folder}.{module.name}"
        for folder in FOLDERS
        for module in pkgutil.iter_modules(
            importlib.import_module(f"iic_tf.{folder}").__path__
        )
    ),
    *(f"iic_tf.evaluation.{name}" for name in ("health", "metrics", "naming")),
    *(f"iic_tf.models.{name}" for name in ("blocks", "frozen", "heads", "named")),
    *(f"iic_tf.models.{name}" for name in ("networks", "tokens")),
    *(f"iic_tf.training.{name}" for name in ("export", "optimizers", "sorting")),
    *("iic_tf.names", "iic_tf.options"),
)
"""Modules of which every public function has an example."""

EXEMPT = {
    "iic_tf.training.sorting.sort_images": "needs a run on files; see test_sorting.py",
}
"""Functions without an example, and why."""

BY_KERAS = {"build", "call", "compute_loss", "compute_output_shape", "get_config"}
"""Methods that Keras calls."""

HOMES = {getattr(iic_tf, name).__module__ for name in iic_tf.__all__}

WITH_A_RUN = ("utils", "iic_tf.training.export", "iic_tf.training.sorting")
"""Modules whose examples look at a finished run."""

LONG = (
    *("graphs", "iic_tf.estimator", "iic_tf.segmenter"),
    *("iic_tf.models.networks", "iic_tf.training.trainer"),
)
"""Modules whose examples take many seconds."""

ASSUMED = {"keras": keras, "np": np, "tf": tf}
"""What examples take as imported."""


def examples_of(thing):
    """Source of the examples of a function, or of a class in its own docstring."""
    found = doctest.DocTestParser().get_examples(inspect.getdoc(thing) or "")
    return "".join(example.source for example in found)


def public_functions(module):
    return {
        f"{module.__name__}.{name}": thing
        for name, thing in vars(module).items()
        if not name.startswith("_")
        and inspect.isfunction(inspect.unwrap(thing))
        and (thing.__module__, thing.__name__) == (module.__name__, name)
    }


def own_methods(cls):
    return {
        name
        for name, thing in vars(cls).items()
        if not name.startswith("_")
        and inspect.isroutine(thing)
        and name not in BY_KERAS
    }


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.long] * (name in LONG))
        for name in sorted({*MODULES, *HOMES})
    ],
)
@pytest.mark.usefixtures("few_plots")
def test_examples_print_what_they_say(name, request, tmp_path, monkeypatch):
    if name in WITH_A_RUN:
        request.getfixturevalue("labelled_run").copy_to(tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    told = []
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS)
    for examples in doctest.DocTestFinder().find(module, globs=ASSUMED):
        keras.utils.set_random_seed(0)
        runner.run(examples, out=told.append)
    assert not runner.summarize(verbose=False).failed, "".join(told)


def test_every_public_name_has_an_example():
    public = {f"iic_tf.{name}": getattr(iic_tf, name) for name in iic_tf.__all__}
    for name in MODULES:
        public |= public_functions(importlib.import_module(name))
    assert len(public) > 200
    without = {name for name, thing in public.items() if not examples_of(thing)}
    assert without == set(EXEMPT)
    for name in set(public) - without:
        assert "\nExamples:\n" in inspect.getdoc(public[name]), name


@pytest.mark.parametrize(
    "name", [name for name in iic_tf.__all__ if inspect.isclass(getattr(iic_tf, name))]
)
def test_examples_of_a_class_call_its_methods(name):
    cls = getattr(iic_tf, name)
    shown = examples_of(cls)
    assert not {method for method in own_methods(cls) if f".{method}(" not in shown}
