"""COCO-Stuff as it is distributed: where files lie, and which classes are told apart.

Layouts and tables are those of reference sections 3.9 and appendix A (the public label
set of 182 classes, 91 things and 91 stuff).
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import scipy.io

from iic_tf.datasets.image_folder import on_all_cores
from iic_tf.datasets.masks import IGNORE, Item, decode_labels
from iic_tf.errors import UserError, require
from iic_tf.names import read_names

_FINE = """
    person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light,
    fire hydrant, street sign, stop sign, parking meter, bench, bird, cat, dog, horse,
    sheep, cow, elephant, bear, zebra, giraffe, hat, backpack, umbrella, shoe, eye
    glasses, handbag, tie, suitcase, frisbee, skis, snowboard, sports ball, kite,
    baseball bat, baseball glove, skateboard, surfboard, tennis racket, bottle, plate,
    wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange,
    broccoli, carrot, hot dog, pizza, donut, cake, chair, couch, potted plant, bed,
    mirror, dining table, crop, desk, toilet, door, tv, laptop, mouse, remote,
    keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, blender, book,
    clock, vase, scissors, teddy bear, hair drier, toothbrush, hair brush, banner,
    blanket, branch, bridge, building-other, bush, cabinet, cage, cardboard, carpet,
    ceiling-other, ceiling-tile, cloth, clothes, clouds, counter, cupboard, curtain,
    desk-stuff, dirt, door-stuff, fence, floor-marble, floor-other, floor-stone,
    floor-tile, floor-wood, flower, fog, food-other, fruit, furniture-other, grass,
    gravel, ground-other, hill, house, leaves, light, mat, metal, mirror-stuff, moss,
    mountain, mud, napkin, net, paper, pavement, pillow, plant-other, plastic, platform,
    playingfield, railing, railroad, river, road, rock, roof, rug, salad, sand, sea,
    shelf, sky-other, skyscraper, snow, solid-other, stairs, stone, straw,
    structural-other, table, tent, textile-other, towel, tree, vegetable, wall-brick,
    wall-concrete, wall-other, wall-panel, wall-stone, wall-tile, wall-wood,
    water-other, waterdrops, crop-blind, crop-other, wood
"""

FINE_NAMES = tuple(" ".join(_FINE.split()).split(", "))
"""Names of the fine classes."""

NUM_FINE = 182

_COARSE: tuple[tuple[str, str], ...] = (
    ("electronic", "71-76"),
    ("appliance", "77-82"),
    ("food", "51-60"),
    ("furniture", "61-70"),
    ("indoor", "83-90"),
    ("kitchen", "43-50"),
    ("accessory", "25-32"),
    ("animal", "15-24"),
    ("outdoor", "9-14"),
    ("person", "0"),
    ("sports", "33-42"),
    ("vehicle", "1-8"),
    ("ceiling", "101-102"),
    ("floor", "100 113-117"),
    ("food stuff", "120-121 152 169"),
    ("furniture stuff", "97 106-107 109 111 122 129 132 155 160 164"),
    ("raw material", "99 131 138 142"),
    ("textile", "91-92 103-104 108 130 136 140 151 166-167"),
    ("wall", "170-176"),
    ("window", "179-180"),
    ("building", "94-95 127 150 157 165"),
    ("ground", "110 124-125 135 139 143-144 146 148 153 158"),
    ("plant", "93 96 118 123 128 133 141 162 168"),
    ("sky", "105 156"),
    ("solid", "126 134 149 159 161 181"),
    ("structural", "98 112 137 145 163"),
    ("water", "119 147 154 177-178"),
)

FIRST_STUFF = 12
"""Coarse classes from here on are stuff, those before are things."""


def _fine_ids(ranges: str) -> Iterator[int]:
    for part in ranges.split():
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def fine_to_coarse() -> np.ndarray:
    """Coarse class, 0 to 26, of each of the 182 fine classes."""
    table = np.full(NUM_FINE, IGNORE, np.uint8)
    for coarse, (_, ranges) in enumerate(_COARSE):
        table[list(_fine_ids(ranges))] = coarse
    return table


def class_table(kind: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Which classes are told apart, by the name of the published task.

    Args:
        kind: ``"few"`` for sky, plant and ground, with ``"_people"``, ``"_animals"`` or
            ``"_people_animals"`` for one or two more; ``"full"`` for the 15 coarse
            classes of stuff, ``"full_things"`` for all 27 coarse ones,
            ``"full_fine"`` for the 91 fine ones of stuff, ``"full_things_fine"`` for
            all 182.

    Returns:
        Class, or ``IGNORE``, of each value of a label map, uint8, shape ``(256,)``, and
        the names of the classes.

    Raises:
        UserError: For any other kind.
    """
    names = [name for name, _ in _COARSE]
    coarse = fine_to_coarse()
    table = np.full(256, IGNORE, np.uint8)
    few = {
        "few": (),
        "few_people": ("person",),
        "few_animals": ("animal",),
        "few_people_animals": ("person", "animal"),
    }
    if kind in few:
        wanted = ("sky", "plant", "ground", *few[kind])
        for i, name in enumerate(wanted):
            table[np.flatnonzero(coarse == names.index(name))] = i
        return table, wanted
    if kind == "full_things":
        table[:NUM_FINE] = coarse
        return table, tuple(names)
    if kind == "full":
        stuff = coarse >= FIRST_STUFF
        table[:NUM_FINE][stuff] = coarse[stuff] - FIRST_STUFF
        return table, tuple(names[FIRST_STUFF:])
    if kind == "full_things_fine":
        table[:NUM_FINE] = np.arange(NUM_FINE)
        return table, FINE_NAMES
    if kind == "full_fine":
        fine = np.flatnonzero(coarse >= FIRST_STUFF)
        table[fine] = np.arange(len(fine))
        return table, tuple(FINE_NAMES[i] for i in fine)
    raise UserError(
        f"classes must be one of {', '.join(few)}, full, full_things, full_fine, "
        f"full_things_fine. Received: classes={kind!r}"
    )


def curated_list(kind: str) -> str:
    """Name of the authors' list of images for a kind of ``class_table``."""
    if not kind.startswith("few"):
        return "Coco164kFull_Stuff_Coarse_7"
    return "_".join(("Coco164kFew_Stuff", *kind.title().split("_")[1:], "6"))


def is_10k(root: Path) -> bool:
    """Whether a folder holds COCO-Stuff 10k, which has ``imageLists``."""
    return (root / "imageLists").is_dir()


def list_164k(root: Path, split: str, *, curated: str | None = None) -> list[Item]:
    """The images of a split of COCO-Stuff 164k.

    Args:
        root: Has ``images/SPLIT/ID.jpg`` and ``annotations/SPLIT/ID.png``.
        split: ``"train2017"`` or ``"val2017"``.
        curated: Name of a list ``curated/SPLIT/NAME.txt`` of one id per line, such as
            Coco164kFew_Stuff_6; all images if None.

    Raises:
        UserError: If a folder or list is missing.
    """
    images, maps = root / "images" / split, root / "annotations" / split
    for folder in (images, maps):
        require(folder.is_dir(), "data.dir must hold COCO-Stuff", missing=str(folder))
    if curated is None:
        ids = sorted(path.stem for path in images.glob("*.jpg"))
    else:
        ids = _read_list(root / "curated" / split / f"{curated}.txt")
    return [
        Item(f"{split}/{name}.jpg", images / f"{name}.jpg", maps / f"{name}.png")
        for name in ids
    ]


def list_10k(root: Path, split: str) -> list[Item]:
    """The images of a split of COCO-Stuff 10k.

    Args:
        root: Has ``imageLists/SPLIT.txt``, ``images/ID.jpg``, ``annotations/ID.mat``.
        split: ``"train"``, ``"test"`` or ``"all"``.

    Raises:
        UserError: If the list is missing.
    """
    return [
        Item(
            f"{name}.jpg",
            root / "images" / f"{name}.jpg",
            root / "annotations" / f"{name}.mat",
        )
        for name in _read_list(root / "imageLists" / f"{split}.txt")
    ]


def _read_list(path: Path) -> list[str]:
    require(path.is_file(), "data.dir must hold a list of images", missing=str(path))
    names = read_names(path)
    require(bool(names), f"the list {path} must name at least one image", names=0)
    return names


def read_mat_labels(path: Path) -> np.ndarray:
    """Label map of COCO-Stuff 10k: key S, 0 for unlabelled, classes from 1."""
    values = scipy.io.loadmat(path)["S"].astype(np.int64) - 1
    return np.where(values < 0, IGNORE, values).astype(np.uint8)


MIN_SIDE, MIN_SHARE = 360, 0.75
"""The curation rule of version 7: sides in pixels, and share of wanted pixels."""


def is_kept(labels: np.ndarray, table: np.ndarray) -> bool:
    """Whether the curation rule keeps an image.

    Args:
        labels: Its label map before any class table, shape ``(height, width)``.
        table: From ``class_table``.
    """
    wanted = table[labels] != IGNORE
    return min(labels.shape) >= MIN_SIDE and float(wanted.mean()) >= MIN_SHARE


def curate(
    items: Sequence[Item],
    *,
    kind: str,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> list[str]:
    """The ids of the images that the curation rule keeps, in order.

    Args:
        items: See ``list_164k``.
        kind: See ``class_table``.
        progress: Called now and then with the images done and their number.

    Raises:
        UserError: If the kind is not known or a label map cannot be read.
    """
    table, _ = class_table(kind)

    def keep(item: Item) -> bool:
        try:
            return is_kept(decode_labels(item.labels), table) if item.labels else False
        except (OSError, ValueError) as error:
            raise UserError(f"{item.labels} must be a label map: {error}") from None

    kept = []
    for i, (item, good) in enumerate(
        zip(items, on_all_cores(keep, items), strict=True)
    ):
        if good:
            kept.append(item.image.stem)
        if i % 100 == 99 or i == len(items) - 1:
            progress(i + 1, len(items))
    return kept
