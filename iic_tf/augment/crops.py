"""From pictures of any size to batches of windows and copies that can be moved back.

As in ``pipeline``, all that is random follows from (seed, step) alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from iic_tf.augment.pairs import Passes, host_dataset, plan_passes, step_rows
from iic_tf.augment.transforms import Geometry, Perturbation
from iic_tf.datasets.masks import IGNORE
from iic_tf.neighbours.similar_patches import SIDE, Cells, square_about


@dataclass(frozen=True)
class MapViews:
    """What is done to pictures.

    Attributes:
        side: Side in pixels of the windows that train.
        move: Moves a window to make a copy, and tells the way back.
        colour: Changes the colours of a copy.
        finish: Brings originals and copies to the channels that the network sees; not
            random.
        scale: Range of the factor by which a picture grows before a window is cut; of
            places that look alike, about their middles.
        sparse: Range of the pixels, along each axis and to either side, by which the
            label maps of all copies of a batch are displaced ("sparse translation").
        edges: Whether the network begins with a Sobel layer, for the grey channel that
            is the last one of colours.
        infrared: Whether the last channel is infrared.
        margin: Pixels of its mirror image that are put around a picture when its
            clusters are predicted; so many of windows tell nothing of the health of a
            network.
    """

    side: int
    move: Geometry
    colour: Perturbation
    finish: Perturbation
    scale: tuple[float, float] = (1.0, 1.0)
    sparse: tuple[int, int] = (0, 0)
    edges: bool = False
    infrared: bool = False
    margin: int = 0

    @property
    def reach(self) -> int:
        """Side in pixels of what is cut to be scaled, or of the window itself."""
        if self.scale == (1.0, 1.0):
            return self.side
        return int(np.ceil((self.side - 1) / self.scale[0])) + 2


def _cut(
    pictures: Sequence[np.ndarray], corners: np.ndarray, side: int
) -> tuple[np.ndarray, np.ndarray]:
    """Cuts windows whose upper left corners lie at pixels, which may be outside.

    Returns:
        Windows, uint8, shape ``(n, side, side, ...)``, zero outside of the pictures,
        and where pictures are, bool, shape ``(n, side, side)``.
    """
    windows = np.zeros((len(pictures), side, side, *pictures[0].shape[2:]), np.uint8)
    shown = np.zeros((len(pictures), side, side), bool)
    for i, (picture, corner) in enumerate(zip(pictures, corners, strict=True)):
        source, target = [], []
        for length, begin in zip(picture.shape[:2], corner.tolist(), strict=True):
            first, last = max(begin, 0), min(begin + side, length)
            source.append(slice(first, last))
            target.append(slice(first - begin, last - begin))
        windows[i, target[0], target[1]] = picture[source[0], source[1]]
        shown[i, target[0], target[1]] = True
    return windows, shown


def cut_windows(
    pictures: Sequence[np.ndarray], places: np.ndarray, side: int
) -> tuple[np.ndarray, np.ndarray]:
    """Cuts a square window out of each picture; smaller ones lie in its middle.

    Args:
        pictures: Each uint8, shape ``(height, width, ...)``.
        places: Where in the room there is, down and right, each in [0, 1), shape
            ``(n, 2)``.
        side: Side of the windows in pixels.

    Returns:
        Windows, uint8, shape ``(n, side, side, ...)``, zero outside of the pictures,
        and where pictures are, bool, shape ``(n, side, side)``.
    """
    room = np.array([picture.shape[:2] for picture in pictures]) - side
    drawn = (places * (room + 1)).astype(int)
    return _cut(pictures, np.where(room > 0, drawn, -(-room // 2)), side)


def _cut_pairs(
    pictures: Sequence[np.ndarray],
    labels: Sequence[np.ndarray] | None,
    cells: Cells,
    index: np.ndarray,
    draws: np.ndarray,
    side: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cuts windows about places of pictures, and about neighbours of these places.

    Args:
        pictures: All pictures.
        labels: Their label maps, or None.
        cells: Places and their neighbours.
        index: Pictures wanted, shape ``(n,)``.
        draws: In [0, 1), shape ``(n, 1 + r)``: for each the place and r neighbours.
        side: Side of the windows in pixels.

    Returns:
        Windows, those of the r neighbours, ``(r n, side, side, c)``, both mirrored
        outside of the pictures, and where all of a window and its neighbours count:
        near the middle, inside of the pictures.
    """
    begins, ends = (
        np.searchsorted(cells.picture, index, side=which) for which in ("left", "right")
    )
    # a picture none of whose places is among those drawn at random takes another's
    mine = begins + (draws[:, 0] * (ends - begins)).astype(int)
    mine = np.minimum(mine, len(cells.picture) - 1)
    number = cells.nearest.shape[1]
    columns = (draws[:, 1:].T * number).astype(int)  # (r, n)
    theirs = cells.nearest[mine, columns]

    def about(places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        chosen = cells.picture[places]
        corners = cells.middle[places] - side // 2
        _, shown = _cut([pictures[i] for i in chosen], corners, side)
        windows = np.stack(
            [
                square_about(pictures[i], middle, side)
                for i, middle in zip(chosen, cells.middle[places], strict=True)
            ]
        )
        if labels is not None:
            known, _ = _cut([labels[i] for i in chosen], corners, side)
            shown &= known != IGNORE
        return windows, shown

    originals, shown = about(mine)
    others, shown_there = zip(*map(about, theirs), strict=True)
    near = np.abs(np.arange(side) - (side - 1) / 2) < SIDE / 2
    mask = shown & np.logical_and.reduce(shown_there) & near[:, None] & near
    return originals, np.concatenate(others), mask


def _cut_for_scale(
    pictures: Sequence[np.ndarray], places: np.ndarray, spans: np.ndarray, side: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cuts squares of one side, of which windows will show more or less.

    Args:
        pictures: Each uint8, shape ``(height, width, ...)``.
        places: Where in the room that a window has, down and right, each in [0, 1),
            shape ``(n, 2)``; of a picture that is smaller it shows the whole.
        spans: Pixels from the first to the last that a window shows, at most
            ``side - 2``, shape ``(n,)``.
        side: Side of the squares in pixels.

    Returns:
        As ``_cut``, and where in the squares the windows begin, float32, ``(n, 2)``.
    """
    room = np.array([picture.shape[:2] for picture in pictures]) - 1 - spans[:, None]
    begins = np.where(room > 0, places * room, room / 2)
    corners = np.floor(begins).astype(int)
    return *_cut(pictures, corners, side), (begins - corners).astype(np.float32)


def _resample(
    images: tf.Tensor, factor: tf.Tensor, begins: tf.Tensor, side: int, how: str
) -> tf.Tensor:
    """Grows images and keeps a square of each, whose first pixel is given."""
    step = 1.0 / factor
    zero = tf.zeros_like(step)
    down, right = tf.unstack(begins, axis=1)
    transforms = tf.stack((step, zero, right, zero, step, down, zero, zero), axis=1)
    resampled = tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=transforms,
        output_shape=(side, side),
        fill_value=0.0,
        interpolation=how,
        fill_mode="NEAREST",
    )
    return tf.ensure_shape(resampled, (None, side, side, images.shape[3]))


def _displaced(
    matrices: tf.Tensor, pixels: tuple[int, int], side: int, seed: tf.Tensor
) -> tf.Tensor:
    """Matrices that read some pixels further on, the same for all."""
    low, high = pixels
    if not high:
        return matrices
    draws = tf.random.stateless_uniform((2, 2), seed)
    offset = tf.floor(low + draws[0] * (high - low + 1)) * tf.sign(draws[1] - 0.5)
    offset = offset * 2 / (side - 1)  # in coordinates from -1 to 1
    moved = tf.linalg.matvec(matrices[..., :2], offset)
    return tf.concat((matrices[..., :2], matrices[..., 2:] + moved[..., None]), axis=-1)


def windows_per_pass(number: int, batch: int) -> int:
    """Windows that a pass goes over: one of each picture, of few pictures some.

    Args:
        number: Pictures.
        batch: Windows per step.
    """
    return max(number, batch)


def training_map_batches(
    pictures: Sequence[np.ndarray],
    views: MapViews,
    *,
    repeats: int,
    batch: int,
    seed: int,
    start: int,
    steps: int,
    passes: Passes | None = None,
    labels: Sequence[np.ndarray] | None = None,
    shuffle: bool = True,
    cells: Cells | None = None,
) -> tf.data.Dataset:
    """Batches for the steps ``start`` to ``steps - 1`` of a run.

    Args:
        pictures: Each uint8, shape ``(height, width, channels)``.
        views: What is done to them.
        repeats: Copies r per window.
        batch: Windows per step, over all devices.
        seed: Seed of the run.
        start: First step.
        steps: Steps of the whole run.
        passes: The passes of the run over ``windows_per_pass``; these if None.
        labels: Label maps; where they are ``IGNORE``, pixels do not train. None lets
            all train.
        shuffle: Whether each pass has an order of its own.
        cells: Places of the pictures that look alike. If given, windows lie about
            places, copies are of windows about neighbours of these, and only the
            middle of the windows counts.

    Returns:
        Data set of ``(originals, copies, matrices, mask)``: float32 windows ``(batch,
        side, side, channels)``; r batches of copies of that shape; for each the
        matrices that ``warp.warp`` takes to the originals, ``(batch, 2, 3)``; and 1
        where a pixel of the originals counts, else 0, ``(batch, side, side)``.
    """
    if passes is None:
        size = windows_per_pass(len(pictures), batch)
        passes = plan_passes([size], batch=batch, steps=steps, shuffle=shuffle)
    channels = pictures[0].shape[2]
    sizes = tf.constant(passes.sizes, tf.int64)
    reach = views.reach

    scaled = views.scale != (1.0, 1.0)

    def cut(
        index: np.ndarray, draws: np.ndarray, spans: np.ndarray
    ) -> tuple[np.ndarray, ...]:
        index = index % len(pictures)
        begins = np.repeat((reach - 1 - spans[:, None]) / 2, 2, axis=1)
        if cells is not None:
            drawn = draws[:, [0, *range(3, 3 + repeats)]]
            *cut, shown = _cut_pairs(pictures, labels, cells, index, drawn, reach)
            return *cut, shown.astype(np.uint8), begins

        def some_of(arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
            chosen, places = [arrays[i] for i in index], draws[:, :2]
            if scaled:
                return _cut_for_scale(chosen, places, spans, reach)
            return *cut_windows(chosen, places, reach), begins

        windows, shown, begins = some_of(pictures)
        if labels is not None:
            shown &= some_of(labels)[0] != IGNORE
        others = np.tile(windows, (repeats, 1, 1, 1))
        return windows, others, shown.astype(np.uint8), begins

    def load(row: tuple[tf.Tensor, ...]) -> tuple:
        step, number, position, kind = row
        index = position * batch + tf.range(batch, dtype=tf.int64)
        if shuffle:
            index = tf.random.experimental.index_shuffle(
                index, seed=tf.stack((seed, number)), max_index=sizes[kind] - 1
            )
        key = tf.stack((seed, step))
        draws = tf.random.stateless_uniform(
            (batch, 3 + repeats), tf.random.fold_in(key, 0)
        )
        low, high = views.scale
        factor = low + (high - low) * draws[:, 2]
        windows, others, shown, begins = tf.numpy_function(
            cut,
            (index, draws, (views.side - 1) / factor),
            (tf.uint8, tf.uint8, tf.uint8, tf.float32),
        )
        windows = tf.ensure_shape(windows, (batch, reach, reach, channels))
        others = tf.ensure_shape(others, (repeats * batch, reach, reach, channels))
        shown = tf.ensure_shape(shown, (batch, reach, reach))
        windows = tf.cast(windows, tf.float32) / 255.0
        others = tf.cast(others, tf.float32) / 255.0
        mask = tf.cast(shown, tf.float32)
        if scaled:
            begins = tf.ensure_shape(begins, (batch, 2))

            def grow(images: tf.Tensor, how: str = "BILINEAR") -> tf.Tensor:
                times = images.shape[0] // batch
                return _resample(
                    images,
                    tf.tile(factor, (times,)),
                    tf.tile(begins, (times, 1)),
                    views.side,
                    how,
                )

            windows, others = grow(windows), grow(others)
            mask = grow(mask[..., None], "NEAREST")[..., 0]

        copies, matrices = views.move(others, tf.random.fold_in(key, 1))
        copies = views.colour(copies, tf.random.fold_in(key, 2))
        matrices = _displaced(
            matrices, views.sparse, views.side, tf.random.fold_in(key, 3)
        )
        return (
            views.finish(windows, key),
            tuple(tf.split(views.finish(copies, key), repeats)),
            tuple(tf.split(matrices, repeats)),
            mask,
        )

    return host_dataset(step_rows(passes, start=start), lambda *row: load(row))
