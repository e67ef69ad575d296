"""More folders of images, made from what packages bring along.

``python benchmarks/unseen.py OUT --fonts FONTS --cifar FOLDER`` writes folders with a
folder per class, for ``benchmarks/folders.py OUT`` and ``benchmarks/baselines.py``:

- ``faces``: 100 faces and 100 other things of 25 pixels, from scikit-image;
- ``crops``: squares of ten photographs of scikit-image, a class per photograph;
- ``kana``, ``katakana`` and ``greek``: 22 characters of each, or all 24 letters, in
  every font below FONTS that has them;
- ``three_of_cifar`` and ``other_three_of_cifar``: 1,000 aeroplanes, cars and frogs
  each, or horses, ships and lorries, of CIFAR-10 as folders FOLDER/train/CLASS.

What was made when is in docs/results.md: some had been looked at when a rule was found.

Without its option a folder is left out. Needs ``pip install scikit-image``.
"""

import argparse
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

PHOTOGRAPHS = (
    *("brick.png", "cell.png", "coins.png", "grass.png", "gravel.png"),
    *("hubble_deep_field.jpg", "ihc.png", "motorcycle_left.png", "page.png"),
    "retina.jpg",
)
SIDE, FONT_SIZE, CANVAS = 48, 44, 64
CHARACTERS = {
    "kana": "あいうおかきけさしすそたてとなねのはまゆらを",
    "katakana": "アイウオカキケサシスソタテトナネノハマユラヲ",
    "greek": "αβγδεζηθικλμνξοπρστυφχψω",
}
CLASSES = {
    "three_of_cifar": ("airplane", "automobile", "frog"),
    "other_three_of_cifar": ("horse", "ship", "truck"),
}
EACH = 1000

Named = tuple[str, Image.Image]
"""A class and an image of it."""


def faces(data: Path) -> Iterator[Named]:
    """Halves of an array, the first of faces."""
    images = np.load(data / "lfw_subset.npy")
    for number, image in enumerate(images):
        kind = "face" if number < len(images) // 2 else "other"
        yield kind, Image.fromarray((255 * image).astype(np.uint8))


def crops(data: Path) -> Iterator[Named]:
    """Squares side by side."""
    for name in PHOTOGRAPHS:
        image = Image.open(data / name).convert("RGB")
        for y in range(0, image.height - SIDE + 1, SIDE):
            for x in range(0, image.width - SIDE + 1, SIDE):
                yield Path(name).stem, image.crop((x, y, x + SIDE, y + SIDE))


def in_fonts(fonts: Path, characters: str) -> Iterator[Named]:
    """Characters in all fonts that draw each of them in its own way, each font once."""
    seen: set[bytes] = set()
    for path in sorted(fonts.rglob("*")):
        try:
            font = ImageFont.truetype(path, FONT_SIZE)
            drawn = [draw(font, character) for character in characters]
        except OSError:  # no font, or one that FreeType does not read
            continue
        different = {image.tobytes() for image in drawn}
        if len(different) < len(characters) or different <= seen:
            continue
        seen |= different
        yield from zip(characters, drawn, strict=True)


def draw(font: ImageFont.FreeTypeFont, character: str) -> Image.Image:
    """Black on white."""
    image = Image.new("L", (CANVAS, CANVAS), 255)
    middle = (CANVAS // 2, CANVAS // 2)
    ImageDraw.Draw(image).text(middle, character, font=font, fill=0, anchor="mm")
    return image


def some_of_cifar(cifar: Path, classes: tuple[str, ...]) -> Iterator[Named]:
    """The first of some classes."""
    for kind in classes:
        for path in sorted((cifar / "train" / kind).iterdir())[:EACH]:
            yield kind, Image.open(path)


def main() -> None:
    """Writes and prints."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--fonts", type=Path, help="folder of fonts")
    parser.add_argument("--cifar", type=Path, help="folder with train/CLASS")
    arguments = parser.parse_args()
    package = importlib.util.find_spec("skimage")
    if package is None or package.origin is None:
        parser.error("there is no scikit-image: pip install scikit-image")
    for place in filter(None, (arguments.fonts, arguments.cifar)):
        if not place.is_dir():
            parser.error(f"{place} must be a folder")
    data = Path(package.origin).parent / "data"
    made = {"faces": faces(data), "crops": crops(data)}
    if arguments.fonts:
        for name, characters in CHARACTERS.items():
            made[name] = in_fonts(arguments.fonts, characters)
    if arguments.cifar:
        for name, classes in CLASSES.items():
            made[name] = some_of_cifar(arguments.cifar, classes)
    for name, images in made.items():
        count = 0
        for count, (kind, image) in enumerate(images, start=1):
            folder = arguments.out / name / kind
            folder.mkdir(parents=True, exist_ok=True)
            image.save(folder / f"{count}.png")
        print(f"{name}: {count} images in {arguments.out / name}")


if __name__ == "__main__":
    main()
