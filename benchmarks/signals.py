"""Vectors and series: clusters by IIC beside k-means, on data sets with known classes.

``python benchmarks/signals.py --series FOLDER`` takes scikit-learn's digits as vectors
of 64 numbers, and every data set of series in FOLDER: folders with ``NAME_TRAIN.ts``
and ``NAME_TEST.ts`` in the format of timeseriesclassification.com, of one length each.
The wheel of the package aeon has some: ``pip download --no-deps aeon``, then ``unzip``;
they are in ``aeon/datasets/data``. Labels only score.
"""

import argparse
import re
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.preprocessing import StandardScaler

from iic_tf import ImageClusterer
from iic_tf.evaluation.metrics import accuracy, contingency, match_one_to_one


def read_series(path: Path) -> tuple[np.ndarray, list[str]]:
    """Series and classes of a .ts file.

    Args:
        path: Lines of channels separated by colons, the class last.

    Returns:
        Numbers of shape ``(n, t, channels)``, and n classes.
    """
    lines = [x for x in path.read_text().splitlines() if x and x[0] not in "#@"]
    rows = [line.split(":") for line in lines]
    series = [
        [[float(x) for x in part.split(",")] for part in row[:-1]] for row in rows
    ]
    return np.moveaxis(np.array(series, np.float32), 1, 2), [row[-1] for row in rows]


def data_sets(folder: Path | None) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Examples and classes by name."""
    digits = load_digits()
    found = {"digits": (digits.data.astype(np.float32), digits.target)}
    for place in sorted(folder.iterdir()) if folder else []:
        parts = [place / f"{place.name}_{part}.ts" for part in ("TRAIN", "TEST")]
        if all(part.is_file() for part in parts):
            both = [read_series(part) for part in parts]
            classes = np.unique([*both[0][1], *both[1][1]], return_inverse=True)[1]
            found[place.name] = (np.concatenate([x for x, _ in both]), classes)
    return found


def error(clusters: np.ndarray, classes: np.ndarray) -> float:
    """One-to-one error."""
    k = int(max(clusters.max(), classes.max())) + 1
    table = contingency(clusters, classes, num_clusters=k, num_classes=k)
    return 1 - accuracy(table, match_one_to_one(table))


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--series", type=Path, help="folder of .ts data sets")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", help="names; all if not given")
    arguments = parser.parse_args()
    table = Table(box=None)
    headings = ["data set", "n, shape, k", "iic_tf"]
    headings += ["k-means", "k-means, standardised", "seconds each"]
    for heading in headings:
        table.add_column(heading)
    for name, (x, classes) in data_sets(arguments.series).items():
        if arguments.only and not re.fullmatch("|".join(arguments.only), name):
            continue
        k, ours = int(classes.max()) + 1, []
        flat = x.reshape(len(x), -1)
        began = time.perf_counter()
        for seed in arguments.seeds:
            kind = "vectors" if x.ndim == 2 else "series"
            mine = ImageClusterer(k, kind=kind, random_state=seed).fit(x)
            ours.append(error(mine.labels_, classes))
        seconds = (time.perf_counter() - began) / len(arguments.seeds)
        theirs = [
            [
                error(KMeans(k, n_init=10, random_state=s).fit_predict(z), classes)
                for s in arguments.seeds
            ]
            for z in (flat, StandardScaler().fit_transform(flat))
        ]
        table.add_row(
            name,
            f"{len(x):,}, {'×'.join(map(str, x.shape[1:]))}, {k}",
            *(", ".join(f"{e:.3f}" for e in errors) for errors in (ours, *theirs)),
            f"{seconds:.0f}",
        )
        Console(width=120).print(table)


if __name__ == "__main__":
    main()
