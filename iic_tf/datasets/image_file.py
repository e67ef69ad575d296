"""One image file of any kind, opened upright in grey, colour or four bands.

Files are told by their content, not by their name. What is said about an image beside
its pixels, such as EXIF, may be damaged. Pillow reads most files; those of more than
8 bits, and TIFFs with bands beside the colours, it would cut, blend or refuse.
"""

import io
import logging
import struct
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
from PIL import Image, ImageOps

from iic_tf.datasets.value_range import Range, robust_range, sample_pixels, to_bytes
from iic_tf.errors import first_line

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP")

GREY_MODES = ("1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "I;16L")
DEEP_MODES = ("I", "F", "I;16", "I;16B", "I;16L")

MOST_PIXELS = 2**29
"""Of an image that is decoded: a square of 23,170 pixels."""

MANY_PIXELS = 2**25
"""Images of more are decoded one at a time."""

BYTES_PER_PIXEL = 16
"""Memory that decoding takes, for each pixel of 8 bits, and each band of more."""

LIGHT = 48
"""What is on average so near to white, of 255, is not seen on white."""

ORIENTATION = 0x0112
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_one_at_a_time = threading.RLock()


class _Lenient:
    """Within it Pillow has no bound of its own, and nobody warns of damaged EXIF.

    What is too large is refused by ``check_size``, and EXIF is no damage to an image.
    These settings are of the whole process, so the last to leave puts them back.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._within = 0
        self._before = ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            self._within += 1
            if self._within > 1:
                return
            self._before.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", module=r"PIL\.")
            most, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            self._before.callback(setattr, Image, "MAX_IMAGE_PIXELS", most)
            logger = logging.getLogger("tifffile")
            self._before.callback(logger.setLevel, logger.level)
            logger.setLevel(logging.CRITICAL)

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            self._within -= 1
            if not self._within:
                self._before.close()


lenient = _Lenient()
"""The one of the process: ``with lenient:`` around whatever decodes."""


@dataclass(frozen=True)
class Header:
    """What a file says of its image.

    Attributes:
        side: Shorter side in pixels.
        grey: Whether it has no colours.
        deep: Whether it has more than 8 bits.
        more_bands: How many bands a TIFF has, if some are beside grey or three colours;
            else 0.
        several: Whether it holds several images, of which the first is read.
    """

    side: int
    grey: bool
    deep: bool = False
    more_bands: int = 0
    several: bool = False


@dataclass
class Notes:
    """What was met while images were read, one entry for each image that has it.

    Attributes:
        without_value: Number of pixels that are not finite, or far below the range.
        on_black: Files whose visible part would not be seen on white.
        of_one_tone: Files whose pixels all came out alike.
    """

    without_value: list[int] = field(default_factory=list)
    on_black: list[Path] = field(default_factory=list)
    of_one_tone: list[Path] = field(default_factory=list)


class _Values(NamedTuple):
    """An image as its file has it.

    Attributes:
        values: Shape ``(height, width, bands)``.
        opacity: uint8, shape ``(height, width)``, or None.
        turn: See ``TURNS``.
        inverted: Whether 0 is white.
    """

    values: np.ndarray
    opacity: np.ndarray | None = None
    turn: int = 1
    inverted: bool = False


def reason(error: Exception) -> str:
    """Why a file cannot be read, as text."""
    if isinstance(error, Image.UnidentifiedImageError):
        return "not an image"
    return first_line(error)


def inspect(path: Path) -> Header | str:
    """What a file says of its image, or why it is none."""
    try:
        with path.open("rb") as file:
            start = file.read(32)
        with _first_page(path, start) as page:
            several = page is not None and _is_of_several(page)
            if page is not None and _is_of_bands(page):
                return Header(
                    min(page.imagewidth, page.imagelength),
                    grey=page.samplesperpixel < 3,
                    deep=_is_deep(page),
                    more_bands=(
                        0 if page.samplesperpixel in (1, 3) else page.samplesperpixel
                    ),
                    several=several,
                )
        if _is_deep_png(start):
            sides = struct.unpack(">II", start[16:24])
            return Header(min(sides), grey=start[25] in (0, 4), deep=True)
        with open_file(path) as image:
            # more images in a TIFF may be smaller copies, in a JPEG previews
            moves = image.format in ("GIF", "PNG", "WEBP")
            return Header(
                min(image.size),
                grey=image.mode in GREY_MODES,
                deep=image.mode in DEEP_MODES,
                several=several or (moves and getattr(image, "is_animated", False)),
            )
    except Exception as error:  # damage surfaces as any of a dozen kinds
        return reason(error)


def open_upright(
    path: Path,
    *,
    channels: int,
    at_least: int | None = None,
    shown: Range | None = None,
    notes: Notes | None = None,
) -> Image.Image:
    """Opens an image, turned upright, in grey, colour or four bands.

    What is transparent becomes white, or black where nothing would be seen on white. A
    band of a TIFF that goes beyond the colours is left out, never taken for opacity.

    Args:
        path: File of one of ``FORMATS``; of several images the first is read.
        channels: 1 for grey, 3 for colour, 4 for the bands of a file that has four.
        at_least: Sides in pixels that JPEGs must have; larger ones may come at a
            fraction of their size, which is several times faster.
        shown: Of images of more than 8 bits, the values that are black and white; what
            suits this one if None.
        notes: Collects remarks.

    Raises:
        Exception: Whatever a library raises for a damaged file; ValueError for an image
            that is too large for the memory, or has not the bands.
    """
    notes = notes or Notes()
    found = read_values(path)
    if found is not None:
        image = _as_image(found, channels, shown, notes)
        if found.opacity is not None:
            image = image.convert("RGB")
            image.putalpha(Image.fromarray(found.opacity))
            image = _on_ground(image, channels, path, notes)
        return _turned(image, found.turn)
    with open_file(path) as file:
        if at_least is not None:
            file.draft("RGB" if channels == 3 else "L", (at_least, at_least))
        with _room_for(file.size, BYTES_PER_PIXEL):
            turn = _turn(file)
            file.load()
            image = file
            if channels == 4:
                if len(image.getbands()) != 4:
                    raise ValueError(
                        f"it must have four bands, but its mode is {image.mode}"
                    )
                # one called alpha would be multiplied with the others in resizing
                image = Image.merge("CMYK", image.split())
            elif image.mode in DEEP_MODES:
                values = _Values(np.asarray(image)[..., None])
                image = _as_image(values, channels, shown, notes)
            elif image.mode in ("LA", "La", "RGBA", "RGBa", "PA") or (
                "transparency" in image.info
            ):
                image = _on_ground(image.convert("RGBA"), channels, path, notes)
            else:
                image = _in_mode(image, channels)
            return _turned(image, turn)


def decode(
    path: Path,
    *,
    side: int,
    channels: int,
    shown: Range | None = None,
    notes: Notes | None = None,
) -> np.ndarray:
    """Reads an image, turned upright, and fits its middle into a square.

    Args:
        path: File of one of ``FORMATS``; of several images the first is read.
        side: Side of the square in pixels.
        channels: 1 for grey, 3 for colour.
        shown: See ``open_upright``.
        notes: Collects remarks.

    Returns:
        uint8, shape ``(side, side, channels)``.

    Raises:
        Exception: See ``open_upright``.
    """
    opened = open_upright(
        path, channels=channels, at_least=2 * side, shown=shown, notes=notes
    )
    opened = ImageOps.fit(opened, (side, side), Image.Resampling.BILINEAR)
    image = np.asarray(opened, np.uint8).reshape(side, side, channels)
    note_tone(image, path, notes)
    return image


def note_tone(image: np.ndarray, path: Path, notes: Notes | None) -> None:
    """Notes an image all of whose pixels are alike, shape ``(…, channels)``."""
    if notes is not None and (image == image[:1, :1]).all():
        notes.of_one_tone.append(path)


def find_range(
    paths: Sequence[Path],
    over: Callable[..., Iterator[np.ndarray | None]] = map,
) -> Range:
    """The range of values that a folder's images of more than 8 bits are shown in.

    Args:
        paths: Some of the images.
        over: Maps a function over the paths.
    """
    return robust_range([found for found in over(_sampled, paths) if found is not None])


def _sampled(path: Path) -> np.ndarray | None:
    try:
        found = read_values(path)
        if found is None:
            with open_file(path) as image, _room_for(image.size, BYTES_PER_PIXEL):
                found = _Values(np.asarray(image)[..., None])
    except Exception:  # reading it for its pixels will say why
        return None
    values = found.values[..., : 3 if found.values.shape[-1] >= 3 else 1]
    if found.opacity is not None:
        values = np.where(found.opacity[..., None] > 0, values, np.nan)
    return sample_pixels(values)


# ------------------------------------------------------------- beside what Pillow reads


def read_values(path: Path) -> _Values | None:
    """An image of more than 8 bits, or of bands beside colours, as its file has it.

    Args:
        path: Of a file of any kind.

    Returns:
        None for images that Pillow reads as they are.
    """
    with path.open("rb") as file:
        start = file.read(32)
    if _is_deep_png(start):
        import imagecodecs

        size = struct.unpack(">II", start[16:24])
        with _room_for(size, 4 * BYTES_PER_PIXEL), _as_damage("PNG"):
            values = imagecodecs.png_decode(path.read_bytes())
        values = values.reshape(*values.shape[:2], -1)
        opacity = None
        if values.shape[-1] in (2, 4):
            opacity = (values[..., -1] >> 8).astype(np.uint8)
            values = values[..., :-1]
        with open_file(path) as image:
            return _Values(values, opacity, _turn(image))
    with _first_page(path, start) as page:
        if page is None or not _is_of_bands(page):
            return None
        if page.imagedepth > 1 or page.dtype.kind == "c":
            raise ValueError("it is a volume, or has complex values")
        size = (page.imagewidth, page.imagelength)
        room = _room_for(size, BYTES_PER_PIXEL * page.samplesperpixel)
        with room, _as_damage("TIFF"):
            values = page.asarray()
        values = np.moveaxis(values, 0, -1) if page.axes[0] == "S" else values
        values = values.reshape(*values.shape[:2], -1)
        turn = page.tags.get(274)
        return _Values(
            _without_nodata(values, page),
            turn=turn.value if turn else 1,
            inverted=page.photometric == 0,
        )


@contextmanager
def _as_damage(kind: str) -> Iterator[None]:
    """Names the kind of file in the error of a library that does not.

    Raises:
        ValueError: For whatever is raised within.
    """
    try:
        yield
    except Exception as error:
        raise ValueError(f"a damaged {kind} file ({first_line(error)})") from error


def _is_deep_png(start: bytes) -> bool:
    return start[:8] == b"\x89PNG\r\n\x1a\n" and start[24:25] == b"\x10"


@contextmanager
def _first_page(path: Path, start: bytes) -> Iterator[Any]:
    """The first page of a TIFF, or None for files of other kinds and damaged ones.

    Args:
        path: File of any kind.
        start: Its first bytes.
    """
    if start[:4] not in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        yield None
        return
    import tifffile

    with lenient:
        try:
            file = tifffile.TiffFile(path)
            page = file.pages[0]
        except Exception:  # Pillow may read it, or say what is wrong
            yield None
            return
        with file:
            yield page


def _is_deep(page: Any) -> bool:
    return page.dtype not in (np.uint8, np.bool_)


def _is_of_bands(page: Any) -> bool:
    """Whether Pillow would cut, blend or refuse a page of a TIFF."""
    usual = page.samplesperpixel in (1, 3) and not _is_deep(page)
    # others are palettes, or of inks and brightness, which Pillow converts
    known = page.photometric in (0, 1, 2) and page.dtype is not None
    return known and not usual


def _is_of_several(page: Any) -> bool:
    """Whether more pages follow that are neither smaller copies nor masks."""
    return any(not other.subfiletype & 5 for other in page.parent.pages[1:3])


def _without_nodata(values: np.ndarray, page: Any) -> np.ndarray:
    """Values of more than 8 bits, not a number where a TIFF says that there is none."""
    tag = page.tags.get(42113)
    if tag is None or values.dtype == np.uint8:
        return values
    try:
        nodata = values.dtype.type(float(str(tag.value).strip("\0 ")))
    except (ValueError, OverflowError):  # no number, or one that no pixel can have
        return values
    missing = values == nodata
    return np.where(missing, np.nan, values) if missing.any() else values


def _as_image(
    found: _Values, channels: int, shown: Range | None, notes: Notes
) -> Image.Image:
    """Grey, colour or four bands of an image as its file has it."""
    bands = found.values.shape[-1]
    if channels == 4 and bands != 4:
        raise ValueError(f"it must have four bands, but has {bands}")
    values = found.values[..., : channels if channels == 4 else 3 if bands >= 3 else 1]
    if values.dtype not in (np.uint8, np.bool_):
        if shown is None:
            shown = robust_range([sample_pixels(values)])
        values, missing = to_bytes(values, shown)
        if missing:
            notes.without_value.append(missing)
    values = np.ascontiguousarray(255 - values if found.inverted else values)
    if channels == 4:  # a mode whose bands Pillow resizes each for itself
        return Image.merge(
            "CMYK", [Image.fromarray(b) for b in np.moveaxis(values, -1, 0)]
        )
    image = Image.fromarray(values if values.shape[-1] == 3 else values[..., 0])
    return _in_mode(image, channels)


# ----------------------------------------------------------------------- with Pillow


@contextmanager
def open_file(path: Path) -> Iterator[Image.Image]:
    """Opens an image; where that fails, without what is said beside its pixels."""
    with lenient:
        try:
            image = Image.open(path, formats=FORMATS)
        except Exception as error:
            bare = _bare(path.read_bytes())
            if bare is None:
                raise
            try:
                image = Image.open(io.BytesIO(bare), formats=FORMATS)
            except Exception:
                raise error from None
        with image:
            yield image


def _bare(data: bytes) -> bytes | None:
    """A PNG or JPEG file without anything that its pixels do not need.

    Args:
        data: A file of any kind.

    Returns:
        None for files of other kinds.
    """
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        kept, at = [data[:8]], 8
        while at + 8 <= len(data):
            end = at + 12 + int.from_bytes(data[at : at + 4], "big")
            if data[at + 4 : at + 8] in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"):
                kept.append(data[at:end])
            at = end
        return b"".join(kept)
    if data[:2] == b"\xff\xd8":
        kept, at = [data[:2]], 2
        while data[at : at + 1] == b"\xff" and data[at + 1 : at + 2] != b"\xda":
            end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
            if end == at + 2:
                return None
            # applications' segments and comments
            if not (0xE0 <= data[at + 1] <= 0xEF or data[at + 1] == 0xFE):
                kept.append(data[at:end])
            at = end
        return b"".join([*kept, data[at:]])
    return None


def _turn(image: Image.Image) -> int:
    """How an image is to be turned, see ``TURNS``; 1 where it does not say."""
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # damage surfaces as any of a dozen kinds
        return 1


def _in_mode(image: Image.Image, channels: int) -> Image.Image:
    mode = "RGB" if channels == 3 else "L"
    return image if image.mode == mode else image.convert(mode)


def _turned(image: Image.Image, turn: int) -> Image.Image:
    return image.transpose(TURNS[turn]) if turn in TURNS else image


def _on_ground(
    image: Image.Image, channels: int, path: Path, notes: Notes
) -> Image.Image:
    """An image of mode RGBA in grey or colour, on a ground on which it is seen."""
    mode = "RGB" if channels == 3 else "L"
    small = image.resize([min(side, 64) for side in image.size])
    opacity = np.asarray(small.getchannel("A"), np.float64)
    colours = np.asarray(small.convert("RGB").convert(mode), np.float64)
    darkness = (255 - colours.reshape(*opacity.shape, -1)).max(axis=-1)
    clear = opacity.min() < 250
    light = clear and (darkness * opacity).sum() < LIGHT * opacity.sum()
    if light:
        notes.on_black.append(path)
    ground = Image.new("RGBA", image.size, "black" if light else "white")
    ground.alpha_composite(image)
    return ground.convert(mode)


@contextmanager
def _room_for(size: Sequence[int], bytes_per_pixel: int) -> Iterator[None]:
    """Refuses an image that is too large; large ones wait for one another.

    Args:
        size: Width and height in pixels.
        bytes_per_pixel: Memory that decoding takes.

    Raises:
        ValueError: If it has more than ``MOST_PIXELS``, or would take more than half of
            the machine's memory.
    """
    check_size(size, bytes_per_pixel)
    if size[0] * size[1] <= MANY_PIXELS:
        yield
    else:
        with _one_at_a_time:
            yield


def check_size(size: Sequence[int], bytes_per_pixel: int = BYTES_PER_PIXEL) -> None:
    """Raises ValueError for an image that is too large, see ``_room_for``."""
    memory = psutil.virtual_memory().total / 2
    most = min(MOST_PIXELS, int(memory / bytes_per_pixel))
    if size[0] * size[1] > most:
        raise ValueError(
            f"too many pixels ({size[0]:,}×{size[1]:,}; at most {most / 1e6:,.0f} "
            "million can be decoded on this machine)"
        )
