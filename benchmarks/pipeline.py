"""How fast is the input pipeline, and how long does a training step wait for it?

``python benchmarks/pipeline.py`` prints, for each recipe of digits, how many images per
second the pipeline augments when nothing else runs; the same for augmenting single
images instead of batches; how much longer steps take with the pipeline than with one
batch that lies in memory (on a CPU both share the cores); and the share of a step
during which it stands still because its batch is not there yet.
"""

import argparse
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.table import Table
from train_step import make_step

import data
from iic_tf.augment.pairs import training_batches
from iic_tf.datasets.published import embedded_digits
from iic_tf.datasets.splits import concatenate


def rate(batches: tf.data.Dataset, *, images: int, count: int = 30) -> float:
    """Images per second of a data set, after a few batches."""
    iterator = iter(batches)
    for _ in range(3):
        next(iterator)
    started = time.perf_counter()
    for _ in range(count):
        next(iterator)
    return count * images / (time.perf_counter() - started)


def image_by_image(images: np.ndarray, recipe: data.Recipe) -> tf.data.Dataset:
    """Augments single images before they are batched, as most pipelines do."""
    views = recipe.views(images.shape[1:], {})

    def one(number: tf.Tensor, image: tf.Tensor) -> tf.Tensor:
        x = tf.cast(image[None], tf.float32) / 255
        return views.augment(x, tf.stack((0, tf.cast(number, tf.int32))))[0]

    source = tf.data.Dataset.from_tensor_slices(images).repeat().enumerate()
    mapped = source.map(one, num_parallel_calls=tf.data.AUTOTUNE)
    return mapped.batch(500).prefetch(2)


def step_times(arguments, batches):
    """Seconds per step with a batch in memory and with the pipeline, and the waits."""
    trainer, memory, _ = make_step(arguments, graph="small")
    pipeline = iter(batches)
    trainer.run(memory, 2)
    trainer.run(pipeline, 2)
    seconds = {"memory": [], "pipeline": [], "wait": []}
    for _ in range(arguments.rounds):
        for name, iterator in (("memory", memory), ("pipeline", pipeline)):
            started = time.perf_counter()
            trainer.run(iterator, 5)
            seconds[name].append((time.perf_counter() - started) / 5)
        # Fetching in a loop of our own shows how long a step would stand still.
        waited = 0.0
        for _ in range(5):
            started = time.perf_counter()
            next(pipeline)
            waited += time.perf_counter() - started
            trainer.run(memory, 1)
        seconds["wait"].append(waited / 5)
    return {name: float(np.median(values)) for name, values in seconds.items()}


def main() -> None:
    """Measures every recipe of digits and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=8)
    arguments = parser.parse_args()
    images = concatenate(list(embedded_digits().splits.values())).images

    per_step = arguments.batch * (1 + arguments.repeats)
    table = Table("recipe", "pipeline alone\nimages/s", "image by image\nimages/s",
                  "step in memory\nms", "step with pipeline\nms", "slower by",
                  "waiting")  # fmt: skip
    for name, recipe in data.RECIPES.items():
        if recipe.source_shape != images.shape[1:]:
            continue
        batches = training_batches(
            images,
            recipe.views(images.shape[1:], {}),
            repeats=arguments.repeats,
            batch=arguments.batch,
            seed=0,
            start=0,
            steps=10_000,
        )
        alone = rate(batches, images=per_step)
        single = rate(image_by_image(images, recipe), images=500, count=10)
        steps = step_times(arguments, batches)
        table.add_row(
            name,
            f"{alone:,.0f}",
            f"{single:,.0f}",
            f"{1e3 * steps['memory']:.0f}",
            f"{1e3 * steps['pipeline']:.0f}",
            f"{100 * (steps['pipeline'] / steps['memory'] - 1):.1f} %",
            f"{100 * steps['wait'] / steps['pipeline']:.1f} %",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
