"""How many labels does it take to name the clusters of a finished run?

``python benchmarks/label_fraction.py RUN`` names clusters, and overclusters (those of
the best auxiliary sub-head), from 1, 3 and 10 labels per class and from fractions of
all labels of the train split, as ``models_iic.py name`` does, and prints the accuracy
on the whole test split: mean, least and most of many draws. An image whose cluster has
no name counts as an error. Where there is no test split half of the images of each
class, drawn with seed 0, stand for it. The plot is label_fraction.png in the run
folder, with all numbers beside it as JSON (the paper's figure 6).

With ``--weak`` it follows vandedok/IIC_tutorial instead: as many labelled images as 1 %
of the train split, each cluster mapped to its most frequent label on half of them, and
scored on the other half; beside it the score that the tutorial reports, which maps and
scores on the same images. For images that did not train, RUN must be a run with
``--data.protocol holdout``.
"""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

import data
import utils
from iic_tf.datasets.splits import Protocol, Split, concatenate
from iic_tf.errors import UserError, require
from iic_tf.evaluation.metrics import accuracy, contingency, match_many_to_one
from iic_tf.evaluation.naming import name_by_labels, share_of_each
from iic_tf.tasks.cluster import ClusterTask
from iic_tf.training.stored import chosen_heads

PER_CLASS = (1, 3, 10)
FRACTIONS = (0.01, 0.02, 0.05, 0.1, 0.5, 1.0)

TICKS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)

WAYS: dict[str, bool | None] = {
    "clusters": False,
    "overclusters": True,
    "as name chooses": None,
}
"""What is named, and what ``name_by_labels`` is told."""


@dataclass(frozen=True)
class Known:
    """Soft assignments and labels of both splits.

    Attributes:
        train: Soft assignments of the images whose labels name clusters, by bank.
        train_labels: Their classes.
        test: Soft assignments of the images that are scored, by bank.
        test_labels: Their classes.
        words: Which images these are, and which have trained.
        apart: Whether those that are scored have not trained.
    """

    train: dict[str, np.ndarray]
    train_labels: np.ndarray
    test: dict[str, np.ndarray]
    test_labels: np.ndarray
    words: str
    apart: bool

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return int(max(self.train_labels.max(), self.test_labels.max())) + 1


def split_up(splits: dict[str, Split]) -> tuple[Split, Split, str]:
    """Images whose labels name, images that are scored, and what they are."""
    if {"train", "test"} <= splits.keys():
        train, test = splits["train"], splits["test"]
        for split in (train, test):
            require(split.labels is not None, "the run needs labelled images", labels=0)
        return train, test, "the test split"
    whole = concatenate([x for name, x in splits.items() if name != "unlabelled"])
    require(whole.labels is not None, "the run needs labelled images", labels=0)
    mine = share_of_each(whole.labels, 0.5, seed=0)
    return whole.take(mine), whole.take(~mine), "one half of each class (seed 0)"


def read(stored: utils.StoredRun) -> Known:
    """A finished run applied to its images."""
    options, model = stored.options, stored.model
    _, recipe, source = data.find(options.data, k=options.k, seed=options.seed)
    heads = chosen_heads(stored.folder, model)
    train, test, words = split_up(source.splits)
    apart = options.data.protocol == "holdout"
    trained = (
        "the run has trained on the train split alone, without labels"
        if apart
        else "the run has trained on all images, those that are scored too, without "
        "labels"
    )

    def assigned(split: Split) -> dict[str, np.ndarray]:
        views = recipe.views(source.image_shape, options.data.augment)
        task = ClusterTask(Protocol(split, split, words), views, source.origin)
        return task.assignments(model, options, heads=heads)

    return Known(
        assigned(train),
        train.labels,
        assigned(test),
        test.labels,
        f"{len(test.labels):,} images of {words};\n{trained}",
        apart,
    )


# ---------------------------------------------------------------------- how many labels


def some_of_each(
    labels: np.ndarray, number: int, rng: np.random.Generator
) -> np.ndarray:
    """Numbers of so many images of each class, or of all that it has."""
    members = (np.flatnonzero(labels == c) for c in np.unique(labels))
    return np.concatenate([rng.permutation(some)[:number] for some in members])


def settings(known: Known) -> dict[str, Callable[[np.random.Generator], np.ndarray]]:
    """Ways to draw labelled images, by name."""
    labels, total = known.train_labels, len(known.train_labels)
    ways: dict[str, Callable] = {}
    for number in PER_CLASS:
        ways[f"{number} per class"] = lambda rng, n=number: some_of_each(labels, n, rng)
    for share in FRACTIONS:
        size = max(int(share * total), 1)
        ways[f"{share:g} of all"] = lambda rng, n=size: rng.permutation(total)[:n]
    return ways


def score(known: Known, drawn: np.ndarray, overclusters: bool | None) -> float:
    """Accuracy on the images that are scored, of names from some labels."""
    naming = name_by_labels(
        known.train,
        drawn,
        known.train_labels[drawn],
        num_classes=known.num_classes,
        overclusters=overclusters,
    )
    found, _ = naming.apply(known.test[naming.bank])
    return float((found == known.test_labels).mean())


def measure(known: Known, draws: int) -> list[dict]:
    """One row per way to draw labels: their number, and accuracies of every draw."""
    ways = {w: asked for w, asked in WAYS.items() if "aux" in known.train or not asked}
    rows = []
    for name, draw in settings(known).items():
        numbers = [draw(np.random.default_rng(seed)) for seed in range(draws)]
        if len(numbers[0]) == len(known.train_labels):
            numbers = numbers[:1]  # all labels are the same in every draw
        accuracies = {
            way: [score(known, drawn, asked) for drawn in numbers]
            for way, asked in ways.items()
        }
        rows.append({"drawn": name, "labels": len(numbers[0]), "accuracy": accuracies})
    return rows


def show(rows: list[dict], *, title: str) -> None:
    """Prints accuracies: mean, and least to most."""
    table = Table(title=title, title_justify="left")
    table.add_column("labels drawn")
    table.add_column("labels", justify="right")
    for way in rows[0]["accuracy"]:
        table.add_column(way, justify="right")
    for row in rows:
        cells = [
            f"{np.mean(x):.4f} ({min(x):.4f} to {max(x):.4f})"
            for x in row["accuracy"].values()
        ]
        table.add_row(row["drawn"], f"{row['labels']:,}", *cells)
    Console(width=120).print(table)


def draw(rows: list[dict], path: Path, *, title: str) -> None:
    """Accuracy over the number of labels: mean of the draws, band of all of them."""
    figure = Figure(figsize=(8, 4.5), dpi=110, layout="constrained")
    axes = figure.subplots()
    rows = sorted(rows, key=lambda row: row["labels"])
    at = [row["labels"] for row in rows]
    for i, way in enumerate(w for w in rows[0]["accuracy"] if WAYS[w] is not None):
        found = [row["accuracy"][way] for row in rows]
        mean, low, high = (
            np.clip([of(x) for x in found], TICKS[0], 0.9995)
            for of in (np.mean, min, max)
        )
        axes.fill_between(at, low, high, color=f"C{i}", alpha=0.2, linewidth=0)
        axes.plot(at, mean, color=f"C{i}", marker="o", label=way)
    axes.set_xscale("log")
    axes.set_yscale("logit")
    bottom, top = axes.get_ylim()
    ticks = [tick for tick in TICKS if bottom <= tick <= top]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks(at, [f"{row['labels']:,}\n{row['drawn']}" for row in rows])
    axes.tick_params(axis="x", labelsize=6)
    axes.minorticks_off()
    axes.set_xlabel("labels")
    axes.set_ylabel("accuracy")
    axes.grid(axis="y", color="#e4e4e4", linewidth=0.7)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(title, loc="left", fontsize=9)
    axes.legend(frameon=False, loc="lower right")
    figure.savefig(path)


# ------------------------------------------------------------------- the tutorial's way


def weak(known: Known, draws: int) -> None:
    """Prints the tutorial's score, and the same without its leak."""
    soft, labels, which = known.test, known.test_labels, "that did not train"
    if not known.apart:
        soft, labels = known.train, known.train_labels
        which = "that also trained, without labels"
    clusters = soft["main"].argmax(axis=1)
    sizes = {"num_clusters": soft["main"].shape[1], "num_classes": known.num_classes}
    share = min(0.01 * len(known.train_labels) / len(labels), 1.0)
    honest, leaky, number, half = [], [], 0, 0
    for seed in range(draws):
        some = np.flatnonzero(share_of_each(labels, share, seed=seed))
        mine = share_of_each(labels[some], 0.5, seed=seed)
        mapped, scored, whole = (
            contingency(clusters[x], labels[x], **sizes)
            for x in (some[mine], some[~mine], some)
        )
        honest.append(accuracy(scored, match_many_to_one(mapped)))
        leaky.append(accuracy(whole, match_many_to_one(whole)))
        number, half = len(some), int((~mine).sum())
    print(
        f"{number:,} labelled images {which} (1 % of the train split, the same share "
        f"of each class), {draws} draws; clusters mapped to their most frequent label:"
    )
    for name, found in (
        (f"honest: mapped on half of them, scored on the other {half:,}", honest),
        (
            f"leaky, as the tutorial reports it: mapped and scored on all {number:,}",
            leaky,
        ),
    ):
        spread = f"{min(found):.4f} to {max(found):.4f}"
        print(f"{name:72} {np.mean(found):.4f} ({spread})")


def main() -> None:
    """Applies the run, names, scores, prints, draws."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument(
        "run", metavar="RUN", help="folder of a finished run, or latest"
    )
    parser.add_argument("--draws", type=int, default=20, help="draws of labels")
    parser.add_argument("--plot", type=Path, help="default: in the run folder")
    parser.add_argument("--weak", action="store_true", help="as the tutorial does")
    arguments = parser.parse_args()
    run = utils.load(arguments.run)
    known = read(run)
    if arguments.weak:
        weak(known, arguments.draws)
        return
    rows = measure(known, arguments.draws)
    show(rows, title=f"Accuracy on {known.words}; {arguments.draws} draws")
    folder = run.folder
    plot = arguments.plot or folder / "label_fraction.png"
    stored = {"scored_on": known.words, "draws": arguments.draws, "rows": rows}
    plot.with_suffix(".json").write_text(json.dumps(stored, indent=2) + "\n")
    draw(rows, plot, title=f"{folder.name}, {known.words}")
    print(f"Plot: {plot}")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"{Path(__file__).name}: error: {error}")
