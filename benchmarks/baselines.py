"""What needs no training of a network makes of the same images: k-means and spectral.

``python benchmarks/baselines.py --folder FOLDER --k 10`` reads a folder as
``models_iic.py --data.folder`` does, ``--data FOLDER`` a published data set as
``--data.dir`` does, and prints errors (one-to-one) and NMI of

- k-means on pixels, on 50 principal components, the same whitened, on histograms of
  oriented gradients, and on each description that neighbours are found by;
- spectral clustering of our own neighbour graph, as scikit-learn would do it (k
  eigenvectors, k-means), and as ``--method spectral`` does.

All of seeds 0 to 2. Of each graph it also prints what a group tells about that of a
neighbour, in nats, for the groups of ``--method spectral`` and for the true classes:
where the classes tell less, they are not what the objective looks for. Labels only
score.
"""

import argparse
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA

from iic_tf.datasets.image_folder import read_folder
from iic_tf.datasets.published import from_dir
from iic_tf.datasets.splits import apply_protocol, renumbered
from iic_tf.errors import UserError
from iic_tf.evaluation.metrics import clustering_scores, contingencies
from iic_tf.neighbours.nearest import (
    Kind,
    describe,
    find_neighbours,
    orientation_histograms,
)
from iic_tf.neighbours.spectral import choose_kind, embed, join, told
from iic_tf.report.console import at_work
from iic_tf.tuned import GRAPH_NEIGHBOURS

COMPONENTS, PART = 50, 500


def read(arguments: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    """Images, uint8, and their classes."""
    if arguments.data:
        source = from_dir(arguments.data, name="images")
        source = renumbered(source, source.class_names)
        split = apply_protocol(source, "all", unlabelled=False).train
        return split.images, split.labels
    read = read_folder(Path(arguments.folder), side=arguments.size)
    names = [Path(path).parent.name for path in read.paths]
    return read.images, np.unique(names, return_inverse=True)[1]


def spaces(images: np.ndarray, *, middle: bool) -> dict[str, np.ndarray]:
    """Points of all images, by what k-means is to see.

    Args:
        images: uint8, shape ``(n, height, width, channels)``.
        middle: Whether descriptions in which the middle counts most are among it.
    """
    pixels = images.reshape(len(images), -1).astype(np.float32) / 255
    components = min(COMPONENTS, *pixels.shape)
    reduced = PCA(components, random_state=0).fit_transform(pixels)
    parts = np.array_split(images, -(-len(images) // PART))
    some = np.random.default_rng(0).permutation(images)[:5000]
    found = {
        "pixels": pixels,
        f"{components} principal components": reduced,
        "the same, whitened": reduced / reduced.std(axis=0),
        "HOG": np.concatenate([orientation_histograms(part) for part in parts]),
    }
    for name, kind in (
        ("edges alone", "drawings"),
        ("edges and patches", "photographs"),
        ("patches and tones", "tones"),
    ):
        for so in (False, True)[: 1 + middle]:
            described = describe(some, seed=0, kind=kind, middle=so)
            points = np.concatenate([described(part) for part in parts])
            found[name + ", the middle first" * so] = points
    return found


def finder(images: np.ndarray, kind: Kind, **how: bool) -> Callable[[int], np.ndarray]:
    """What ``join`` asks for neighbours; finds no number of them twice."""

    @cache
    def find(number: int) -> np.ndarray:
        return find_neighbours(images, number=number, seed=0, kind=kind, **how)

    return find


def main() -> None:
    """Clusters and prints."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--folder", help="as --data.folder, with a folder per class")
    where.add_argument("--data", help="as --data.dir")
    parser.add_argument("--size", type=int, default=32, help="side of the images")
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    with at_work("reading images"):
        images, labels = read(arguments)

    def report(name: str, of_seeds: list[np.ndarray], seconds: float) -> None:
        scores = [
            clustering_scores(
                contingencies(
                    clusters[:, None],
                    labels,
                    num_clusters=arguments.k,
                    num_classes=int(labels.max()) + 1,
                )
            )
            for clusters in of_seeds
        ]
        errors = ", ".join(f"{1 - score['one-to-one'][0]:.4f}" for score in scores)
        shared = ", ".join(f"{score['NMI'][0]:.3f}" for score in scores)
        print(f"{name:50} error {errors}  NMI {shared}  {seconds:4.0f} s", flush=True)

    mirrored = images.shape[-1] == 3
    with at_work("choosing a description"):
        chosen = choose_kind(images, k=arguments.k, mirrored=mirrored, seed=0)
    print(f"chosen: {chosen.kind}{', the middle first' * chosen.middle}", flush=True)
    with at_work("describing images"):
        described = spaces(images, middle=chosen.middle)
    for name, points in described.items():
        began = time.perf_counter()
        with at_work(f"running k-means on {name}"):
            of_seeds = [
                KMeans(arguments.k, n_init=10, random_state=seed).fit_predict(points)
                for seed in arguments.seeds
            ]
        report(f"k-means on {name}", of_seeds, time.perf_counter() - began)

    for kind in ("drawings", "photographs", "tones"):
        began = time.perf_counter()
        find = finder(images, kind, mirrored=mirrored, middle=chosen.middle)
        plain, ours, tell = [], [], []
        with at_work(f"finding neighbours of {kind} and their groups"):
            for seed in arguments.seeds:
                joined = join(
                    find,
                    at_least=GRAPH_NEIGHBOURS,
                    k=arguments.k,
                    k_aux=5 * arguments.k,
                    seed=seed,
                )
                vectors, _ = embed(joined.graph, arguments.k, seed=seed)
                means = KMeans(arguments.k, n_init=10, random_state=seed)
                plain.append(means.fit_predict(vectors))
                ours.append(joined.groups.clusters)
                tell.append(f"{joined.groups.information:.2f}")
        seconds = time.perf_counter() - began
        mark = " (chosen)" if kind == chosen.kind else ""
        report(f"graph of {kind}{mark}, spectral", plain, seconds)
        report(f"graph of {kind}{mark}, --method spectral", ours, seconds)
        of_classes = told(joined.graph, labels, int(labels.max()) + 1)
        name = f"graph of {kind}{mark}, nats about neighbours"
        print(
            f"{name:50} groups {', '.join(tell)}  classes {of_classes:.2f}  "
            f"({joined.nearest.shape[1]} neighbours of each)",
            flush=True,
        )


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"{Path(__file__).name}: error: {error}")
