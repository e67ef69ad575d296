"""How many of the pairs of neighbours show the same class?

``python benchmarks/neighbours.py --data FOLDER`` finds five neighbours of every image
in each of two ways and counts, with labels, the pairs of one class. With ``--images
FOLDER --masks FOLDER`` it does so for places in images, and says what pairs tell of
each other's class and, which is no help, of each other's brightness.
"""

import argparse
import ast
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from iic_tf.datasets.masks import IGNORE
from iic_tf.datasets.own import from_images_and_masks
from iic_tf.datasets.published import from_dir
from iic_tf.datasets.splits import Split, apply_protocol
from iic_tf.errors import UserError
from iic_tf.evaluation.metrics import contingency
from iic_tf.losses.iic import mutual_information
from iic_tf.neighbours.nearest import find_neighbours
from iic_tf.neighbours.similar_patches import (
    SPACING,
    find_similar_patches,
    square_about,
)


def of_images(split: Split, number: int) -> None:
    """Counts the pairs of images of one class."""

    def report(name: str, table: np.ndarray, seconds: float) -> None:
        same = (split.labels[table] == split.labels[:, None]).mean()
        print(
            f"{name:40s} {100 * same:5.1f} % of one class, {seconds:4.0f} s", flush=True
        )

    for kind in ("drawings", "photographs"):
        started = time.perf_counter()
        found = find_neighbours(
            split.images,
            number=number,
            seed=0,
            kind=kind,
            mirrored=kind == "photographs",
        )
        seconds = time.perf_counter() - started
        if kind == "photographs":
            report("photographs: edges, patches, mirrored", found, seconds)
        else:
            report("drawings: edges", found, seconds)


def shared(groups: np.ndarray, nearest: np.ndarray, number: int) -> tuple[float, float]:
    """What neighbours tell of each other's group in nats, and the share of like ones.

    Args:
        groups: Group of each place, ``IGNORE`` for none, shape ``(m,)``.
        nearest: Neighbours of each, shape ``(m, n)``.
        number: Groups.
    """
    mine, theirs = groups.repeat(nearest.shape[1]), groups[nearest.ravel()]
    known = (mine != IGNORE) & (theirs != IGNORE)
    table = contingency(
        mine[known], theirs[known], num_clusters=number, num_classes=number
    )
    joint = (table + table.T) / (2 * table.sum())
    return float(mutual_information(joint.astype(np.float64))), float(np.trace(joint))


def of_places(images: Split, number: int) -> None:
    """Says what pairs of places share."""
    for scenes in (False, True):
        started = time.perf_counter()
        cells = find_similar_patches(
            images.images, number=number, seed=0, scenes=scenes
        )
        seconds = time.perf_counter() - started
        places = list(zip(cells.image, *cells.middle.T, strict=True))
        classes = np.array([images.labels[i][y, x] for i, y, x in places])
        brightness = np.array(
            [
                square_about(images.images[i], np.array((y, x)), SPACING).mean()
                for i, y, x in places
            ]
        )
        shades = np.digitize(brightness, np.quantile(brightness, (0.25, 0.5, 0.75)))
        number_of_classes = int(classes[classes != IGNORE].max()) + 1
        told, same = shared(classes, cells.nearest, number_of_classes)
        of_shades, _ = shared(shades, cells.nearest, 4)
        name = "scenes" if scenes else "images"
        print(
            f"{name:10s} {100 * same:5.1f} % of one class; "
            f"{told:.2f} nats about the class, {of_shades:.2f} about four shades of "
            f"brightness; {seconds:.0f} s",
            flush=True,
        )


def main() -> None:
    """Finds, counts, prints."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", help="as --data.dir of models_iic.py")
    parser.add_argument("--images", type=Path, help="as --data.images")
    parser.add_argument("--masks", type=Path, help="as --data.masks")
    parser.add_argument("--merge", help="as --data.merge")
    parser.add_argument("--number", type=int, default=5)
    arguments = parser.parse_args()
    if (arguments.images is None) != (arguments.masks is None) or (
        (arguments.data is None) == (arguments.images is None)
    ):
        parser.error("either --data or both of --images and --masks must be given")
    if arguments.images:
        source = from_images_and_masks(
            arguments.images,
            masks=arguments.masks,
            merge=arguments.merge and ast.literal_eval(arguments.merge),
        )
        [images] = source.splits.values()
        of_places(images, arguments.number)
    else:
        source = from_dir(arguments.data, name="images")
        split = apply_protocol(source, "all", unlabelled=False).train
        of_images(split, arguments.number)


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"{Path(__file__).name}: error: {error}")
