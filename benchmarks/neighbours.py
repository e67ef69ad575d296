"""How many of the pairs of neighbours show the same class?

``python benchmarks/neighbours.py --data FOLDER`` finds five neighbours of every image
in each of two ways and counts, with labels, the pairs of one class. With ``--images
FOLDER --masks FOLDER`` it does so for places in images, and says what pairs tell of
each other's class and, which is no help, of each other's brightness. With ``--runs RUN
...`` it compares, for finished runs, neighbours by appearance, those by the features of
the network, and those by both graphs fused: pairs of one class, and errors of the
groups of each graph.
"""

import argparse
import ast
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from commands.loading import load
from commands.parsing import parse_words
from iic_tf.datasets.masks import IGNORE
from iic_tf.datasets.own import from_images_and_masks
from iic_tf.datasets.published import from_dir
from iic_tf.datasets.splits import Split, apply_protocol
from iic_tf.errors import UserError
from iic_tf.evaluation.inference import features_of
from iic_tf.evaluation.metrics import contingencies, contingency, matched_errors
from iic_tf.losses.iic import mutual_information
from iic_tf.neighbours.fusing import fuse
from iic_tf.neighbours.nearest import feature_neighbours, find_neighbours
from iic_tf.neighbours.similar_patches import (
    SPACING,
    find_similar_patches,
    square_about,
)
from iic_tf.neighbours.spectral import neighbour_graph, spectral_groups
from iic_tf.run_folder import OPTIONS_FILE, read_options
from iic_tf.training.stored import load_model
from iic_tf.tuned import FUSED, GRAPH_NEIGHBOURS

MOST, SEEDS = 10_000, range(3)
"""Images of a run that are compared at most, and seeds of the groups."""


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


def of_run(folder: Path) -> None:
    """Says how pure the graphs of a run are, and what errors their groups have."""
    loaded = load(
        parse_words([], over=read_options(folder / OPTIONS_FILE)), train=False
    )
    task, k = loaded.task, loaded.options.k
    whole = task.protocol.train
    if whole.labels is None:
        raise UserError(f"the images of the run {folder} must have labels")
    chosen = np.linspace(0, len(whole.images) - 1, min(MOST, len(whole.images)))
    images, labels = (x[chosen.astype(int)] for x in (whole.images, whole.labels))
    number = {"number": GRAPH_NEIGHBOURS, "seed": 0}
    how = {"kind": task.kind, "mirrored": task.mirrored, "middle": task.middle}
    appearance = neighbour_graph(find_neighbours(images, **number, **how))
    features = features_of(load_model(folder), images, task.views)
    by_features = neighbour_graph(feature_neighbours(features, **number))
    graphs = {
        "appearance": appearance,
        "features": by_features,
        "added": appearance + by_features,
        "fused": fuse(appearance, by_features, number=FUSED * GRAPH_NEIGHBOURS),
    }
    print(folder.name, flush=True)
    for name, graph in graphs.items():
        edges = graph.tocoo()
        same = np.average(labels[edges.row] == labels[edges.col], weights=edges.data)
        found = [
            spectral_groups(graph, k=k, k_aux=5 * k, seed=s).clusters for s in SEEDS
        ]
        errors = matched_errors(
            contingencies(
                np.stack(found, axis=1),
                labels,
                num_clusters=k,
                num_classes=int(labels.max()) + 1,
            )
        )
        errors = ", ".join(f"{error:.3f}" for error in errors)
        pure = f"{100 * same:5.1f} % of one class"
        print(f"  {name:12} {pure}, groups: {errors}", flush=True)


def main() -> None:
    """Finds, counts, prints."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", help="as --data.dir of models_iic.py")
    parser.add_argument("--images", type=Path, help="as --data.images")
    parser.add_argument("--masks", type=Path, help="as --data.masks")
    parser.add_argument("--merge", help="as --data.merge")
    parser.add_argument("--runs", type=Path, nargs="+", help="finished runs")
    parser.add_argument("--number", type=int, default=5)
    arguments = parser.parse_args()
    if arguments.runs:
        for folder in arguments.runs:
            of_run(folder)
        return
    if (arguments.images is None) != (arguments.masks is None) or (
        (arguments.data is None) == (arguments.images is None)
    ):
        parser.error("--data, both of --images and --masks, or --runs must be given")
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
