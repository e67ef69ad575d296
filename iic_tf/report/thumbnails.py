"""Small images inside a page: as data URIs, alone or many in one."""

import base64
import io

import numpy as np
from PIL import Image

from iic_tf.report.plots import as_rgb

QUALITY = 82
"""Of JPEG, where an image is not smaller as PNG."""


def _pixels(image: np.ndarray, side: int) -> Image.Image:
    """An image with values in [0, 1] as 8 bits, no side longer than ``side``."""
    values = np.nan_to_num(np.asarray(image, np.float32))
    colours = as_rgb(values)
    grey = bool((colours == colours[..., :1]).all())
    bytes_ = (255 * np.clip(colours, 0, 1)).round().astype(np.uint8)
    found = Image.fromarray(bytes_[..., 0] if grey else bytes_)
    longest = max(found.size)
    if longest > side:
        width, height = (max(round(n * side / longest), 1) for n in found.size)
        found = found.resize((width, height), Image.Resampling.LANCZOS)
    return found


def _data_uri(image: Image.Image) -> str:
    """An image as PNG or JPEG, whichever is shorter."""
    found = []
    for kind, how in (("png", {"optimize": True}), ("jpeg", {"quality": QUALITY})):
        file = io.BytesIO()
        image.save(file, kind, **how)
        found.append((kind, file.getvalue()))
    kind, data = min(found, key=lambda one: len(one[1]))
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def thumbnail(image: np.ndarray, *, side: int) -> str:
    """An image as a data URI.

    Args:
        image: In [0, 1], shape ``(height, width, channels)``.
        side: Longer ones are made so long.
    """
    return _data_uri(_pixels(image, side))


def sprite(images: list[np.ndarray], *, side: int) -> tuple[str, int]:
    """Many images of one shape in one, row by row, in squares of the same side.

    Args:
        images: Each in [0, 1], shape ``(height, width, channels)``.
        side: Of a square at most.

    Returns:
        A data URI, and the side of a square in pixels.
    """
    tiles = [_pixels(image, side) for image in images]
    square = max(max(tile.size) for tile in tiles)
    columns = sprite_columns(len(tiles))
    rows = -(-len(tiles) // columns)
    mode = "L" if all(tile.mode == "L" for tile in tiles) else "RGB"
    sheet = Image.new(mode, (columns * square, rows * square))
    for i, tile in enumerate(tiles):
        row, column = divmod(i, columns)
        indent = [(square - n) // 2 for n in tile.size]
        sheet.paste(tile, (column * square + indent[0], row * square + indent[1]))
    return _data_uri(sheet), square


def sprite_columns(number: int) -> int:
    """Images in a row of a sprite."""
    return max(int(np.ceil(np.sqrt(number))), 1)
