"""The engine without the command line, as docs/usage.md shows it."""

import re
import warnings
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

import iic_tf

TEXT = (Path(__file__).parents[1] / "docs" / "usage.md").read_text()
[CODE] = re.findall(r"```python\n(import threading\n.*?)```", TEXT, re.DOTALL)


def test_the_example_trains_in_a_thread_and_leaves_the_process_as_it_was(
    tmp_path, digits
):
    assert not re.search(r"import (data|graphs|utils|models_iic)", CODE)
    before = (
        keras.mixed_precision.global_policy().name,
        Image.MAX_IMAGE_PIXELS,
        tf.config.optimizer.get_experimental_options().get("arithmetic_optimization"),
        list(warnings.filters),
    )
    images = digits[0][:300]
    said = {"images": images, "out": str(tmp_path), "steps": 6}
    exec(CODE, said)
    [run] = said["runs"]
    assert run.step == 6 and (run.folder / "history.jsonl").is_file()
    results = said["results"]
    assert results.clusters.shape == (300, 10)
    # what was saved, loaded and applied by hand names the very clusters
    np.testing.assert_array_equal(said["clusters"], results.clusters[:, results.chosen])
    after = (
        keras.mixed_precision.global_policy().name,
        Image.MAX_IMAGE_PIXELS,
        tf.config.optimizer.get_experimental_options().get("arithmetic_optimization"),
        list(warnings.filters),
    )
    assert after[0] == before[0] and after[1] == before[1] and after[3] == before[3]
    assert after[2] in (before[2], True)  # what is not set counts as true


def test_a_model_exports_without_further_words(tmp_path, tiny_model):
    tiny_model().export(tmp_path / "served", verbose=False)
    served = tf.saved_model.load(str(tmp_path / "served"))
    found = served.serve(tf.zeros((3, 12, 12, 1)))
    assert found["main"].shape == (3, 3, 10)
    assert iic_tf.ClusterIIC is not None
