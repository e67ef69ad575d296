"""Labels of some images, from tables that people write: one row per image.

The first row is a header. Tables may come from any spreadsheet: with commas, semicolons
or tabs, a byte order mark, quotes and blanks around cells.
"""

import codecs
import csv
import io
import os
import posixpath
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from iic_tf.errors import UserError, require
from iic_tf.names import cell_text, escaped

CLASS_COLUMNS = ("class", "label")
"""Headings of the column of classes, the first that occurs; else it is the second."""

NO_CLASSES = ("cluster", "confidence", "runner_up", "unsure", "predicted")
"""Headings of columns that the program writes, which hold no class that a user gave."""

NAMED_HEADER = ("class", "confidence", "cluster")
"""Headings of named images after the first: names that the program gave itself."""


class Row(NamedTuple):
    """What a table says of one image.

    Attributes:
        place: Where it says so, as in "line 3 of labels.csv".
        image: The first cell as it stands.
        name: The class; empty if it is not filled in.
    """

    place: str
    image: str
    name: str


class Table(NamedTuple):
    """A table of labels.

    Attributes:
        header: What the first cell of the header is, as a row without a class.
        rows: All rows below it.
    """

    header: Row
    rows: list[Row]


class Labels(NamedTuple):
    """What all tables say.

    Attributes:
        numbers: Numbers of the labelled images, rising, shape ``(m,)``.
        classes: Class of each, an index of ``names``, shape ``(m,)``.
        names: Names of the classes that occur.
        skipped: Numbers of images whose class was left empty, shape ``(s,)``.
    """

    numbers: np.ndarray
    classes: np.ndarray
    names: tuple[str, ...]
    skipped: np.ndarray


# ------------------------------------------------------------------------- one table


def _text_of(path: Path) -> str:
    """The text of a table; raises UserError if it is none."""
    told = f"the labels {path} must be a text file of comma-separated values"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{told}: {error.strerror}") from None
    if data[:2] == b"PK":
        raise UserError(f"{told}, not a workbook; save its sheet as CSV")
    if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        text = data.decode("utf-16", "replace")
    else:  # paths may hold bytes that are no text
        text = data.decode("utf-8-sig", "surrogateescape")
    require("\0" not in text, told, first_bytes=data[:8])
    require(
        bool(text.strip()),
        f"the labels {path} must begin with a header such as path,class",
        bytes=len(data),
    )
    return text


def _separator(text: str) -> str:
    """Comma, semicolon or tab, whichever the header has most of outside of quotes."""
    header = re.sub(r'"[^"]*"', "", text.lstrip("\r\n").splitlines()[0])
    return max(",;\t", key=header.count)


def _class_column(header: Sequence[str], path: Path) -> int:
    """Which column holds the classes; raises UserError if there is none."""
    lowered = [cell.strip().lower() for cell in header]
    require(
        len(header) > 1,
        f"the header of {path} must have two columns, such as path,class",
        header=header[0],
    )
    if tuple(lowered[1:]) == NAMED_HEADER:
        raise UserError(
            f"{path} holds names that were given by the program; labels must be given "
            "by a person"
        )
    for name in CLASS_COLUMNS:
        if name in lowered[1:]:
            return lowered.index(name, 1)
    require(
        lowered[1] not in NO_CLASSES,
        f"the header of {path} must call the column of classes class or label",
        header=",".join(header),
    )
    return 1


def read_label_table(path: Path) -> Table:
    """Reads a table of images and their classes.

    The first column names images, by path or by number. Classes are in the column that
    is headed class or label, else in the second one.

    Args:
        path: The file.

    Raises:
        UserError: If it is no table, or has no header or no column of classes.
    """
    text = _text_of(path)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=_separator(text))
    filled = (cells for cells in lines if any(cell.strip() for cell in cells))
    rows: list[Row] = []
    try:
        header = next(filled)
        column = _class_column(header, path)
        first = Row(f"line {lines.line_num} of {path}", header[0], "")
        for cells in filled:
            name = cell_text(cells[column].strip()) if column < len(cells) else ""
            place = f"line {lines.line_num} of {path}"
            require(
                escaped(name) == name,
                f"{place} must have a class in UTF-8 without control characters",
                **{"class": escaped(name)},
            )
            rows.append(Row(place, cells[0], name))
    except csv.Error as error:
        raise UserError(
            f"line {lines.line_num} of {path} cannot be read: {error}"
        ) from None
    return Table(first, rows)


# ---------------------------------------------------------------- which image is meant


def by_number(number: int) -> Callable[[str], list[int]]:
    """Finds images that are known by number.

    Args:
        number: Images there are.

    Returns:
        Function of a cell to the numbers that it may mean: one or none.
    """

    def find(cell: str) -> list[int]:
        text = cell.strip()
        fits = text.isascii() and text.isdigit() and int(text) < number
        return [int(text)] if fits else []

    return find


def by_path(paths: Sequence[str], root: Path) -> Callable[[str], list[int]]:
    """Finds images that are known by path.

    Args:
        paths: Path of each image relative to ``root``, with "/".
        root: Their folder.

    Returns:
        Function of a cell to the numbers of the images that it may mean. A cell is the
        path relative to ``root``, or else to where the program runs, or absolute, or
        the end of a path, such as the file name.
    """
    number_of = {path: i for i, path in enumerate(paths)}
    of_name = defaultdict(list)
    for i, path in enumerate(paths):
        of_name[posixpath.basename(path)].append(i)
    roots = {Path(os.path.abspath(root)), root.resolve()}

    def inside(text: str) -> list[int]:
        place = Path(os.path.abspath(Path(text).expanduser()))
        ways = {place, place.resolve()}
        pairs = [(way, folder) for way in ways for folder in roots]
        known = {w.relative_to(f).as_posix() for w, f in pairs if f in w.parents}
        return sorted({number_of[name] for name in known if name in number_of})

    def find(cell: str) -> list[int]:
        for text in (cell, cell_text(cell), cell_text(cell.strip())):
            if text in number_of:
                return [number_of[text]]
        text = text.replace("\\", "/")
        if not text or "\0" in text:
            return []
        end = posixpath.normpath(text)
        if end in number_of:
            return [number_of[end]]
        ends = [
            i for i in of_name[posixpath.basename(end)] if paths[i].endswith(f"/{end}")
        ]
        return inside(text) or ends

    return find


# ------------------------------------------------------------------------- all tables


def _found(
    rows: Sequence[Row], find: Callable[[str], list[int]], expected: str
) -> list[int]:
    """The image that each row with a class is about.

    Raises:
        UserError: If one is about none, or may be about several.
    """
    found = [find(row.image) for row in rows]
    wrong = [i for i, numbers in enumerate(found) if len(numbers) != 1]
    if wrong:
        row, numbers = rows[wrong[0]], found[wrong[0]]
        others = f" (and {len(wrong) - 1:,} more)" * (len(wrong) > 1)
        several: dict[str, Any] = {"images_of_that_name": len(numbers)}
        require(
            False,
            f"{row.place}{others} must name an image of the run: {expected}",
            image=escaped(row.image.strip()),
            **(several if numbers else {}),
        )
    return [numbers[0] for numbers in found]


def _natural(name: str) -> tuple[int, str]:
    """Numbers in their order, then all else in that of the alphabet."""
    return (int(name), "") if name.isascii() and name.isdigit() else (2**63, name)


def merge_tables(
    tables: Sequence[Table], find: Callable[[str], list[int]], *, expected: str
) -> Labels:
    """Puts together what all tables say.

    Args:
        tables: From ``read_label_table``.
        find: From ``by_number`` or ``by_path``.
        expected: How images are named, as text.

    Raises:
        UserError: If a header is missing, an image is not found or has two classes, or
            no image has a class.
    """
    for header, _ in tables:
        require(
            not find(header.image),
            f"{header.place} must be a header such as path,class",
            image=escaped(header.image.strip()),
        )
    rows = [row for table in tables for row in table.rows]
    labelled = [row for row in rows if row.name]
    require(
        bool(labelled),
        "the labels must hold an image with a class; fill in the column of classes",
        images=len(rows),
    )
    said: dict[int, Row] = {}
    for row, number in zip(labelled, _found(labelled, find, expected), strict=True):
        before = said.setdefault(number, row)
        require(
            before.name == row.name,
            f"{row.place} must have the same class as {before.place}, for the same "
            "image",
            image=escaped(row.image.strip()),
            classes=[before.name, row.name],
        )
    names = sorted({row.name for row in said.values()}, key=_natural)
    index = {name: i for i, name in enumerate(names)}
    numbers = sorted(said)
    left_empty = [find(row.image) for row in rows if not row.name]
    skipped = {found[0] for found in left_empty if len(found) == 1}
    return Labels(
        np.array(numbers, np.int64),
        np.array([index[said[i].name] for i in numbers], np.int64),
        tuple(names),
        np.array(sorted(skipped - said.keys()), np.int64),
    )
