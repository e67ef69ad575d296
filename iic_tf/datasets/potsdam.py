"""ISPRS Potsdam as the authors prepare it: tiles of 200×200 pixels in four channels.

Layout and rules are those of reference section 3.10.
"""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.io
from PIL import Image

from iic_tf.datasets.image_file import lenient, open_upright, reason
from iic_tf.datasets.masks import IGNORE, Item
from iic_tf.errors import UserError, require
from iic_tf.names import read_names

TILE = 200
"""Side of a tile in pixels, at half of the original resolution."""

NAMES = ("road", "building", "low vegetation", "tree", "car", "clutter")
COLOURS = (
    *((255, 255, 255), (0, 0, 255), (0, 255, 255)),
    *((0, 255, 0), (255, 255, 0), (255, 0, 0)),
)
"""Colours of the six classes in the raw label maps."""

TO_THREE = (0, 1, 2, 2, 0, 1)
NAMES_OF_THREE = ("road or car", "building or clutter", "vegetation")

SPLITS = ("labelled_train", "unlabelled_train", "labelled_test")


def class_table(number: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """Class, or ``IGNORE``, of each value of a label map, and the names.

    Args:
        number: 3 or 6 classes.
    """
    table = np.full(256, IGNORE, np.uint8)
    table[:6] = TO_THREE if number == 3 else range(6)
    return table, NAMES_OF_THREE if number == 3 else NAMES


def list_tiles(root: Path, split: str) -> list[Item]:
    """The tiles of a split.

    Args:
        root: Has ``SPLIT.txt``, ``imgs/ID.mat`` and, for labelled tiles, ``gt/ID.mat``.
        split: One of ``SPLITS``.

    Raises:
        UserError: If the list is missing.
    """
    path = root / f"{split}.txt"
    require(
        path.is_file(),
        "data.dir must hold the prepared tiles",
        missing=str(path),
    )
    labelled = split != "unlabelled_train"
    return [
        Item(
            name,
            root / "imgs" / f"{name}.mat",
            root / "gt" / f"{name}.mat" if labelled else None,
        )
        for name in read_names(path)
    ]


def read_tile(path: Path) -> np.ndarray:
    """R, G, B and infrared of a tile: key img, uint8, ``(200, 200, 4)``."""
    return np.asarray(scipy.io.loadmat(path)["img"], np.uint8)


def read_tile_labels(path: Path) -> np.ndarray:
    """Classes of a tile: key gt, integers, ``(200, 200)``."""
    return np.asarray(scipy.io.loadmat(path)["gt"]).astype(np.uint8)


def labels_from_colours(image: np.ndarray) -> np.ndarray:
    """Classes of a raw label map.

    Args:
        image: uint8, shape ``(height, width, 3)``.

    Returns:
        uint8, shape ``(height, width)``; each channel counts as on or off, and
        ``IGNORE`` is for combinations that are no class.
    """
    codes = (image > 127) @ np.array([4, 2, 1])
    table = np.full(8, IGNORE, np.uint8)
    for i, colour in enumerate(COLOURS):
        table[(np.array(colour) > 127) @ np.array([4, 2, 1])] = i
    return table[codes]


def halve(image: np.ndarray) -> np.ndarray:
    """Half of both sides, by the mean of four pixels: uint8 ``(h, w, c)``."""
    height, width = (side // 2 * 2 for side in image.shape[:2])
    four = image[:height, :width].reshape(height // 2, 2, width // 2, 2, -1)
    return (four.astype(np.uint16).sum(axis=(1, 3)) / 4 + 0.5).astype(np.uint8)


def prepare(
    raw: Path,
    out: Path,
    *,
    test_tiles: int | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> dict[str, int]:
    """Cuts the raw images into tiles and draws the splits.

    Args:
        raw: Has ``4_Ortho_RGBIR/top_potsdam_X_Y_RGBIR.tif``, 6000×6000 pixels, and, for
            some, ``5_Labels_for_participants/top_potsdam_X_Y_label.tif``.
        out: Folder that is made.
        test_tiles: Labelled tiles that are set aside; 855 of the published 5,400 if
            None, and of fewer the same share.
        seed: Decides which.
        progress: Called with the images done and their number.

    Returns:
        Number of tiles of each split.

    Raises:
        UserError: If there are no images, or ``out`` is there already.
    """
    images = sorted((raw / "4_Ortho_RGBIR").glob("top_potsdam_*_RGBIR.tif"))
    require(bool(images), "raw must hold 4_Ortho_RGBIR/*_RGBIR.tif", raw=str(raw))
    require(
        any(_label_file(path).is_file() for path in images),
        "raw must hold 5_Labels_for_participants/*_label.tif for some of the images",
        raw=str(raw),
    )
    require(not out.exists(), "out must not exist yet", out=str(out))
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as place:
        counts = _write_tiles(
            images, Path(place), test_tiles=test_tiles, seed=seed, progress=progress
        )
        os.chmod(place, 0o755)
        Path(place).rename(out)  # all of it or nothing
        Path(place).mkdir()  # for the clean-up
    return counts


def _label_file(image: Path) -> Path:
    """Where the label map of a raw image is, if it has one."""
    folder = image.parents[1] / "5_Labels_for_participants"
    return folder / image.name.replace("RGBIR", "label")


def _write_tiles(
    images: list[Path],
    out: Path,
    *,
    test_tiles: int | None,
    seed: int,
    progress: Callable[[int, int], None],
) -> dict[str, int]:
    """Cuts images into tiles and writes the lists of the splits."""
    for name in ("imgs", "gt"):
        (out / name).mkdir()
    labelled, unlabelled = [], []
    for i, path in enumerate(images):
        try:
            image = halve(np.array(open_upright(path, channels=4)))
        except Exception as error:  # damage surfaces as any of a dozen kinds
            raise UserError(
                f"{path} must have R, G, B and infrared: {reason(error)}"
            ) from None
        truth, labels = _label_file(path), None
        if truth.is_file():
            with lenient, Image.open(truth) as file:
                labels = labels_from_colours(np.array(file.convert("RGB"))[::2, ::2])
        number = path.stem.removeprefix("top_potsdam_").removesuffix("_RGBIR")
        for row in range(image.shape[0] // TILE):
            for column in range(image.shape[1] // TILE):
                name = f"{number}_{row}_{column}"
                at = np.s_[
                    row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE
                ]
                scipy.io.savemat(out / "imgs" / f"{name}.mat", {"img": image[at]})
                if labels is None:
                    unlabelled.append(name)
                else:
                    tile = labels[at].astype(np.int32)
                    scipy.io.savemat(out / "gt" / f"{name}.mat", {"gt": tile})
                    labelled.append(name)
        progress(i + 1, len(images))
    if test_tiles is None:
        test_tiles = round(len(labelled) * 855 / 5400)
    drawn = np.random.default_rng(seed).permutation(len(labelled))
    test, rest = drawn[:test_tiles], drawn[test_tiles:]
    lists = {
        "labelled_train": [labelled[i] for i in sorted(rest)],
        "unlabelled_train": unlabelled,
        "labelled_test": [labelled[i] for i in sorted(test)],
    }
    for split, names in lists.items():
        (out / f"{split}.txt").write_text("".join(f"{name}\n" for name in names))
    (out / "debugged.out").touch()  # the authors' loader asks for it
    return {split: len(names) for split, names in lists.items()}


def join_tiles(
    tiles: dict[str, np.ndarray], *, missing: int = 0, border: int = 0
) -> dict[str, np.ndarray]:
    """Whole images of tiles named ``IMAGE_ROW_COLUMN``, as ``prepare`` names them.

    Args:
        tiles: Arrays ``(height, width)`` of one shape, by name.
        missing: Value where a tile is missing.
        border: Pixels along the sides of each tile that the next ones inward stand for,
            since a network predicts nothing there.

    Returns:
        Images by name.

    Raises:
        UserError: If a name is none of these, or shapes differ.
    """
    shapes = {tile.shape for tile in tiles.values()}
    require(
        len(shapes) == 1, "all tiles must have one shape", shapes=sorted(shapes)[:3]
    )
    places: dict[str, dict[tuple[int, int], np.ndarray]] = {}
    for name, tile in tiles.items():
        image, row, column = ["", *name.rsplit("_", 2)][-3:]
        require(
            bool(image) and row.isdecimal() and column.isdecimal(),
            "tiles must be named IMAGE_ROW_COLUMN",
            name=name,
        )
        if border and min(tile.shape) > 2 * border:
            inner = tile[border:-border, border:-border]
            tile = np.pad(inner, border, "edge")
        places.setdefault(image, {})[int(row), int(column)] = tile
    joined = {}
    for image, parts in places.items():
        rows, columns = (max(place[axis] for place in parts) + 1 for axis in (0, 1))
        gap = np.full_like(next(iter(parts.values())), missing)
        joined[image] = np.concatenate(
            [
                np.concatenate([parts.get((y, x), gap) for x in range(columns)], 1)
                for y in range(rows)
            ]
        )
    return joined
