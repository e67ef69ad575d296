"""Our segmentation loss against the published formulation, forward and backward.

``python benchmarks/segmentation_loss.py`` times both on the same maps of assignments in
turn, checks that they agree, and prints ratios of times and, with ``--memory``, of peak
memory, that of a process of its own for each. The published form is a convolution of
one map with the other as its filter, here written in PyTorch (``pip install torch``;
``--without torch`` does without) and in TensorFlow.
"""

import argparse
import importlib.util
import itertools
import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table
from scipy import ndimage, special

EPS = float(np.finfo(np.float64).eps)


def make_maps(n: int, side: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Assignments of two maps that are much alike, ``(n, side, side, k)``."""
    rng = np.random.default_rng(0)
    first, other = rng.normal(size=(2, n, side, side, k)).astype(np.float32)
    first = 20 * ndimage.gaussian_filter(first, (0, 3, 3, 0))
    return special.softmax(first, axis=-1), special.softmax(first + other, axis=-1)


def ours(maps: tuple[np.ndarray, ...], displacement: int, collapsed: bool) -> Callable:
    """A function that computes the loss and its gradient and returns the loss."""
    import tensorflow as tf

    from iic_tf.losses.iic import segmentation_joint, segmentation_loss

    @tf.function(autograph=False)
    def step(one: tf.Tensor, other: tf.Tensor) -> tuple:
        with tf.GradientTape() as tape:
            tape.watch((one, other))
            first, second = one[..., None, :], other[..., None, :]
            joint = segmentation_joint(
                first, second, displacement=displacement, collapsed=collapsed
            )
            loss = segmentation_loss(joint)[0]
        return loss, *tape.gradient(loss, (one, other))

    tensors = [tf.constant(x) for x in maps]
    return lambda: float(step(*tensors)[0])


def published_tensorflow(
    maps: tuple[np.ndarray, ...], displacement: int, collapsed: bool
) -> Callable:
    """The convolution form in TensorFlow."""
    import tensorflow as tf

    from iic_tf.losses.iic import loss_of_joint

    around = (displacement, displacement)

    @tf.function(autograph=False)
    def step(one: tf.Tensor, other: tf.Tensor) -> tuple:
        with tf.GradientTape() as tape:
            tape.watch((one, other))
            inputs = tf.pad(tf.transpose(one, (3, 1, 2, 0)),
                            ((0, 0), around, around, (0, 0)))  # fmt: skip
            filters = tf.transpose(other, (1, 2, 0, 3))
            joint = tf.nn.conv2d(inputs, filters, 1, "VALID")  # (k, u, v, k)
            joint = tf.transpose(joint, (1, 2, 0, 3))
            if collapsed:
                joint = tf.reduce_sum(joint, axis=(0, 1))
            loss = tf.reduce_mean(loss_of_joint(joint))
        return loss, *tape.gradient(loss, (one, other))

    tensors = [tf.constant(x) for x in maps]
    return lambda: float(step(*tensors)[0])


def published_torch(
    maps: tuple[np.ndarray, ...], displacement: int, collapsed: bool
) -> Callable:
    """The convolution form in PyTorch."""
    import torch

    tensors = [torch.tensor(x.transpose(0, 3, 1, 2), requires_grad=True) for x in maps]

    def step() -> float:
        first, second = tensors
        joint = torch.nn.functional.conv2d(
            first.transpose(0, 1), second.transpose(0, 1), padding=displacement
        )  # (k, k, u, v)
        joint = joint.permute(2, 3, 0, 1)
        if collapsed:
            joint = joint.sum((0, 1))
        joint = joint + joint.transpose(-2, -1)
        p = joint / joint.sum((-2, -1), keepdim=True)
        rows, columns = p.sum(-1, keepdim=True), p.sum(-2, keepdim=True)
        p, rows, columns = (x.clamp(min=EPS) for x in (p, rows, columns))
        loss = -(p * (p.log() - rows.log() - columns.log())).sum((-2, -1)).mean()
        for x in tensors:
            x.grad = None
        loss.backward()
        return loss.item()

    return step


FORMS = {
    "ours": ours,
    "torch": published_torch,
    "tensorflow": published_tensorflow,
}


def peak() -> float:
    """Peak memory of this process so far in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def memory(form: str, path: Path, displacement: int, collapsed: bool) -> float:
    """Peak memory in MB of a step on stored maps, beyond what it begins with."""
    few = make_maps(1, 2 * displacement + 2, 2)
    FORMS[form](few, displacement, collapsed)()  # loads all libraries
    step = FORMS[form](tuple(np.load(path)), displacement, collapsed)
    before = peak()
    step()
    return peak() - before


def memory_of_each(
    forms: Sequence[str],
    maps: tuple[np.ndarray, ...],
    displacement: int,
    collapsed: bool,
) -> list[float]:
    """``memory`` in a process of its own for each form."""
    found = []
    with TemporaryDirectory() as folder:
        path = Path(folder, "maps.npy")
        np.save(path, maps)
        for form in forms:
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                job = pool.submit(memory, form, path, displacement, collapsed)
                found.append(job.result())
    return found


def seconds(step: Callable, budget: float) -> float:
    """Shortest time of a step, tried until the budget is spent."""
    times: list[float] = []
    while not times or sum(times) < budget:
        started = time.perf_counter()
        step()
        times.append(time.perf_counter() - started)
    return min(times)


def compare(
    maps: tuple[np.ndarray, ...],
    displacement: int,
    collapsed: bool,
    forms: Sequence[str],
    *,
    rounds: int,
) -> dict[str, float]:
    """Seconds of a step in each form, which must agree in value."""
    steps = {form: FORMS[form](maps, displacement, collapsed) for form in forms}
    values = {form: step() for form, step in steps.items()}
    for form, value in values.items():
        if abs(value / values["ours"] - 1) > 1e-3:
            sys.exit(f"the loss of {form} differs: {values}")
    times: dict[str, list[float]] = {form: [] for form in forms}
    for _ in range(rounds):
        for form, step in steps.items():
            times[form].append(seconds(step, 0.3))
    return {form: statistics.median(found) for form, found in times.items()}


def plot(path: Path, *, batch: int) -> None:
    """Draws how our times grow with k, side and T, the other two as published."""
    usual = {"k": 15, "side": 128, "reach": 10}
    values = {
        "k": (3, 6, 12, 24, 48),
        "side": (32, 64, 128, 256),
        "reach": (0, 2, 5, 10, 20),
    }
    figure = Figure(figsize=(10, 3.4), dpi=110, layout="constrained")
    for axes, (name, points) in zip(figure.subplots(1, 3), values.items(), strict=True):
        for collapsed, colour in ((False, "C0"), (True, "C1")):
            times = []
            for point in points:
                case = {**usual, name: point}
                step = ours(
                    make_maps(batch, case["side"], case["k"]), case["reach"], collapsed
                )
                step()
                times.append(1000 * seconds(step, 1.0))
            label = "collapsed" if collapsed else "uncollapsed"
            axes.plot(points, times, marker=".", color=colour, label=label)
        named = {"reach": "T"}
        others = ", ".join(
            f"{named.get(n, n)} {v}" for n, v in usual.items() if n != name
        )
        axes.set_title(others, fontsize=9)
        axes.set_xlabel({"reach": "T", "side": "side in pixels"}.get(name, name))
        axes.set_ylim(0)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel(f"ms, forward and backward, batch {batch}")
    figure.axes[0].legend(frameon=False)
    figure.savefig(path)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--k", type=int, nargs="+", default=[3, 15, 45])
    parser.add_argument("--side", type=int, nargs="+", default=[128])
    parser.add_argument("--reach", type=int, nargs="+", default=[10])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    others = [form for form in FORMS if form != "ours"]
    parser.add_argument("--without", choices=others, nargs="*", default=[])
    parser.add_argument("--memory", action="store_true", help="measure memory too")
    parser.add_argument("--plot", type=Path, help="PNG file: cost over k, side and T")
    arguments = parser.parse_args()
    if arguments.plot:
        plot(arguments.plot, batch=arguments.batch)
        return
    forms = [form for form in FORMS if form not in arguments.without]
    if "torch" in forms and importlib.util.find_spec("torch") is None:
        parser.error("there is no PyTorch: pip install torch, or --without torch")
    cases = list(
        itertools.product((True, False), arguments.k, arguments.side, arguments.reach)
    )
    used: dict[tuple, list[str]] = {case: [] for case in cases}
    if arguments.memory:  # before the times: a process starts with its parent's peak
        for case in cases:
            collapsed, k, side, displacement = case
            maps = make_maps(arguments.batch, side, k)
            found = memory_of_each(forms, maps, displacement, collapsed)
            used[case] = [f"{megabytes:.0f}" for megabytes in found]
    table = Table(
        *("form", "k", "side", "T", "ours ms"),
        *(f"{form} / ours" for form in forms if form != "ours"),
        *(f"{form} MB" for form in forms if arguments.memory),
        box=None,
    )
    for case in cases:
        collapsed, k, side, displacement = case
        maps = make_maps(arguments.batch, side, k)
        times = compare(maps, displacement, collapsed, forms, rounds=arguments.rounds)
        table.add_row(
            "collapsed" if collapsed else "uncollapsed",
            *(str(number) for number in (k, side, displacement)),
            f"{1000 * times['ours']:.1f}",
            *(f"{times[form] / times['ours']:.1f}" for form in forms if form != "ours"),
            *used[case],
        )
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
