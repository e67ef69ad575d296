"""How images move to their clusters in the course of training, as an animated plot.

As in the authors' demonstration (their run 726): clusters are the corners of a polygon,
each image a point at the mean of the corners weighted by its soft assignment, and at
each corner stands the mean of the images that are there. Points begin in the middle and
end in the corners.
"""

import colorsys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from iic_tf.evaluation.metrics import contingency, match_one_to_one
from iic_tf.report.plots import as_rgb

MAX_IMAGES = 5_000
"""So many images at most are followed."""

SIDE = 560
"""Side of a frame in pixels."""

THUMBNAIL = 56
"""Side of the thumbnails at the corners in pixels."""


def store(folder: Path, step: int, soft: np.ndarray) -> None:
    """Keeps a snapshot for ``draw``.

    Args:
        folder: Made if it is not there.
        step: Steps trained so far.
        soft: Soft assignments of one sub-head, shape ``(n, k)``.
    """
    folder.mkdir(exist_ok=True)
    np.save(folder / f"step_{step:06}.npy", soft.astype(np.float16))


def corners(number: int) -> np.ndarray:
    """Corners of a regular polygon on the unit circle, from the top: ``(k, 2)``."""
    angle = 2 * np.pi * np.arange(number) / number
    return np.stack((np.sin(angle), -np.cos(angle)), axis=1)


def palette(number: int) -> np.ndarray:
    """Equally spaced hues of one strength, uint8, shape ``(number, 3)``."""
    colours = [colorsys.hsv_to_rgb(i / number, 0.8, 0.8) for i in range(number)]
    return np.round(np.array(colours) * 255).astype(np.uint8)


def draw_frame(
    soft: np.ndarray, images: np.ndarray, kinds: np.ndarray, *, title: str
) -> Image.Image:
    """One frame: points in a polygon, thumbnails at its corners.

    Args:
        soft: Soft assignments, shape ``(n, k)``.
        images: uint8, shape ``(n, height, width, channels)``.
        kinds: Class, or final cluster, of each image, which gives its colour: ``(n,)``.
        title: Written in a corner.
    """
    k = soft.shape[1]
    middle, radius = SIDE / 2, SIDE / 2 - 1.5 * THUMBNAIL
    image = Image.new("RGB", (SIDE, SIDE), "white")
    pen = ImageDraw.Draw(image)
    places = middle + radius * corners(k)
    pen.polygon([tuple(place) for place in places], outline=(205, 205, 205))

    canvas = np.array(image)
    points = np.round(middle + radius * (soft @ corners(k))).astype(int)
    colours = palette(max(int(kinds.max()) + 1, k))[kinds]
    for right, down in np.ndindex(2, 2):
        canvas[points[:, 1] + down, points[:, 0] + right] = colours
    image = Image.fromarray(canvas)

    clusters = soft.argmax(1)
    ring = middle + (radius + 0.8 * THUMBNAIL) * corners(k)
    for cluster in range(k):
        members = clusters == cluster
        if not members.any():
            continue
        weights = soft[members, cluster]
        weights = weights / weights.sum()
        mean = np.tensordot(weights, images[members].astype(np.float32), axes=1)
        thumbnail = Image.fromarray(as_rgb(mean).round().astype(np.uint8))
        thumbnail = thumbnail.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BILINEAR)
        left, top = np.round(ring[cluster] - THUMBNAIL / 2).astype(int)
        image.paste(thumbnail, (int(left), int(top)))
    ImageDraw.Draw(image).text((10, 8), title, fill=(90, 90, 90))
    return image


def draw(
    folder: Path,
    gif: Path,
    images: np.ndarray,
    *,
    labels: np.ndarray | None,
    seconds: float = 12.0,
) -> bool:
    """Draws all snapshots as PNG files and as one animation.

    In every snapshot the clusters stand where those of the last one stand that hold the
    same images, or with labels where their class stands: sub-heads number their
    clusters as they please, and regrouping renumbers them.

    Args:
        folder: Snapshots of ``store``; the PNG files go there too.
        gif: Animation to write.
        images: The images followed, uint8, shape ``(n, height, width, channels)``.
        labels: Their classes, which give colours; their last clusters if None.
        seconds: Length of the animation.

    Returns:
        Whether there were any snapshots.
    """
    paths = sorted(folder.glob("step_*.npy"))
    if not paths:
        return False
    snapshots = [np.load(path).astype(np.float32) for path in paths]
    k = snapshots[-1].shape[1]
    kinds = snapshots[-1].argmax(1) if labels is None else labels
    frames = []
    for path, soft in zip(paths, snapshots, strict=True):
        ordered = soft[:, _places(soft.argmax(1), kinds, k=k)]
        title = f"step {int(path.stem.split('_')[1]):,}"
        frames.append(draw_frame(ordered, images, kinds, title=title))
        frames[-1].save(path.with_suffix(".png"))
    each = max(round(1000 * seconds / len(frames)), 40)
    frames[0].save(
        gif,
        save_all=True,
        append_images=frames[1:],
        duration=[each] * (len(frames) - 1) + [3000],
        loop=0,
    )
    return True


def _places(clusters: np.ndarray, kinds: np.ndarray, *, k: int) -> Sequence[int]:
    """Clusters in the order of the kinds they match; those left over come last."""
    num_kinds = max(int(kinds.max()) + 1, k)
    table = contingency(clusters, kinds, num_clusters=k, num_classes=num_kinds)
    kind = match_one_to_one(table)
    return list(np.argsort(np.where(kind < 0, num_kinds, kind), kind="stable"))
