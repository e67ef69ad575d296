"""How fast is a training step, and how much of the machine does it use?

``python benchmarks/train_step.py`` times one step of each variant in turn, round by
round, so that a machine whose speed drifts drifts for all of them, and prints medians
and ratios. The last line tells the speed of a plain matrix product on the same machine.
``--layers`` times the layers of the first network one by one, forward and backward,
which says where a step's time goes.

A step's arithmetic is counted from its layers: two operations per multiplication and
addition, three times the forward pass (forward, gradient of the inputs, gradient of the
weights), less the input gradient of the first layer, which nobody needs. Products with
padding count as none: nobody needs them either.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[1]))

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.table import Table

import graphs
from iic_tf.augment.pairs import plan_passes
from iic_tf.models import blocks
from iic_tf.models.networks import ClusterIIC
from iic_tf.options import Options, TrainOptions
from iic_tf.resolved import resolve
from iic_tf.tasks import iic
from iic_tf.tasks.objectives import pair_losses
from iic_tf.training.trainer import Trainer, make_optimizer

STRATEGY = tf.distribute.get_strategy()


def matmul_speed(side: int = 2048, repeats: int = 20) -> float:
    """Speed of a matrix product in GFLOP/s, the median of a few."""
    kind = keras.config.dtype_policy().compute_dtype
    a = tf.cast(tf.random.normal((side, side)), kind)
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        tf.matmul(a, a).numpy()
        times.append(time.perf_counter() - started)
    return 2 * side**3 / np.median(times) / 1e9


def pairs_in_reach(side: int, kernel: int) -> int:
    """Pairs of an input and an output pixel of one axis that a kernel connects."""
    at = np.arange(side)
    return int((np.abs(at[:, None] - at) <= kernel // 2).sum())


def forward_operations(model: ClusterIIC) -> tuple[float, float]:
    """Operations of one image's forward pass: in all, and in the first layer."""
    counts = []
    for layer in model.backbone.layers:
        if isinstance(layer, keras.layers.Conv2D):
            # stride 1 and "same" padding, as in the networks that can be chosen
            reached = map(pairs_in_reach, layer.output.shape[1:3], layer.kernel_size)
            counts.append(2.0 * np.prod([*reached, *layer.kernel.shape[2:]]))
        elif isinstance(layer, keras.layers.Dense):
            counts.append(2.0 * np.prod(layer.kernel.shape))
    for heads in (model.main, model.aux):
        counts.append(2.0 * np.prod(heads.kernel.shape))
    return sum(counts), counts[0]


def keras_batch_norm(tracked=True, momentum=0.9, epsilon=1e-5, **kwargs):
    """Keras's layer with the arguments of ours."""
    return keras.layers.BatchNormalization(momentum=momentum, epsilon=epsilon, **kwargs)


KERAS = {"BatchNorm": keras_batch_norm, "Conv2D": keras.layers.Conv2D}


def make_step(arguments, *, graph, plain=None):
    """A trainer on one fixed batch, and the operations of one of its steps.

    With ``plain``, a name in ``KERAS``, the backbone has Keras's layer instead of ours.
    """
    with ExitStack() as stack:
        if plain:
            for module in (graphs, blocks):
                stack.enter_context(patch.object(module, plain, KERAS[plain]))
        backbone = graphs.GRAPHS[graph]((24, 24, 1))
    model = ClusterIIC.create(backbone, k=10, k_aux=50, num_main=10, num_aux=5)
    options = resolve(Options(train=TrainOptions(steps=10_000))).train
    passes = plan_passes([arguments.batch], batch=arguments.batch, steps=10_000)
    trainer = Trainer(
        model,
        make_optimizer(options, steps=10_000),
        STRATEGY,
        iic.objective(options, passes, pair_losses),
    )
    shape = (arguments.batch, 24, 24, 1)
    views = tuple(tf.random.uniform(shape) for _ in range(1 + arguments.repeats))
    iterator = iter(tf.data.Dataset.from_tensors(views).repeat())
    total, first = forward_operations(model)
    images = arguments.batch * (1 + arguments.repeats)
    return trainer, iterator, images * (3 * total - first)


def differentiated(layer: keras.layers.Layer, *, of_inputs: bool) -> Callable:
    """The gradient of a layer's weights, and of its inputs if anybody needs it."""

    @tf.function(autograph=False)
    def both_ways(images: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(images)
            total = tf.reduce_sum(layer(images, training=True) ** 2)
        wanted = [images] if of_inputs else []
        return tape.gradient(total, wanted + layer.trainable_variables)

    return both_ways


def time_layers(
    backbone: keras.Model, *, batch: int, rounds: int, speed: float
) -> None:
    """Prints what each layer takes, forward and backward, alone on random numbers."""
    table = Table("layer", "out", "ms", "GFLOP/s", "of the machine",
                  title=f"each layer alone, {batch} images")  # fmt: skip
    for number, layer in enumerate(backbone.layers[1:]):
        images = tf.random.uniform((batch, *layer.input.shape[1:]))
        images = tf.cast(images, layer.compute_dtype)
        both_ways = differentiated(layer, of_inputs=number > 0)
        both_ways(images)
        times = []
        for _ in range(rounds):
            started = time.perf_counter()
            both_ways(images)[0].numpy()
            times.append(time.perf_counter() - started)
        seconds = float(np.median(times))
        row = [layer.name, "×".join(map(str, layer.output.shape[1:]))]
        row.append(f"{1e3 * seconds:.1f}")
        if isinstance(layer, keras.layers.Conv2D):
            reached = map(pairs_in_reach, layer.output.shape[1:3], layer.kernel_size)
            ways = 3 if number else 2
            done = ways * batch * 2.0 * np.prod([*reached, *layer.kernel.shape[2:]])
            rate = done / seconds / 1e9
            row += [f"{rate:.0f}", f"{100 * rate / speed:.0f} %"]
        table.add_row(*row)
    Console(width=110).print(table)


def main() -> None:
    """Times the variants and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument(
        "--precision", default="float32", choices=["float32", "mixed_bfloat16"]
    )
    parser.add_argument("--layers", action="store_true", help="time layers, too")
    parser.add_argument(
        "--graphs", nargs="*", default=["small"], choices=("small", "network_6c")
    )
    arguments = parser.parse_args()
    keras.config.set_dtype_policy(arguments.precision)

    variants = {}
    for name in arguments.graphs:
        variants[name] = make_step(arguments, graph=name)
        for plain in KERAS:
            variants[f"{name}, Keras's {plain}"] = make_step(
                arguments, graph=name, plain=plain
            )
    times = {name: [] for name in variants}
    for trainer, iterator, _ in variants.values():
        trainer.run(iterator, 2)
    machine = []
    for _ in range(arguments.rounds):
        machine.append(matmul_speed(repeats=4))
        for name, (trainer, iterator, _) in variants.items():
            started = time.perf_counter()
            trainer.run(iterator, 1)
            times[name].append(time.perf_counter() - started)

    speed = float(np.median(machine))
    images = arguments.batch * (1 + arguments.repeats)
    title = f"{images} images per step ({arguments.batch} x (1 + {arguments.repeats}))"
    table = Table("variant", "ms per step", "images/s", "GFLOP/s", "of the machine",
                  "ratio", title=title)  # fmt: skip
    for name, (_, _, operations) in variants.items():
        seconds = float(np.median(times[name]))
        base = float(np.median(np.array(times[name]) / times[name.split(",")[0]]))
        table.add_row(
            name,
            f"{1e3 * seconds:.0f}",
            f"{images / seconds:,.0f}",
            f"{operations / seconds / 1e9:.0f}",
            f"{100 * operations / seconds / 1e9 / speed:.0f} %",
            f"{base:.2f}",
        )
    Console(width=110).print(table)
    if arguments.layers:
        time_layers(
            next(iter(variants.values()))[0].model.backbone,
            **{"batch": arguments.batch, "rounds": arguments.rounds, "speed": speed},
        )
    print(
        f"matrix product on this machine: {speed:.0f} GFLOP/s "
        f"({arguments.precision}, 2048 x 2048)"
    )


if __name__ == "__main__":
    main()
