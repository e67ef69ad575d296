"""What k-means makes of the same pixels: colours, colours and places, filters, SIFT.

``python benchmarks/kmeans_maps.py --images FOLDER --masks FOLDER --k 3 --seeds 0 1 2``
prints pixel accuracy and mean IoU after a one-to-one match of clusters and classes, on
all images, or with ``--holdout`` on those of the folder ``test``, with centres and
match from the others. ``--adapt`` gives the features of ``test`` the mean and spread
that those of the others have, as ``--report.adapt`` does within a network. Centres are
found on some of the pixels, as in the paper's baselines.
"""

import argparse
import ast
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from scipy import ndimage
from sklearn.cluster import MiniBatchKMeans

from iic_tf.datasets.masks import IGNORE
from iic_tf.datasets.own import from_images_and_masks
from iic_tf.datasets.splits import Split, concatenate
from iic_tf.errors import UserError
from iic_tf.evaluation.metrics import accuracy, class_iou, contingency, match_one_to_one

PIXELS = 400_000
"""Centres are found on so many pixels."""

SCALES = (1, 2, 4)
"""Widths of the filters in pixels."""


def colours(image: np.ndarray) -> np.ndarray:
    """The values of each pixel, ``(height, width, channels)`` in [0, 1]."""
    return image.astype(np.float32) / 255


def colours_and_places(image: np.ndarray) -> np.ndarray:
    """Values, row and column, all in [0, 1]."""
    height, width = image.shape[:2]
    rows, columns = np.mgrid[0:height, 0:width]
    places = np.stack((rows / height, columns / width), axis=-1)
    return np.concatenate((colours(image), places.astype(np.float32)), axis=-1)


def filters(image: np.ndarray) -> np.ndarray:
    """Answers of a bank: blurred colours, slopes, blobs and spread at three scales."""
    values = colours(image)
    grey = values.mean(axis=-1)
    bank = []
    for scale in SCALES:
        bank += [
            ndimage.gaussian_filter(values[..., c], scale)
            for c in range(values.shape[-1])
        ]
        for order in ((0, 1), (1, 0)):
            slope = ndimage.gaussian_filter(grey, scale, order=order)
            bank.append(ndimage.gaussian_filter(np.abs(slope), scale) * scale)
        bank.append(ndimage.gaussian_laplace(grey, scale) * scale**2)
        mean = ndimage.gaussian_filter(grey, 2 * scale)
        square = ndimage.gaussian_filter(grey**2, 2 * scale)
        bank.append(np.sqrt(np.maximum(square - mean**2, 0)))
    return np.stack(bank, axis=-1)


def sift(image: np.ndarray, *, cell: int = 4) -> np.ndarray:
    """Dense SIFT at every pixel: 4×4 cells of eight directions, 128 numbers, length 1.

    Args:
        image: uint8, shape ``(height, width, channels)``.
        cell: Side of a cell in pixels.
    """
    grey = colours(image).mean(axis=-1)
    down, right = np.gradient(ndimage.gaussian_filter(grey, 1))
    rise = np.hypot(down, right)
    turns = np.arctan2(down, right) / (2 * np.pi) * 8
    cells = []
    for direction in range(8):
        apart = np.abs(turns - direction)
        apart = np.minimum(apart, 8 - apart)
        weighted = rise * np.maximum(0, 1 - np.abs(apart))
        cells.append(ndimage.uniform_filter(weighted, cell))
    summed = np.stack(cells, axis=-1)
    offsets = (np.arange(4) - 1.5) * cell
    found = np.concatenate(
        [
            ndimage.shift(summed, (-y, -x, 0), order=0, mode="nearest")
            for y in offsets
            for x in offsets
        ],
        axis=-1,
    )
    length = np.linalg.norm(found, axis=-1, keepdims=True)
    found = np.minimum(found / np.maximum(length, 1e-6), 0.2)
    return found / np.maximum(np.linalg.norm(found, axis=-1, keepdims=True), 1e-6)


Describe = Callable[[np.ndarray], np.ndarray]
"""Of an image, ``(height, width, channels)``, to numbers of each of its pixels."""

FEATURES: dict[str, Describe] = {
    "colours": colours,
    "colours and places": colours_and_places,
    "filter bank": filters,
    "dense SIFT": sift,
}


def scaled(describe: Describe, mean: np.ndarray, spread: np.ndarray) -> Describe:
    """The same numbers less their mean, in units of their spread."""
    return lambda image: (describe(image) - mean) / spread


def sample(images: Split, describe: Describe) -> np.ndarray:
    """Numbers of some ``PIXELS`` pixels, ``(pixels, d)``."""
    each = PIXELS // len(images.images)
    rng = np.random.default_rng(0)
    some = []
    for image in images.images:
        found = describe(image)
        found = found.reshape(-1, found.shape[-1])
        some.append(found[rng.choice(len(found), min(each, len(found)), False)])
    return np.concatenate(some)


def count(
    models: Sequence[MiniBatchKMeans],
    images: Split,
    describe: Describe,
    *,
    k: int,
) -> np.ndarray:
    """Pixels of each cluster and class, for each model, ``(models, k, k)``."""
    tables = np.zeros((len(models), k, k), np.int64)
    for image, truth in zip(images.images, images.labels or (), strict=True):
        known = truth != IGNORE
        points = describe(image)[known]
        for table, model in zip(tables, models, strict=True):
            clusters = model.predict(points)
            table += contingency(clusters, truth[known], num_clusters=k, num_classes=k)
    return tables


def main() -> None:
    """Clusters and prints."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--masks", type=Path, required=True)
    parser.add_argument("--merge", help="as --data.merge of models_iic.py")
    parser.add_argument("--ignore", type=int, default=IGNORE)
    parser.add_argument("--channels", type=int, choices=(1, 3, 4), help="4: infrared")
    parser.add_argument("--k", type=int, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--holdout", action="store_true", help="score the folder test")
    parser.add_argument("--adapt", action="store_true", help="to the folder test")
    parser.add_argument("--features", nargs="+", choices=FEATURES, default=[*FEATURES])
    arguments = parser.parse_args()
    try:
        merge = arguments.merge and ast.literal_eval(arguments.merge)
    except (SyntaxError, ValueError):
        parser.error(f"--merge must be a list of classes, not {arguments.merge}")
    source = from_images_and_masks(
        arguments.images,
        masks=arguments.masks,
        ignore=arguments.ignore,
        merge=merge,
        channels=arguments.channels,
        split=arguments.holdout,
    )
    splits = dict(source.splits)
    test = splits.pop("test", None)
    if test is None and arguments.adapt:
        parser.error("--adapt needs --holdout")
    train = concatenate(list(splits.values()))
    if train.labels is None or (test is not None and test.labels is None):
        parser.error("--masks must have label maps for every folder of --images")
    labels = [*(train.labels or ()), *(test.labels or () if test else ())]
    highest = max(int(known.max()) for x in labels if (known := x[x != IGNORE]).size)
    if highest >= arguments.k:
        parser.error(f"--k must be at least the {highest + 1} classes of the masks")
    for name in arguments.features:
        describe = FEATURES[name]
        points = sample(train, describe)
        if describe is filters:  # which differ in their units
            mean, spread = points.mean(axis=0), points.std(axis=0)
            describe = scaled(describe, mean, spread)
            points = (points - mean) / spread
        models = [
            MiniBatchKMeans(
                arguments.k, n_init=5, batch_size=10_000, random_state=seed
            ).fit(points)
            for seed in arguments.seeds
        ]
        scored = mapped = count(models, train, describe, k=arguments.k)
        if test:
            if arguments.adapt:
                others = sample(test, describe)
                ratio = others.std(axis=0) / points.std(axis=0)
                shift = others.mean(axis=0) - points.mean(axis=0) * ratio
                describe = scaled(describe, shift, ratio)
            scored = count(models, test, describe, k=arguments.k)
        told = []
        for seen, table in zip(mapped, scored, strict=True):
            mapping = match_one_to_one(seen)
            iou = np.nanmean(class_iou(table, mapping))
            told.append(f"{accuracy(table, mapping):.4f} / {iou:.4f}")
        print(
            f"k-means on {name}: accuracy / mean IoU {', '.join(told)}",
            flush=True,
        )


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"{Path(__file__).name}: error: {error}")
