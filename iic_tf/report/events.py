"""Numbers and plots of a run as event files, which TensorBoard shows.

TensorFlow writes these files without the package ``tensorboard``; what that adds to a
number or an image, so that it knows them for such, is a few bytes.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

FOLDER = "tensorboard"
"""Folder of the event files, in that of the run."""


def numbers_of(row: dict[str, Any], *, prefix: str = "") -> Iterator[tuple[str, float]]:
    """All numbers of a report by name; those of lists are numbered.

    Args:
        row: Numbers, and lists and dicts of them; whatever else is in it is left out.
        prefix: Begins every name.
    """
    for name, value in row.items():
        if isinstance(value, dict):
            yield from numbers_of(value, prefix=f"{prefix}{name}/")
        elif isinstance(value, list | tuple):
            numbered = {str(i): part for i, part in enumerate(value)}
            yield from numbers_of(numbered, prefix=f"{prefix}{name}/")
        elif type(value) in (int, float) and name != "step":
            yield f"{prefix}{name}", float(value)


def _metadata(plugin: str, kind: int) -> bytes:
    """What tells TensorBoard how to show a value."""
    data = tf.compat.v1.SummaryMetadata.PluginData(plugin_name=plugin)
    return tf.compat.v1.SummaryMetadata(
        plugin_data=data, data_class=kind
    ).SerializeToString()


class EventFiles:
    """Writes event files below a run folder.

    Args:
        folder: The run folder.
    """

    def __init__(self, folder: Path):
        self._writer = tf.summary.create_file_writer(str(folder / FOLDER))
        self._scalar, self._image = (
            _metadata("scalars", 1),  # DATA_CLASS_SCALAR
            _metadata("images", 3),  # DATA_CLASS_BLOB_SEQUENCE
        )

    def write(self, row: dict[str, Any], plots: dict[str, Path], *, step: int) -> None:
        """Writes the numbers of a report and plots, at once.

        Args:
            row: See ``numbers_of``.
            plots: PNG files by name; those that are not there are left out.
            step: Steps done.
        """
        with self._writer.as_default(step=step):
            for name, value in numbers_of(row):
                number = tf.constant(value, tf.float32)
                tf.summary.write(name, number, metadata=self._scalar)
            for name, path in plots.items():
                if not path.is_file():
                    continue
                with Image.open(path) as image:
                    size = [str(side) for side in image.size]
                shown = tf.constant(np.array([*size, path.read_bytes()], object))
                tf.summary.write(name, shown, metadata=self._image)
        self._writer.flush()
