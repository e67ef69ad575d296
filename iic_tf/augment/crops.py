"""From images of any size to batches of crops and views that can be moved back.

As in ``pipeline``, all that is random follows from (seed, step) alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from iic_tf.augment.pairs import Passes, host_dataset, plan_passes, step_rows
from iic_tf.augment.transforms import Geometry, Transform
from iic_tf.datasets.masks import IGNORE
from iic_tf.neighbours.similar_patches import SIDE, SimilarPatches, square_about


@dataclass(frozen=True)
class CropViews:
    """What is done to images.

    Attributes:
        side: Side in pixels of the crops that train.
        move: Moves a crop to make an augmented view, and tells the way back.
        colour: Changes the colours of an augmented view.
        finish: Brings originals and augmented views to the channels that the network
            sees; not random.
        scale: Range of the factor by which an image grows before a crop is cut; of
            places that look alike, about their middles.
        sparse: Range of the pixels, along each axis and to either side, by which the
            label maps of all augmented views of a batch are displaced ("sparse
            translation").
        edges: Whether the network begins with a Sobel layer, for the grey channel that
            is the last one of colours.
        infrared: Whether the last channel is infrared.
        margin: Pixels of its mirror image that are put around an image when its
            clusters are predicted; so many of crops tell nothing of the health of a
            network.

    Examples:
        >>> from iic_tf import CropViews
        >>> from iic_tf.augment.transforms import colour_jitter, move, to_grey
        >>> how = {"move": move(), "colour": colour_jitter(), "finish": to_grey()}
        >>> views = CropViews(side=64, scale=(0.5, 2.0), **how)
        >>> views.displacement  # pixels that are cut, as a crop may shrink to half
        128
    """

    side: int
    move: Geometry
    colour: Transform
    finish: Transform
    scale: tuple[float, float] = (1.0, 1.0)
    sparse: tuple[int, int] = (0, 0)
    edges: bool = False
    infrared: bool = False
    margin: int = 0

    @property
    def displacement(self) -> int:
        """Side in pixels of what is cut to be scaled, or of the crop itself."""
        if self.scale == (1.0, 1.0):
            return self.side
        return int(np.ceil((self.side - 1) / self.scale[0])) + 2


def _cut(
    images: Sequence[np.ndarray], corners: np.ndarray, side: int
) -> tuple[np.ndarray, np.ndarray]:
    """Cuts crops whose upper left corners lie at pixels, which may be outside.

    Returns:
        Windows, uint8, shape ``(n, side, side, ...)``, zero outside of the images,
        and where images are, bool, shape ``(n, side, side)``.
    """
    crops = np.zeros((len(images), side, side, *images[0].shape[2:]), np.uint8)
    shown = np.zeros((len(images), side, side), bool)
    for i, (image, corner) in enumerate(zip(images, corners, strict=True)):
        source, target = [], []
        for length, begin in zip(image.shape[:2], corner.tolist(), strict=True):
            first, last = max(begin, 0), min(begin + side, length)
            source.append(slice(first, last))
            target.append(slice(first - begin, last - begin))
        crops[i, target[0], target[1]] = image[source[0], source[1]]
        shown[i, target[0], target[1]] = True
    return crops, shown


def cut_windows(
    images: Sequence[np.ndarray], places: np.ndarray, side: int
) -> tuple[np.ndarray, np.ndarray]:
    """Cuts a square crop out of each image; smaller ones lie in its middle.

    Args:
        images: Each uint8, shape ``(height, width, ...)``.
        places: Where in the room there is, down and right, each in [0, 1), shape
            ``(n, 2)``.
        side: Side of the crops in pixels.

    Returns:
        Windows, uint8, shape ``(n, side, side, ...)``, zero outside of the images,
        and where images are, bool, shape ``(n, side, side)``.

    Examples:
        >>> from iic_tf.augment.crops import cut_windows
        >>> image = np.arange(12, dtype=np.uint8).reshape(2, 6)
        >>> windows, shown = cut_windows([image], np.array([[0.0, 0.99]]), 4)
        >>> print(windows[0])  # the image is lower than the crop
        [[ 0  0  0  0]
         [ 2  3  4  5]
         [ 8  9 10 11]
         [ 0  0  0  0]]
    """
    room = np.array([image.shape[:2] for image in images]) - side
    drawn = (places * (room + 1)).astype(int)
    return _cut(images, np.where(room > 0, drawn, -(-room // 2)), side)


def _cut_pairs(
    images: Sequence[np.ndarray],
    labels: Sequence[np.ndarray] | None,
    cells: SimilarPatches,
    index: np.ndarray,
    draws: np.ndarray,
    side: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cuts crops about places of images, and about neighbours of these places.

    Args:
        images: All images.
        labels: Their label maps, or None.
        cells: Places and their neighbours.
        index: Images wanted, shape ``(n,)``.
        draws: In [0, 1), shape ``(n, 1 + r)``: for each the place and r neighbours.
        side: Side of the crops in pixels.

    Returns:
        Windows, those of the r neighbours, ``(r n, side, side, c)``, both mirrored
        outside of the images, and where all of a crop and its neighbours count:
        near the middle, inside of the images.
    """
    begins, ends = (
        np.searchsorted(cells.image, index, side=which) for which in ("left", "right")
    )
    # an image none of whose places is among those drawn at random takes another's
    mine = begins + (draws[:, 0] * (ends - begins)).astype(int)
    mine = np.minimum(mine, len(cells.image) - 1)
    number = cells.nearest.shape[1]
    columns = (draws[:, 1:].T * number).astype(int)  # (r, n)
    theirs = cells.nearest[mine, columns]

    def about(places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        chosen = cells.image[places]
        corners = cells.middle[places] - side // 2
        _, shown = _cut([images[i] for i in chosen], corners, side)
        crops = np.stack(
            [
                square_about(images[i], middle, side)
                for i, middle in zip(chosen, cells.middle[places], strict=True)
            ]
        )
        if labels is not None:
            known, _ = _cut([labels[i] for i in chosen], corners, side)
            shown &= known != IGNORE
        return crops, shown

    originals, shown = about(mine)
    others, shown_there = zip(*map(about, theirs), strict=True)
    near = np.abs(np.arange(side) - (side - 1) / 2) < SIDE / 2
    mask = shown & np.logical_and.reduce(shown_there) & near[:, None] & near
    return originals, np.concatenate(others), mask


def _cut_for_scale(
    images: Sequence[np.ndarray], places: np.ndarray, spans: np.ndarray, side: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cuts squares of one side, of which crops will show more or less.

    Args:
        images: Each uint8, shape ``(height, width, ...)``.
        places: Where in the room that a crop has, down and right, each in [0, 1),
            shape ``(n, 2)``; of an image that is smaller it shows the whole.
        spans: Pixels from the first to the last that a crop shows, at most
            ``side - 2``, shape ``(n,)``.
        side: Side of the squares in pixels.

    Returns:
        As ``_cut``, and where in the squares the crops begin, float32, ``(n, 2)``.
    """
    room = np.array([image.shape[:2] for image in images]) - 1 - spans[:, None]
    begins = np.where(room > 0, places * room, room / 2)
    corners = np.floor(begins).astype(int)
    return *_cut(images, corners, side), (begins - corners).astype(np.float32)


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


def crops_per_pass(number: int, batch: int) -> int:
    """Crops that a pass goes over: one of each image, of few images some.

    Args:
        number: Images.
        batch: Crops per step.

    Examples:
        >>> from iic_tf.augment.crops import crops_per_pass
        >>> crops_per_pass(500, 16), crops_per_pass(3, 16)
        (500, 16)
    """
    return max(number, batch)


def training_crop_batches(
    images: Sequence[np.ndarray],
    views: CropViews,
    *,
    repeats: int,
    batch: int,
    seed: int,
    start: int,
    steps: int,
    passes: Passes | None = None,
    labels: Sequence[np.ndarray] | None = None,
    shuffle: bool = True,
    cells: SimilarPatches | None = None,
) -> tf.data.Dataset:
    """Batches for the steps ``start`` to ``steps - 1`` of a run.

    Args:
        images: Each uint8, shape ``(height, width, channels)``.
        views: What is done to them.
        repeats: Augmented views r per crop.
        batch: Crops per step, over all devices.
        seed: Seed of the run.
        start: First step.
        steps: Steps of the whole run.
        passes: The passes of the run over ``crops_per_pass``; these if None.
        labels: Label maps; where they are ``IGNORE``, pixels do not train. None lets
            all train.
        shuffle: Whether each pass has an order of its own.
        cells: Places of the each that look alike. If given, crops lie about
            places, augmented views are of crops about neighbours of these, and only the
            middle of the crops counts.

    Returns:
        Data set of ``(originals, views, matrices, mask)``: float32 crops ``(batch,
        side, side, channels)``; r batches of augmented views of that shape; for each
        the matrices that ``warp.warp`` takes to the originals, ``(batch, 2, 3)``; and 1
        where a pixel of the originals counts, else 0, ``(batch, side, side)``.

    Examples:
        >>> from iic_tf import CropViews, training_crop_batches
        >>> from iic_tf.augment.transforms import colour_jitter, move, to_grey
        >>> views = CropViews(16, move(), colour_jitter(), to_grey())
        >>> images = [np.zeros((20, 30, 3), np.uint8), np.zeros((40, 24, 3), np.uint8)]
        >>> run = {"batch": 4, "seed": 0, "start": 0, "steps": 3}
        >>> batches = iter(training_crop_batches(images, views, repeats=1, **run))
        >>> originals, (view,), (matrices,), mask = next(batches)
        >>> print(originals.shape, view.shape, matrices.shape, mask.shape)
        (4, 16, 16, 1) (4, 16, 16, 1) (4, 2, 3) (4, 16, 16)
    """
    if passes is None:
        size = crops_per_pass(len(images), batch)
        passes = plan_passes([size], batch=batch, steps=steps, shuffle=shuffle)
    channels = images[0].shape[2]
    sizes = tf.constant(passes.sizes, tf.int64)
    displacement = views.displacement

    scaled = views.scale != (1.0, 1.0)

    def cut(
        index: np.ndarray, draws: np.ndarray, spans: np.ndarray
    ) -> tuple[np.ndarray, ...]:
        index = index % len(images)
        begins = np.repeat((displacement - 1 - spans[:, None]) / 2, 2, axis=1)
        if cells is not None:
            drawn = draws[:, [0, *range(3, 3 + repeats)]]
            *cut, shown = _cut_pairs(images, labels, cells, index, drawn, displacement)
            return *cut, shown.astype(np.uint8), begins

        def some_of(arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
            chosen, places = [arrays[i] for i in index], draws[:, :2]
            if scaled:
                return _cut_for_scale(chosen, places, spans, displacement)
            return *cut_windows(chosen, places, displacement), begins

        crops, shown, begins = some_of(images)
        if labels is not None:
            shown &= some_of(labels)[0] != IGNORE
        others = np.tile(crops, (repeats, 1, 1, 1))
        return crops, others, shown.astype(np.uint8), begins

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
        crops, others, shown, begins = tf.numpy_function(
            cut,
            (index, draws, (views.side - 1) / factor),
            (tf.uint8, tf.uint8, tf.uint8, tf.float32),
        )
        crops = tf.ensure_shape(crops, (batch, displacement, displacement, channels))
        others = tf.ensure_shape(
            others, (repeats * batch, displacement, displacement, channels)
        )
        shown = tf.ensure_shape(shown, (batch, displacement, displacement))
        crops = tf.cast(crops, tf.float32) / 255.0
        others = tf.cast(others, tf.float32) / 255.0
        mask = tf.cast(shown, tf.float32)
        if scaled:
            begins = tf.ensure_shape(begins, (batch, 2))

            def grow(each: tf.Tensor, how: str = "BILINEAR") -> tf.Tensor:
                times = each.shape[0] // batch
                return _resample(
                    each,
                    tf.tile(factor, (times,)),
                    tf.tile(begins, (times, 1)),
                    views.side,
                    how,
                )

            crops, others = grow(crops), grow(others)
            mask = grow(mask[..., None], "NEAREST")[..., 0]

        augmented, matrices = views.move(others, tf.random.fold_in(key, 1))
        augmented = views.colour(augmented, tf.random.fold_in(key, 2))
        matrices = _displaced(
            matrices, views.sparse, views.side, tf.random.fold_in(key, 3)
        )
        return (
            views.finish(crops, key),
            tuple(tf.split(views.finish(augmented, key), repeats)),
            tuple(tf.split(matrices, repeats)),
            mask,
        )

    return host_dataset(step_rows(passes, start=start), lambda *row: load(row))
