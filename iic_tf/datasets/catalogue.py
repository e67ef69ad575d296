"""Any image data set of TensorFlow Datasets, by its name.

The catalogue, https://www.tensorflow.org/datasets/catalog, has some hundreds; what
somebody has prepared with TFDS's own tools is found in its folder, too. Images of any
size are fitted into squares, as those of a folder are.
"""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps

from iic_tf.datasets import published
from iic_tf.datasets.image_folder import choose_side, make_room
from iic_tf.datasets.splits import Source, Split
from iic_tf.errors import UserError, first_line, require, require_known

PROBE = "https://storage.googleapis.com/"
"""Address that is asked to find out whether there is a network."""

LOOKED_AT = 200
"""Images whose sizes tell which side suits all."""


class _Columns(NamedTuple):
    """Which features of a data set are used.

    Attributes:
        image: Name of the images.
        label: Name of their classes, or None.
        names: Names of the classes, or None.
    """

    image: str
    label: str | None
    names: tuple[str, ...] | None


def _find_builder(name: str, folder: Path | None) -> Any:
    """The builder of a data set.

    Raises:
        UserError: If there is none of that name.
    """
    tfds = published.import_tfds()
    try:
        return tfds.builder(name, data_dir=folder)
    except tfds.core.DatasetNotFoundError:
        known, first = tfds.list_builders(), name.split("/")[0].split(":")[0]
        if folder is not None and folder.is_dir():
            known += [path.name for path in sorted(folder.iterdir()) if path.is_dir()]
        expected = "data.tfds must be a data set of TensorFlow Datasets"
        require_known(known, expected, tfds=first)
        raise UserError(
            f"{expected} that can be read. Received: tfds={name!r}"
        ) from None
    except Exception as error:  # of an unknown configuration or version
        raise UserError(f"data.tfds {name}: {first_line(error)}") from None


def _prepared(builder: Any, name: str, folder: Path | None) -> Any:
    """The builder of a data set that is on this machine, or now downloaded.

    Raises:
        UserError: If it cannot be had.
    """
    if builder.is_prepared():
        return builder
    place = Path(builder.data_path).parents[len(Path(builder.info.full_name).parts) - 1]
    told = f"data.tfds {name} is not prepared in {place}"
    require(
        published.reachable(PROBE),
        f"{told}, and there is no network to download it; data.dir says another folder "
        "of TFDS",
        tfds=name,
    )
    if not published.fetch(name, folder=folder):
        raise UserError(f"{told}, and it could not be downloaded")
    return _find_builder(name, folder)


def _columns(info: Any, name: str) -> _Columns:
    """Which features are images and classes.

    Args:
        info: What TFDS knows of a data set.
        name: Its name, for sentences.

    Raises:
        UserError: If it has no images of 8 bits.
    """
    features = published.import_tfds().features
    usual = [key for key in (info.supervised_keys or ()) if isinstance(key, str)]
    known = dict(info.features.items())
    ordered = [key for key in (*usual, *known) if key in known]
    images = [key for key in ordered if type(known[key]) is features.Image]
    require(
        bool(images),
        "data.tfds must be a data set of images",
        tfds=name,
        features=sorted(known),
    )
    image = known[images[0]]
    require(
        np.dtype(image.np_dtype) == np.uint8,
        f"data.tfds {name} must have images of 8 bits",
        dtype=str(np.dtype(image.np_dtype)),
    )
    classes = [key for key in ordered if isinstance(known[key], features.ClassLabel)]
    label = "label" if "label" in classes and not usual else next(iter(classes), None)
    names = known[label].names if label else None
    return _Columns(images[0], label, tuple(names) if names else None)


def _fit(image: np.ndarray, *, side: int, channels: int) -> np.ndarray:
    """The middle of an image, uint8 ``(height, width, c)``, in a square."""
    if image.shape == (side, side, channels):
        return image
    shown = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    mode = "RGB" if channels == 3 else "L"
    shown = ImageOps.fit(shown.convert(mode), (side, side), Image.Resampling.BILINEAR)
    return np.asarray(shown, np.uint8).reshape(side, side, channels)


def from_catalogue(
    name: str,
    folder: Path | None = None,
    *,
    side: int | None = None,
    channels: int | None = None,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Source:
    """Reads a data set of TFDS; downloads it if it is not on this machine.

    Args:
        name: As in ``tfds.load``: ``"eurosat/rgb"`` or ``"mnist:3.0.1"``.
        folder: TFDS's data folder; TFDS's own default if None.
        side: Side that images are brought to in pixels; suits them if None.
        channels: 1 or 3; as many as the images have if None.
        progress: Called now and then with the images done and their number.

    Returns:
        All splits that are not empty; one named validation is test where there is none
        of that name.

    Raises:
        UserError: If there is no such data set, it cannot be had or has no images.
    """
    tfds = published.import_tfds()
    builder = _find_builder(name, folder)
    columns = _columns(builder.info, name)
    builder = _prepared(builder, name, folder)
    info = builder.info
    sizes = {x: split.num_examples for x, split in info.splits.items()}
    sizes = {x: number for x, number in sizes.items() if number}
    require(bool(sizes), "data.tfds must be a data set with images", tfds=name)
    used = {key: True for key in (columns.image, columns.label) if key}

    def rows(split: str) -> Iterator[dict[str, Any]]:
        partial = tfds.decode.PartialDecoding(used)
        return iter(tfds.as_numpy(builder.as_dataset(split=split, decoders=partial)))

    first = [
        row[columns.image].shape for row in islice(rows(next(iter(sizes))), LOOKED_AT)
    ]
    side = side or choose_side(min(shape[:2]) for shape in first)
    channels = channels or (1 if all(shape[2] == 1 for shape in first) else 3)
    splits, done, kept = {}, 0, ""
    for split, number in sizes.items():
        room = (number, side, side, channels)
        images, kept = make_room(room, too_large="data.size is too large")
        labels = np.full(number, -1, np.int64)
        for i, row in enumerate(rows(split)):
            images[i] = _fit(row[columns.image], side=side, channels=channels)
            labels[i] = row[columns.label] if columns.label else -1
            done += 1
            if done % 100 == 0 or done == sum(sizes.values()):
                progress(done, sum(sizes.values()))
        known = "test" if split == "validation" and "test" not in sizes else split
        splits[known] = Split(images, labels if labels.min() >= 0 else None)
    origin = f"TensorFlow Datasets, {info.full_name}, {side}×{side}, {kept}"
    return Source(splits, origin, class_names=columns.names)
