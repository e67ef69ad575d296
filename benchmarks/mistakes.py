"""Could the most frequent mistakes of a run be put right without labels?

``python benchmarks/mistakes.py RUN`` takes the most frequent mistakes of a finished run
(images of one class that were put with another) and looks up the ten nearest neighbours
of these images, found as the run finds them. For each kind of mistake it prints how
many images make it, and which share of their neighbours makes the same mistake, is of
their class otherwise, and is of the other class. Where most make the same mistake, and
as many of the rest are of the other class as of their own, the images are an island,
and nothing but a label says where it belongs. Labels only score.
"""

import argparse
import csv
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from commands.loading import load
from commands.parsing import parse_words
from iic_tf.errors import UserError
from iic_tf.run_folder import ASSIGNMENTS_FILE, OPTIONS_FILE, read_options

NEIGHBOURS = 10


def shares(
    nearest: np.ndarray,
    labels: np.ndarray,
    predicted: np.ndarray,
    kind: tuple[str, str],
) -> tuple[float, float, float]:
    """Who the neighbours of the images are that make one kind of mistake.

    Args:
        nearest: Numbers of the neighbours of each image, shape ``(n, number)``.
        labels: True class of each image, shape ``(n,)``.
        predicted: Class of its cluster, shape ``(n,)``.
        kind: The true class and the other one.

    Returns:
        The shares, from 0 to 1, of neighbours that make the same mistake, that are of
        the true class otherwise, and that are of the other class.

    Examples:
        >>> nearest = np.array([[1, 2], [0, 3], [3, 3], [2, 2]])
        >>> labels = np.array(["1", "1", "1", "2"])
        >>> shares(nearest, labels, np.array(["2", "2", "1", "2"]), ("1", "2"))
        (0.5, 0.25, 0.25)
    """
    wrong = (labels == kind[0]) & (predicted == kind[1])
    theirs = nearest[wrong]
    same = wrong[theirs]
    rest = (labels[theirs] == kind[0]) & ~same
    other = labels[theirs] == kind[1]
    return float(same.mean()), float(rest.mean()), float(other.mean())


def main(words: Sequence[str] | None = None) -> None:
    """Prints a line for each kind of mistake."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument("--kinds", type=int, default=5, help="so many kinds")
    given = parser.parse_args(words)
    with open(given.run / ASSIGNMENTS_FILE, newline="") as file:
        rows = list(csv.DictReader(file))
    stored = read_options(given.run / OPTIONS_FILE)
    loaded = load(parse_words([], over=stored), train=False)
    if not rows or "predicted" not in rows[0]:
        raise UserError(f"the images of {given.run} have no labels")
    if len(rows) != len(loaded.task.images):
        raise UserError("the run must score the images that trained it")
    labels = np.array([row["label"] for row in rows])
    predicted = np.array([row["predicted"] for row in rows])
    nearest = loaded.task.neighbours(NEIGHBOURS, seed=loaded.options.seed)
    wrong = labels != predicted
    kinds = Counter(zip(labels[wrong], predicted[wrong], strict=True))
    print(f"{wrong.sum():,} of {len(rows):,} images are wrong, {wrong.mean():.2%}")
    for kind, number in kinds.most_common(given.kinds):
        same, rest, other = shares(nearest, labels, predicted, kind)
        print(
            f"{' in place of '.join(kind[::-1])}: {number:,} images, "
            f"{number / len(rows):.2%}; neighbours: same mistake {same:.2f}, otherwise "
            f"of their class {rest:.2f}, of the other {other:.2f}"
        )


if __name__ == "__main__":
    main()
