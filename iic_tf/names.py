"""Names of files, folders and classes: as they are shown, drawn, tabled and written.

Any name that a file system allows may occur: with control codes, with signs that a font
lacks, with bytes that are no text, with what a spreadsheet takes for a formula.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from iic_tf.errors import UserError, require

LONGEST_DRAWN = 32
"""Signs of a name that are drawn at most; of longer ones the middle is left out."""

LONGEST_PART = 200
"""Bytes of a written file's or folder's name; file systems allow 255, endings apart."""

_DIRECTIONS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def escaped(text: str, *, keep: str = "") -> str:
    r"""Text in which whatever could steer a terminal is written out.

    Args:
        text: Any text; bytes of a file name that are no UTF-8 are surrogates in it.
        keep: Control codes that stay, such as line ends.

    Returns:
        Control codes as ``\x1b``, bytes that are no text as ``\xff``, line separators
        and turns of the writing direction as ``\u202e``.

    Examples:
        >>> from iic_tf.names import escaped
        >>> print(escaped("red \x1b[31m"))
        red \x1b[31m
    """

    def shown(sign: str) -> str:
        if sign in keep:
            return sign
        if "\udc80" <= sign <= "\udcff":  # see PEP 383
            return f"\\x{ord(sign) - 0xDC00:02x}"
        steers = unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp")
        if steers or sign in _DIRECTIONS:
            return ascii(sign)[1:-1]
        return sign

    return text if text.isascii() and text.isprintable() else "".join(map(shown, text))


_BYTES = {0xDC00 + byte: 0x10DC00 + byte for byte in range(0x80, 0x100)}


def storable(text: str) -> str:
    r"""A name as YAML can hold it: bytes that are no text are signs for private use.

    Args:
        text: Any name; the byte 0xe9 becomes U+10DCE9.

    Examples:
        >>> from iic_tf.names import storable
        >>> name = b"caf\xe9.jpg".decode("utf-8", "surrogateescape")
        >>> ascii(storable(name))
        "'caf\\U0010dce9.jpg'"
    """
    return text.translate(_BYTES)


def restored(text: str) -> str:
    r"""The name that ``storable`` was given.

    Examples:
        >>> from iic_tf.names import restored, storable
        >>> name = b"caf\xe9.jpg".decode("utf-8", "surrogateescape")
        >>> restored(storable(name)) == name
        True
    """
    return text.translate({stored: byte for byte, stored in _BYTES.items()})


def plain(text: str) -> str:
    r"""A name for a folder that TensorFlow can write to: no control codes, not long.

    Args:
        text: The name of a file or folder of the user's.

    Examples:
        >>> from iic_tf.names import plain
        >>> plain("line\nend")
        'line_end'
        >>> len(plain(300 * "a"))
        100
    """
    kept = "".join("_" if escaped(sign) != sign else sign for sign in text)
    return shortened_part(kept, LONGEST_PART // 2)


def shortened_part(text: str, at_most: int) -> str:
    """The first so many bytes of a name, without half a sign at the end.

    Examples:
        >>> from iic_tf.names import shortened_part
        >>> shortened_part("café.jpg", 4)  # the é would need two bytes
        'caf'
    """
    data = text.encode("utf-8", "surrogateescape")
    if len(data) <= at_most:
        return text
    cut = data[:at_most]
    # a byte 10xxxxxx goes on with what was begun before
    while cut and data[len(cut)] & 0xC0 == 0x80:
        cut = cut[:-1]
    return cut.decode("utf-8", "surrogateescape")


# ------------------------------------------------------------------------------ tables


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    """Rows as CSV, safe to be opened in a spreadsheet.

    A text that begins with one of ``= + - @``, a tab, a line end or an apostrophe is
    preceded by an apostrophe, which whoever reads the file takes off again. Cells with
    line ends, commas or quotes are quoted.

    Args:
        rows: Rows of cells; what is no text is written as ``str`` says.

    Examples:
        >>> from iic_tf.names import csv_text
        >>> print(csv_text([("name", "share"), ("=SUM(A1)", 0.5), ("a, b", 1)]), end="")
        name,share
        '=SUM(A1),0.5
        "a, b",1
    """
    return "".join(",".join(map(_cell, row)) + "\n" for row in rows)


FORMULAS = tuple("=+-@\t\r\n'")
"""What a spreadsheet would take for the beginning of a formula, or drop."""


def cell_text(cell: str) -> str:
    """The text that stands in a cell of ``csv_text``, without the apostrophe before it.

    Args:
        cell: What a reader of CSV makes of the cell.

    Examples:
        >>> from iic_tf.names import cell_text
        >>> cell_text("'=SUM(A1)"), cell_text("it's")
        ('=SUM(A1)', "it's")
    """
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(FORMULAS) else cell


def _cell(value: object) -> str:
    text = str(value)
    if isinstance(value, str) and text.startswith(FORMULAS):
        text = f"'{text}"
    if any(sign in text for sign in ',"\r\n'):
        text = '"' + text.replace('"', '""') + '"'
    return text


# ----------------------------------------------------------------------------- figures


@cache
def _glyphs() -> frozenset[int]:
    """The signs that the font of figures has."""
    from matplotlib import font_manager

    path = font_manager.findfont(font_manager.FontProperties())
    return frozenset(font_manager.get_font(path).get_charmap())


def drawable(text: str) -> str:
    r"""Text as matplotlib draws it: as it stands, without formulas or warnings.

    Args:
        text: A heading or the like; signs that the font lacks become squares.

    Examples:
        >>> from iic_tf.names import drawable
        >>> print(drawable("_5 $ to 9 $"))
         _5 \$ to 9 \$
    """
    known = _glyphs()
    text = "".join(c if ord(c) in known else "□" for c in escaped(text))
    # a legend leaves out what begins with an underscore
    return (" " * text.startswith("_") + text).replace("$", r"\$")


def readable_names(names: Sequence[str]) -> list[str]:
    r"""Names of classes that ``drawable`` leaves as they are.

    Args:
        names: Name of each class.

    Returns:
        Each as it stands, long ones shortened; its number, as in "class 3", where the
        font lacks a sign of it.

    Examples:
        >>> from iic_tf.names import readable_names
        >>> readable_names(["cat", "\U0001f415"])  # fonts of figures have no dog
        ['cat', 'class 1']
        >>> readable_names([40 * "a" + "z"])
        ['aaaaaaaaaaaaaaaa…aaaaaaaaaaaaaaz']
    """
    known = _glyphs()

    def shown(number: int, name: str) -> str:
        name = escaped(name)
        if not all(ord(sign) in known for sign in name):
            return f"class {number}"
        if len(name) > LONGEST_DRAWN:
            name = f"{name[: LONGEST_DRAWN // 2]}…{name[1 - LONGEST_DRAWN // 2 :]}"
        return name

    return [shown(i, name) for i, name in enumerate(names)]


# ----------------------------------------------------------------------- written files


def read_names(path: Path) -> list[str]:
    r"""Names of images, without folders, from a list.

    Args:
        path: Text of names with blanks or line ends between them.

    Raises:
        UserError: If the list is no text, or a name is none of a file.

    Examples:
        >>> from pathlib import Path
        >>> from iic_tf.names import read_names
        >>> written = Path("list.txt").write_text("cat.jpg dog.jpg\n")
        >>> read_names(Path("list.txt"))
        ['cat.jpg', 'dog.jpg']
    """
    try:
        names = path.read_text(encoding="utf-8").split()
    except UnicodeDecodeError:
        raise UserError(
            f"the list {path} must be UTF-8 text with one image name per line"
        ) from None
    for name in names:
        require(
            name not in (".", "..") and not any(sign in name for sign in "/\\\0"),
            f"the list {path} must hold image names without folders",
            name=name,
        )
    return names


def written_stems(names: Sequence[str]) -> list[str]:
    """Paths, without endings, under which results of images are written.

    Args:
        names: Relative path of each image, with "/".

    Returns:
        For each the path without its ending where no other image has the same, else
        with it and if need be a number. No two are alike, none is also a folder once an
        ending of four signs is added, and no name in them is too long.

    Raises:
        UserError: If a path leads out of its folder.

    Examples:
        >>> from iic_tf.names import written_stems
        >>> written_stems(["a/cat.jpg", "a/dog.jpg", "a/dog.png"])
        ['a/cat', 'a/dog.jpg', 'a/dog.png']
    """
    for name in names:
        parts = name.split("/")
        require(
            not {"", ".", ".."} & set(parts),
            "image names must be paths inside their folder",
            name=name,
        )
    stems = [_without_ending(name) for name in names]
    number_of = Counter(stem.casefold() for stem in stems)
    folders = {
        "/".join(parts[:depth]).casefold()
        for parts in (name.split("/") for name in names)
        for depth in range(1, len(parts))
    }

    def fits(stem: str) -> bool:
        key = stem.casefold()
        return key not in taken and not {f"{key}.png", f"{key}.jpg"} & folders

    taken: set[str] = set()
    written: list[str] = [""] * len(names)
    # those that keep their own name come first
    order = sorted(range(len(names)), key=lambda i: number_of[stems[i].casefold()] > 1)
    for i in order:
        alone = number_of[stems[i].casefold()] == 1
        place, slash, last = (stems[i] if alone else names[i]).rpartition("/")
        wanted = place + slash + shortened_part(last, LONGEST_PART)
        stem, number = wanted, 1
        while not fits(stem):
            number += 1
            stem = f"{wanted}-{number}"
        taken.add(stem.casefold())
        written[i] = stem
    return written


def as_folders(names: Sequence[str]) -> list[str]:
    """A folder's name for each name of a cluster or class.

    Args:
        names: Any, no two alike.

    Returns:
        Each without what a file system or a shell takes for more than a name, not long,
        and no two alike, whether or not upper and lower case differ.

    Examples:
        >>> from iic_tf.names import as_folders
        >>> as_folders(["cats/dogs", "Other", "other", ".."])
        ['cats_dogs', 'Other', 'other-2', '_']
    """
    taken: set[str] = set()
    return [_free(_as_part(name), taken) for name in names]


def _as_part(name: str) -> str:
    """A name that is a single, visible part of a path on any system."""
    part = "".join("_" if sign in '/\\:*?"<>|' else sign for sign in plain(name))
    part = part.strip().rstrip(".")  # Windows drops what is at the end
    return f"_{part}" if not part or part[0] in ".-" else part


def _free(name: str, taken: set[str]) -> str:
    """The name, with a number before its ending if it is taken; it is taken then."""
    stem, number = _without_ending(name), 1
    found = name
    while found.casefold() in taken:
        number += 1
        found = f"{stem}-{number}{name[len(stem) :]}"
    taken.add(found.casefold())
    return found


def as_files(paths: Sequence[str]) -> list[str]:
    """File names of paths, for a single folder.

    Args:
        paths: With "/" between their parts.

    Returns:
        The last part of each, with a number before its ending where another has it.

    Examples:
        >>> from iic_tf.names import as_files
        >>> as_files(["a/1.jpg", "b/1.jpg", "b/2.jpg"])
        ['1.jpg', '1-2.jpg', '2.jpg']
    """
    taken: set[str] = set()
    return [_free(path.rpartition("/")[2], taken) for path in paths]


def _without_ending(name: str) -> str:
    place, slash, last = name.rpartition("/")
    stem, dot, _ = last.rpartition(".")
    return place + slash + (stem if dot and stem.strip(".") else last)
