"""Nearest neighbours of images, found once before training from pixels alone.

Two images with the same strokes in the same places show the same thing more often than
a network in its first hundred steps can know. Pairing an image with a neighbour instead
of with itself goes beyond plain IIC; like plain IIC it uses no label
(``docs/convergence.md``).
"""

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Literal

import numpy as np
import tensorflow as tf
from sklearn.utils.extmath import randomized_svd
from threadpoolctl import threadpool_limits

from iic_tf.arithmetic import sums_in_one_order
from iic_tf.distribute import multiplies_bfloat16
from iic_tf.neighbours.patches import (
    KINDS,
    REGIONS,
    learn_patches,
    patch_histograms,
    triangles,
)
from iic_tf.tuned import COMPONENTS, MIDDLE

MAX_CANDIDATES = 70_000
"""Neighbours are looked for among at most so many images: time grows with n, not n²."""

FEATURE_COMPONENTS = 64
"""Components that the features of a network are brought to, at most."""

PART = 250
"""Images that a thread describes at a time."""

MAX_FITTED = 5_000
"""Components are found from so many images at most."""

MAX_PIXELS = 100_000_000
"""Likewise from images of so many pixels together, or from 500 images."""

MAX_SIMILARITIES = 50_000_000
"""Pairs of images compared at a time: 200 MB."""

MAX_ROWS = 1_000
"""Images that are compared with candidates at a time, at most."""

BLOCK = 64
"""Candidates whose best one is found first."""

CHECKED = 2
"""So many times as many candidates as are wanted are compared exactly."""

ROUGH_FROM, TRIED, FOUND = 10_000, 200, 0.999
"""From ``ROUGH_FROM`` candidates on rough products save time. They are used if, for
``TRIED`` images, they find the share ``FOUND`` of the exact neighbours."""

CELLS, ORIENTATIONS = 7, 8
"""Cells along each side of an image, and directions told apart in each cell."""


def orientation_histograms(images: np.ndarray) -> np.ndarray:
    """Where in an image grey values rise, in which direction and by how much.

    Histograms of oriented gradients (Dalal and Triggs, 2005) without their
    normalisation of blocks, which made neighbours of digits, clothes and photographs
    worse, and with square roots: the scalar product of two results is the overlap of
    the histograms (Bhattacharyya's coefficient), in which no single edge dominates.

    Args:
        images: uint8, shape ``(n, height, width, channels)``; channels are averaged.

    Returns:
        float32, shape ``(n, CELLS * CELLS * ORIENTATIONS)``.

    Examples:
        >>> from iic_tf.neighbours.nearest import orientation_histograms
        >>> images = np.zeros((1, 28, 28, 1), np.uint8)
        >>> images[:, :, 14:] = 255  # grey values rise to the right
        >>> found = orientation_histograms(images).reshape(7, 7, 8)
        >>> int(found.sum(axis=(0, 1)).argmax()), np.unique(found.nonzero()[1]).tolist()
        (0, [2, 3, 4])
    """
    grey = images.mean(axis=3, dtype=np.float32) / 255.0
    edged = np.pad(grey, ((0, 0), (1, 1), (1, 1)), mode="edge")
    down = edged[:, 2:, 1:-1] - edged[:, :-2, 1:-1]
    right = edged[:, 1:-1, 2:] - edged[:, 1:-1, :-2]
    rise = np.hypot(right, down)
    turns = np.arctan2(down, right) / (2 * np.pi) * ORIENTATIONS  # in [-4, 4]
    rows, columns = (triangles(side, CELLS) for side in images.shape[1:3])
    histograms = []
    for i in range(ORIENTATIONS):
        apart = np.abs(turns - i)
        apart = np.minimum(apart, ORIENTATIONS - apart)
        weighted = rise * np.maximum(0, 1 - np.abs(apart))
        histograms.append(rows.T @ weighted @ columns)
    return np.sqrt(np.stack(histograms, axis=-1)).reshape(len(images), -1)


def pixel_values(images: np.ndarray) -> np.ndarray:
    """Pixels in [0, 1], float32, shape ``(n, height * width * channels)``.

    Examples:
        >>> from iic_tf.neighbours.nearest import pixel_values
        >>> images = np.array([[[[0], [255]]]], np.uint8)
        >>> print(pixel_values(images))
        [[0. 1.]]
    """
    return images.reshape(len(images), -1).astype(np.float32) / 255.0


def standardised(features: np.ndarray, some: np.ndarray) -> np.ndarray:
    """Vectors, or series laid out as vectors, with features of like spread.

    Args:
        features: Shape ``(n, d)`` or ``(n, t, channels)``.
        some: Others of them, which tell mean and standard deviation.

    Returns:
        float32, shape ``(n, d)`` or ``(n, t * channels)``.

    Examples:
        >>> from iic_tf.neighbours.nearest import standardised
        >>> features = np.array([[0, 10], [2, 30]], np.float32)
        >>> print(standardised(features, features))
        [[-1. -1.]
         [ 1.  1.]]
    """
    axes = tuple(range(some.ndim - 1))
    spread = some.std(axis=axes)
    # what hardly varies is not blown up
    spread = np.maximum(spread, max(0.1 * float(spread.max()), 1e-6))
    return ((features - some.mean(axis=axes)) / spread).reshape(len(features), -1)


def magnitudes(series: np.ndarray, some: np.ndarray) -> np.ndarray:
    """How strong each frequency is in series, wherever in time.

    Args:
        series: Shape ``(n, t, channels)``.
        some: See ``standardised``.

    Returns:
        float32, shape ``(n, (t // 2 + 1) * channels)``.

    Examples:
        >>> from iic_tf.neighbours.nearest import magnitudes
        >>> turns = np.arange(16) / 16
        >>> series = np.stack([np.sin(6 * np.pi * turns), np.cos(6 * np.pi * turns)])
        >>> found = magnitudes(series[..., None], series[..., None])
        >>> found.argmax(axis=1).tolist()  # three turns, wherever they begin
        [3, 3]
    """
    level = standardised(series, some).reshape(series.shape)
    spectrum = np.abs(np.fft.rfft(level, axis=1))
    return np.log1p(spectrum).astype(np.float32).reshape(len(series), -1)


def _unit(points: np.ndarray) -> np.ndarray:
    """Rows brought to length 1."""
    return points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-6)


Describe = Callable[[np.ndarray], np.ndarray]
"""From images to their points, one row each."""

Kind = Literal["drawings", "photographs", "tones", "vectors", "series"]
"""By what images are compared: drawings by the directions of their edges, photographs
by edges and small patches, tones by small patches and by colour and brightness. Vectors
are compared as they are, series also by their frequencies."""

PARTS: dict[Kind, tuple[str, ...]] = {
    "drawings": ("edges",),
    "photographs": ("edges", "patches"),
    "tones": ("patches", "pixels"),
    "vectors": ("numbers",),
    "series": ("numbers", "frequencies"),
}
"""The descriptions that stand side by side."""


def middle_weights(rows: int, columns: int) -> np.ndarray:
    """How much places of an image count where what is in the middle counts most.

    Whoever takes a photograph points the camera at what is to be seen, and whoever cuts
    out letters or cells centres them; what reaches the border is mostly background.

    Args:
        rows: Of places.
        columns: Likewise.

    Returns:
        exp(-(r / ``MIDDLE``)²) at a distance of r half sides from the middle, float32,
        shape ``(rows, columns)``.

    Examples:
        >>> from iic_tf.neighbours.nearest import middle_weights
        >>> print(middle_weights(3, 3).round(2))
        [[0.41 0.64 0.41]
         [0.64 1.   0.64]
         [0.41 0.64 0.41]]
    """
    down, across = ((2 * np.arange(n) + 1) / n - 1 for n in (rows, columns))
    squares = down[:, None] ** 2 + across**2
    return np.exp(-squares / MIDDLE**2).astype(np.float32)


def _from_middle(described: Describe, rows: int, columns: int) -> Describe:
    """A description, place by place, in which those in the middle count most."""
    weights = middle_weights(rows, columns).reshape(-1, 1)

    def weighted(images: np.ndarray) -> np.ndarray:
        places = described(images).reshape(len(images), len(weights), -1)
        return (weights * places).reshape(len(images), -1)

    return weighted


def _num_fitted(candidates: int, pixels: int) -> int:
    """Images enough to tell in which directions images of so many numbers differ."""
    return min(candidates, MAX_FITTED, max(MAX_PIXELS // pixels, 500))


def _num_components(fitted: int, width: int) -> int:
    """Components that a description of so many numbers is brought to."""
    # of few images many components, scaled, would tell each image from all others
    return min(COMPONENTS, -(-fitted // 10), width)


def _some(images: np.ndarray, candidates: np.ndarray, *, seed: int) -> np.ndarray:
    """Candidates enough to tell in which directions images differ, in their order."""
    number = _num_fitted(len(candidates), images[0].size)
    chosen = np.random.default_rng(seed).permutation(candidates)[:number]
    return images[np.sort(chosen)]


def _half_whitened(describe: Describe, some: np.ndarray, *, seed: int) -> Describe:
    """Components of a description's direction, seen from the mean image, at length 1.

    Each is divided by the root of its standard deviation: what few images have tells
    more than what many have.
    """
    fitted = _unit(_points(describe, some))
    mean = fitted.mean(axis=0)
    components = _num_components(*fitted.shape)
    _, scales, axes = randomized_svd(fitted - mean, components, random_state=seed)
    # noise is not amplified, and images all alike have no direction at all
    axes = axes.T / np.sqrt(np.maximum(scales, max(1e-3 * scales[0], 1e-6)))
    return lambda images: _unit((_unit(describe(images)) - mean) @ axes)


def _points(describe: Describe, images: np.ndarray) -> np.ndarray:
    parts = np.array_split(images, -(-len(images) // PART))
    # threads of NumPy's products would be in the way of these
    alone = threadpool_limits(1, user_api="blas")
    with alone, ThreadPoolExecutor(os.cpu_count()) as pool:
        return np.concatenate(list(pool.map(describe, parts)))


def _fit(part: str, some: np.ndarray, *, seed: int, middle: bool) -> Describe:
    """One of the descriptions that ``PARTS`` names, see ``describe``."""
    found: Describe
    places: tuple[int, ...] = ()  # of vectors and series there are none
    if part == "edges":
        found, places = orientation_histograms, (CELLS, CELLS)
    elif part == "patches":
        found = partial(patch_histograms, patches=learn_patches(some, seed=seed))
        places = (REGIONS, REGIONS)
    elif part == "pixels":
        found, places = pixel_values, some.shape[1:3]
    elif part == "numbers":
        found = partial(standardised, some=some)
    else:
        found = partial(magnitudes, some=some)
    if middle and places:
        found = _from_middle(found, *places)
    return _half_whitened(found, some, seed=seed)


def _alike(some: tf.Tensor, spaces: list[tf.Tensor]) -> tf.Tensor:
    """Scalar products with the candidates, or with their mirror images."""
    products = [tf.matmul(some, space, transpose_b=True) for space in spaces]
    return tf.maximum(*products) if len(products) == 2 else products[0]


@tf.function(autograph=False, reduce_retracing=True)
def _nearest_of(
    some: tf.Tensor, spaces: list[tf.Tensor], first: list[tf.Tensor], number: tf.Tensor
) -> Any:
    """The candidates that are nearest to some points, the nearest first.

    Sorting all candidates of every image would take ten times as long as comparing
    them. The nearest lie in those blocks of candidates whose best ones are the best,
    and roughly rounded products tell which candidates are worth exact ones.

    Args:
        some: Points, shape ``(b, d)``.
        spaces: Points of the candidates, shape ``(m, d)``, and perhaps those of their
            mirror images.
        first: The same, perhaps in bfloat16, with zeros up to a multiple of ``BLOCK``.
        number: How many are wanted, at most m.

    Returns:
        int32, shape ``(b, number)``.
    """
    m, b = tf.shape(spaces[0])[0], tf.shape(some)[0]
    alike = _alike(tf.cast(some, first[0].dtype), first)
    if alike.dtype == tf.bfloat16:
        # Positive floats are ordered as their bits are, which are compared faster.
        # Negative ones lose their order, which matters only if fewer blocks than are
        # wanted hold a positive one.
        alike = tf.bitcast(alike, tf.int16)
    blocks = tf.reshape(alike, (b, -1, BLOCK))
    checked = CHECKED * number
    _, best = tf.math.top_k(
        tf.cast(tf.reduce_max(blocks, axis=2), tf.float32),
        tf.minimum(checked, tf.shape(blocks)[1]),
    )
    inside = tf.gather(blocks, best, batch_dims=1)
    if inside.dtype == tf.int16:
        inside = tf.bitcast(inside, tf.bfloat16)
    numbers = tf.reshape(best[..., None] * BLOCK + tf.range(BLOCK), (b, -1))
    values = tf.reshape(tf.cast(inside, tf.float32), (b, -1))
    values = tf.where(numbers < m, values, -np.inf)
    places = tf.math.top_k(values, tf.minimum(checked, m))[1]
    numbers = tf.gather(numbers, places, batch_dims=1)
    exact = [
        tf.einsum("bd,bcd->bc", some, tf.gather(space, numbers)) for space in spaces
    ]
    values = tf.maximum(*exact) if len(exact) == 2 else exact[0]
    return tf.gather(numbers, tf.math.top_k(values, number)[1], batch_dims=1)


def _rows_at_once(candidates: int, *, wanted: int, width: int) -> int:
    """Images that are compared with all candidates at a time.

    Args:
        candidates: How many there are.
        wanted: Neighbours of each image that are wanted, and the image itself.
        width: Numbers that describe a point.
    """
    most = MAX_SIMILARITIES // max(candidates, CHECKED * wanted * width)
    return min(max(most, 1), MAX_ROWS)


def _padded(space: tf.Tensor) -> tf.Tensor:
    """Points with zeros up to a multiple of ``BLOCK``."""
    return tf.pad(space, ((0, -len(space) % BLOCK), (0, 0)))


def _compared_first(
    points: np.ndarray, spaces: list[tf.Tensor], number: tf.Tensor
) -> list[tf.Tensor]:
    """What points are compared with first: in bfloat16 if that costs no neighbours.

    Where all are close together, as vectors of few features are, it would: products
    that differ by less than 1/256 are rounded to the same.
    """
    exact = [_padded(space) for space in spaces]
    on_gpu = bool(tf.config.list_logical_devices("GPU"))
    if len(spaces[0]) < ROUGH_FROM or on_gpu or not multiplies_bfloat16():
        return exact
    rough = [tf.cast(space, tf.bfloat16) for space in exact]
    some = tf.constant(points[:: -(-len(points) // TRIED)])
    true, found = (
        _nearest_of(some, spaces, first, number).numpy() for first in (exact, rough)
    )
    same = (true[:, :, None] == found[:, None]).any(axis=2)
    return rough if same.mean() >= FOUND else exact


@sums_in_one_order()
def nearest_by_angle(
    points: np.ndarray,
    candidates: np.ndarray,
    *,
    number: int,
    mirrored: np.ndarray | None = None,
) -> np.ndarray:
    """The candidates at the smallest angles to each image.

    Args:
        points: Of all images, at one length, float32, shape ``(n, d)``.
        candidates: Numbers of those that may be neighbours, ascending, ``(m,)``.
        number: Neighbours wanted, less than m.
        mirrored: Points of the mirrored images, shape ``(n, d)``: who resembles the
            mirrored image is near, too.

    Returns:
        int32, shape ``(n, number)``.

    Examples:
        >>> from iic_tf.neighbours.nearest import nearest_by_angle
        >>> points = np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32)
        >>> print(nearest_by_angle(points, np.arange(3), number=2))
        [[2 1]
         [2 0]
         [1 0]]
    """
    spaces = [
        tf.constant(space[candidates])
        for space in (points, mirrored)
        if space is not None
    ]
    wanted = tf.constant(number + 1)
    first = _compared_first(points, spaces, wanted)
    width = points.shape[1]
    rows = _rows_at_once(len(candidates), wanted=number + 1, width=width)
    parts = [
        _nearest_of(tf.constant(points[i : i + rows]), spaces, first, wanted).numpy()
        for i in range(0, len(points), rows)
    ]
    found = candidates[np.concatenate(parts)]
    # an image is its own nearest one, unless others are just like it
    itself = found == np.arange(len(points))[:, None]
    itself[~itself.any(axis=1), -1] = True
    return found[~itself].reshape(len(points), number).astype(np.int32)


def feature_neighbours(features: np.ndarray, *, number: int, seed: int) -> np.ndarray:
    """Who is near whom in the features of a network.

    Args:
        features: Shape ``(n, d)``.
        number: Neighbours wanted, less than n.
        seed: Decides how the directions are found in which features differ.

    Returns:
        int32, shape ``(n, number)``.

    Examples:
        >>> from iic_tf.neighbours.nearest import feature_neighbours
        >>> features = np.array([[1, 9], [2, 9], [9, 1], [9, 2]], np.float32)
        >>> print(feature_neighbours(features, number=1, seed=0).ravel())
        [1 0 3 2]
    """
    centred = features - features.mean(axis=0)
    components = min(FEATURE_COMPONENTS, *centred.shape)
    some = centred[:: -(-len(centred) // MAX_FITTED)]
    axes = randomized_svd(some, components, n_iter=2, random_state=seed)[2].T
    points = _unit(centred @ axes).astype(np.float32)
    return nearest_by_angle(points, np.arange(len(points)), number=number)


def describe(
    some: np.ndarray,
    *,
    seed: int,
    kind: Kind = "photographs",
    middle: bool = False,
) -> Describe:
    """What images are compared by: one description, or two side by side.

    Args:
        some: Images that tell what distinguishes them, uint8, shape
            ``(n, height, width, channels)``; some hundreds or thousands.
        seed: Decides which patches are told apart.
        kind: By what images are compared.
        middle: Whether what is in the middle of an image counts most.

    Returns:
        Function of such images, giving points of one length, float32, shape
        ``(n, d)``.

    Examples:
        >>> from iic_tf.neighbours.nearest import describe
        >>> draw = np.random.default_rng(0).integers
        >>> images = draw(256, size=(30, 28, 28, 1), dtype=np.uint8)
        >>> description = describe(images, seed=0, kind="drawings")
        >>> points = description(images)
        >>> points.shape, np.linalg.norm(points[:3], axis=1).round(4).tolist()
        ((30, 3), [1.0, 1.0, 1.0])
    """
    fitted = [_fit(part, some, seed=seed, middle=middle) for part in PARTS[kind]]
    return lambda images: np.concatenate([part(images) for part in fitted], axis=1)


def width_of(kind: Kind, *, number: int, shape: tuple[int, ...]) -> int:
    """Numbers that an image is described by, d of ``describe``.

    Args:
        kind: By what images are compared.
        number: Images.
        shape: Height, width and channels.

    Examples:
        >>> from iic_tf.neighbours.nearest import width_of
        >>> width_of("drawings", number=30, shape=(28, 28, 1))  # a tenth of the images
        3
        >>> width_of("photographs", number=50_000, shape=(32, 32, 3))
        384
    """
    widths = {
        "edges": CELLS**2 * ORIENTATIONS,
        "patches": REGIONS**2 * KINDS,
        "pixels": math.prod(shape),
        "numbers": math.prod(shape),
        "frequencies": math.prod(shape),
    }
    fitted = _num_fitted(min(number, MAX_CANDIDATES), math.prod(shape))
    return sum(_num_components(fitted, widths[part]) for part in PARTS[kind])


def memory_of_search(
    number: int, shape: tuple[int, ...], *, kind: Kind, mirrored: bool, neighbours: int
) -> int:
    """Bytes that ``find_neighbours`` holds at once where it holds most.

    These are, with the mirror images where these count, the descriptions of all images
    by their parts and side by side, those of the candidates, exact and rough, and one
    block of similarities, or of candidates that are compared exactly; and what was
    found. All but the block grow with the number of images.

    Args:
        number: Images.
        shape: Height, width and channels.
        kind: By what they are compared.
        mirrored: See ``find_neighbours``.
        neighbours: Of each image.

    Examples:
        >>> from iic_tf.neighbours.nearest import memory_of_search
        >>> how = {"kind": "drawings", "mirrored": False, "neighbours": 10}
        >>> for number in (10_000, 70_000):
        ...     print(memory_of_search(number, (28, 28, 1), **how) // 1_000_000, "MB")
        75 MB
        444 MB
    """
    candidates, spaces = min(number, MAX_CANDIDATES), 1 + mirrored
    described = 4 * width_of(kind, number=number, shape=shape)
    wanted, width = neighbours + 1, described // 4
    rows = min(_rows_at_once(candidates, wanted=wanted, width=width), number)
    # of two products the larger ones are a third block
    blocks = 4 * rows * candidates * (3 if mirrored else 1)
    checked = spaces * described * rows * CHECKED * wanted
    points = spaces * described * (2 * number + 5 * candidates // 2)
    return points + max(blocks, checked) + 4 * number * wanted


def find_neighbours(
    images: np.ndarray,
    *,
    number: int,
    seed: int,
    kind: Kind = "drawings",
    mirrored: bool = False,
    middle: bool = False,
) -> np.ndarray:
    """Finds who looks like whom.

    Drawings are compared by orientation histograms: where edges run, and in which
    direction. Photographs also by the small patches that they are made of
    (``patches.py``); of pairs in CIFAR-10 64 % show the same class then, compared as
    drawings 46 %, a tenth by chance. Tones, where colour and brightness tell more than
    edges do, by patches and pixels. All are seen from the mean image.

    Args:
        images: uint8, shape ``(n, height, width, channels)``.
        number: Neighbours of each image, at least 1; n - 1 if there are no more.
        seed: Decides which images are candidates where there are many, and which tell
            the directions in which images differ.
        kind: By what images are compared.
        mirrored: Whether an image is near also to what resembles its mirror image.
        middle: Whether what is in the middle of an image counts most.

    Returns:
        For each image the numbers of its neighbours, the nearest first and never the
        image itself, int32, shape ``(n, number)``.

    Examples:
        >>> from iic_tf.neighbours.nearest import find_neighbours
        >>> images = np.zeros((4, 28, 28, 1), np.uint8)
        >>> images[0, 10] = images[2, 11] = 255  # lines across
        >>> images[1, :, 10] = images[3, :, 11] = 255  # lines down
        >>> print(find_neighbours(images, number=1, seed=0).ravel())
        [2 3 0 1]
    """
    found = find_by_kinds(
        images, [kind], number=number, seed=seed, mirrored=mirrored, middle=middle
    )
    return found[kind]


def find_by_kinds(
    images: np.ndarray,
    kinds: Sequence[Kind],
    *,
    number: int,
    seed: int,
    mirrored: bool = False,
    middle: bool = False,
) -> dict[Kind, np.ndarray]:
    """As ``find_neighbours``, by several kinds; what they share is worked out once.

    Examples:
        >>> from iic_tf.neighbours.nearest import find_by_kinds
        >>> images = np.zeros((4, 28, 28, 1), np.uint8)
        >>> images[0, 10] = images[2, 11] = 255  # lines across
        >>> images[1, :, 10] = images[3, :, 11] = 255  # lines down
        >>> found = find_by_kinds(images, ["drawings", "vectors"], number=1, seed=0)
        >>> {kind: nearest.shape for kind, nearest in found.items()}
        {'drawings': (4, 1), 'vectors': (4, 1)}
    """
    rng = np.random.default_rng(seed)
    candidates = np.sort(rng.permutation(len(images))[:MAX_CANDIDATES])
    some = _some(images, candidates, seed=seed)
    points, reflected = {}, {}
    for part in sorted({part for kind in kinds for part in PARTS[kind]}):
        fitted = _fit(part, some, seed=seed, middle=middle)
        points[part] = _points(fitted, images)
        if mirrored:
            reflected[part] = _points(fitted, images[:, :, ::-1])

    def beside(of: dict[str, np.ndarray], kind: Kind) -> np.ndarray:
        return np.concatenate([of[part] for part in PARTS[kind]], axis=1)

    return {
        kind: nearest_by_angle(
            beside(points, kind),
            candidates,
            number=min(number, len(candidates) - 1),
            mirrored=beside(reflected, kind) if mirrored else None,
        )
        for kind in kinds
    }
