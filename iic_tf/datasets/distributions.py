"""Published data sets as they are distributed: their files, and how a copy is checked.

Sizes and SHA-256 sums are those that TensorFlow Datasets has on record; where there is
no such record they are None, and nothing is compared.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from iic_tf.datasets import coco_stuff, potsdam, published
from iic_tf.datasets.archives import from_cifar, from_stl
from iic_tf.datasets.image_file import open_upright, reason
from iic_tf.datasets.masks import Item, decode_image, decode_labels
from iic_tf.datasets.numpy_files import from_idx
from iic_tf.datasets.splits import Source
from iic_tf.errors import UserError

MOST_NAMED = 20
"""Missing files of one kind that are named at most."""

LOOKED_AT = 50
"""Images of a split of files that are decoded, evenly spaced."""


class File(NamedTuple):
    """A file of a distribution.

    Attributes:
        name: Its name.
        url: Where it can be had without registration, or None.
        size: In bytes, or None if that is not known for certain.
        sha256: In hexadecimal digits, likewise.
        gives: Files and folders in ``into`` that come of it, the first of which tells
            where they begin in an archive; itself if it stays as it is.
        into: Folder below that of the data set.
    """

    name: str
    url: str | None
    size: int | None
    sha256: str | None
    gives: tuple[str, ...]
    into: str = "."

    @property
    def is_archive(self) -> bool:
        """Whether it must be unpacked."""
        return self.gives != (self.name,)

    def is_there(self, folder: Path) -> bool:
        """Whether a folder has all that comes of it."""
        return all((folder / self.into / name).exists() for name in self.gives)


class Checked(NamedTuple):
    """What a look at a folder gave.

    Attributes:
        found: A line for each split that is there.
        problems: A line for whatever is missing or other than published.
    """

    found: list[str]
    problems: list[str]


@dataclass(frozen=True)
class Distribution:
    """A published data set.

    Attributes:
        title: What it is called.
        page: Where its authors describe it.
        files: Its files.
        images: Number of images of each split.
        check: Looks at a folder as the reader of the data set does.
        shape: Height, width and channels of an image.
        content: Size in bytes of each file that must be there, by its path.
    """

    title: str
    page: str
    files: tuple[File, ...]
    images: dict[str, int]
    check: Callable[["Distribution", Path], Checked]
    shape: tuple[int, ...] = ()
    content: dict[str, int] = field(default_factory=dict)


# ------------------------------------------------------------------------------ checks


def _named(names: Sequence[str], what: str) -> list[str]:
    """A line for each missing file, but not for thousands."""
    lines = [f"{name}: missing, expected {what}" for name in names[:MOST_NAMED]]
    more = len(names) - MOST_NAMED
    return [*lines, f"and {more:,} more files like these"] if more > 0 else lines


def _compared(split: str, number: int, expected: int | None) -> list[str]:
    if expected in (None, number):
        return []
    return [f"{split}: {number:,} images, expected {expected:,}"]


def _lacking(content: dict[str, int], folder: Path) -> list[str]:
    """Lines for files that are missing or of another size."""
    lines = []
    for name, size in content.items():
        path = folder / name
        if not path.is_file():
            lines.append(f"{name}: missing, expected {size:,} bytes")
        elif path.stat().st_size != size:
            here = path.stat().st_size
            lines.append(f"{name}: {here:,} bytes, expected {size:,}")
    return lines


def check_arrays(
    of: Distribution,
    folder: Path,
    *,
    read: Callable[[Path], Source | None],
    tfds: str,
) -> Checked:
    """Whole images, which are read.

    Args:
        of: What is expected.
        folder: Where they are, in any of the forms that ``published.from_dir`` knows.
        read: Reads the files of the distribution.
        tfds: Name of the data set in the catalogue of TFDS.
    """
    others = [folder / name for name in ("dataset_info.json", tfds, "train", "test")]
    others += list(folder.glob("*.npz"))
    try:
        source = read(folder)
        if source is None and any(path.exists() for path in others):
            source = published.from_dir(str(folder), name=tfds, shape=of.shape)
    except UserError as error:
        return Checked([], [str(error), *_lacking(of.content, folder)])
    if source is None:
        return Checked([], _lacking(of.content, folder))
    found, problems = [], []
    for split, number in of.images.items():
        if (part := source.splits.get(split)) is None:
            problems.append(f"{split}: missing, expected {number:,} images")
            continue
        shape = part.images.shape[1:]
        classes = 0 if part.labels is None else len(np.unique(part.labels))
        told = f", {classes} classes" if classes else ", no labels"
        sides = "×".join(map(str, shape))
        found.append(f"{split}: {len(part.images):,} images of {sides}{told}")
        problems += _compared(split, len(part.images), number)
        if shape != of.shape:
            expected = "×".join(map(str, of.shape))
            problems.append(f"{split}: images of {sides}, expected {expected}")
        if not classes and split != "unlabelled":
            problems.append(f"{split}: its labels are missing")
    return Checked(found, problems + (_lacking(of.content, folder) if problems else []))


def _some(items: Sequence[Item]) -> list[Item]:
    numbers = np.linspace(0, len(items) - 1, min(LOOKED_AT, len(items)))
    return [items[int(number)] for number in numbers]


def _unlike(
    items: Sequence[Item],
    *,
    image: Callable[[Path], np.ndarray],
    labels: Callable[[Path], np.ndarray],
    shape: tuple[int, ...] | None,
) -> list[str]:
    """Lines for those of some items that cannot be read, or do not fit together."""
    lines = []
    for item in _some(items):
        path = item.image
        try:
            pixels = image(path)
            if shape and pixels.shape != shape:
                sides = "×".join(map(str, shape))
                lines.append(f"{path}: {pixels.shape}, expected {sides}")
            if item.labels is None:
                continue
            path = item.labels
            if (values := labels(path)).shape != pixels.shape[:2]:
                lines.append(f"{path}: {values.shape}, not as large as its image")
        except Exception as error:  # damage surfaces as any of a dozen kinds
            lines.append(f"{path}: cannot be read ({reason(error)})")
    return lines


def _missing_files(paths: Iterable[Path]) -> list[str]:
    """Those that are not there; folders are listed once, for there are many files."""
    wanted = list(paths)
    there = {
        parent: {path.name for path in parent.iterdir()} if parent.is_dir() else set()
        for parent in {path.parent for path in wanted}
    }
    return [str(path) for path in wanted if path.name not in there[path.parent]]


def check_coco_stuff(of: Distribution, folder: Path) -> Checked:
    """COCO-Stuff 164k: images, label maps and the authors' lists of images."""
    found, problems = [], []
    for split, number in of.images.items():
        folders = [folder / kind / split for kind in ("images", "annotations")]
        lost = [str(path) for path in folders if not path.is_dir()]
        if lost:
            problems += _named(lost, f"a folder of {number:,} files")
            continue
        items = coco_stuff.list_164k(folder, split)
        found.append(f"{split}: {len(items):,} images")
        problems += _compared(split, len(items), number)
        maps = _missing_files(item.labels for item in items if item.labels)
        problems += _named(maps, "the label map of an image")
        there = {item.name for item in items}
        if not maps:
            problems += _unlike(
                items, image=decode_image, labels=decode_labels, shape=None
            )
        for kind in ("few", "full"):
            name = coco_stuff.curated_list(kind)
            listed = folder / "curated" / split / f"{name}.txt"
            if not listed.is_file():
                problems += _named([str(listed)], "the authors' list of images")
                continue
            chosen = coco_stuff.list_164k(folder, split, curated=name)
            lost = [str(item.image) for item in chosen if item.name not in there]
            problems += _named(lost, f"an image of the list {name}")
            told = f"{split}, {name}: {len(chosen):,} images"
            if kind == "full" and not lost and not maps:
                some = _some(chosen)
                kept = coco_stuff.curate(some, kind=kind)
                told += f", the curation rule keeps {len(kept)} of {len(some)} tried"
            found.append(told)
    return Checked(found, problems)


def check_potsdam(of: Distribution, folder: Path) -> Checked:
    """The tiles of Potsdam."""
    found, problems = [], []
    for split, number in of.images.items():
        listed = folder / f"{split}.txt"
        if not listed.is_file():
            problems += _named([str(listed)], f"a list of {number:,} tiles")
            continue
        items = potsdam.list_tiles(folder, split)
        found.append(f"{split}: {len(items):,} tiles")
        problems += _compared(split, len(items), number)
        lost = _missing_files(item.image for item in items)
        lost += _missing_files(item.labels for item in items if item.labels)
        problems += _named(lost, f"a tile of {split}")
        if not lost:
            problems += _unlike(
                items,
                image=potsdam.read_tile,
                labels=potsdam.read_tile_labels,
                shape=of.shape,
            )
    return Checked(found, problems)


def check_celeba(of: Distribution, folder: Path) -> Checked:
    """CelebA's aligned faces and their splits."""
    faces = folder / published.CELEBA_IMAGES
    listed = folder / published.CELEBA_PARTITION
    if not faces.is_dir():
        return Checked([], [f"{faces}: missing, expected the folder of images"])
    names = sorted(path.name for path in faces.glob("*.jpg"))
    there, number = set(names), sum(of.images.values())
    expected = (f"{i:06}.jpg" for i in range(1, number + 1))
    lost = [str(faces / name) for name in expected if name not in there]
    found = [f"{faces}: {len(names):,} images"]
    problems = _named(lost, "a face") + _compared(str(faces), len(names), number)
    problems += _unlike(
        [Item(name, faces / name) for name in names],
        image=lambda path: np.asarray(open_upright(path, channels=3)),
        labels=decode_labels,
        shape=of.shape,
    )
    if not listed.is_file():
        return Checked(found, problems + _named([str(listed)], "the splits"))
    try:
        parts = np.bincount(published.celeba_parts(listed, names), minlength=3)
    except UserError as error:
        return Checked(found, [*problems, str(error)])
    for (split, number), here in zip(of.images.items(), parts.tolist(), strict=True):
        found.append(f"{split}: {here:,} images")
        problems += _compared(split, here, number)
    return Checked(found, problems)


# --------------------------------------------------------------------------- the table


def _idx(base: str, sums: Sequence[tuple[str, int, str]]) -> tuple[File, ...]:
    return tuple(
        File(f"{name}.gz", f"{base}{name}.gz", size, digest, (f"{name}.gz",))
        for name, size, digest in sums
    )


_MNIST = _idx(
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    [
        (
            "train-images-idx3-ubyte",
            9_912_422,
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        ),
        (
            "train-labels-idx1-ubyte",
            28_881,
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        ),
        (
            "t10k-images-idx3-ubyte",
            1_648_877,
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        ),
        (
            "t10k-labels-idx1-ubyte",
            4_542,
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        ),
    ],
)

_FASHION = _idx(
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    [
        (
            "train-images-idx3-ubyte",
            26_421_880,
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        ),
        (
            "train-labels-idx1-ubyte",
            29_515,
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        ),
        (
            "t10k-images-idx3-ubyte",
            4_422_102,
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        ),
        (
            "t10k-labels-idx1-ubyte",
            5_148,
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        ),
    ],
)

_CIFAR10 = File(
    "cifar-10-binary.tar.gz",
    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    170_052_171,
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    ("cifar-10-batches-bin",),
)
_CIFAR100 = File(
    "cifar-100-binary.tar.gz",
    "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
    168_513_733,
    "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
    ("cifar-100-binary",),
)
_STL10 = File(
    "stl10_binary.tar.gz",
    "http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",
    2_640_397_119,
    "f31fd99273a1acb8609c8db427cebb1de3f71de77758cdc0e22956e1289b9866",
    ("stl10_binary",),
)
_COCO_STUFF = (
    File(
        "train2017.zip",
        "http://images.cocodataset.org/zips/train2017.zip",
        19_336_861_798,
        "69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929",
        ("train2017",),
        "images",
    ),
    File(
        "val2017.zip",
        "http://images.cocodataset.org/zips/val2017.zip",
        815_585_330,
        "4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05",
        ("val2017",),
        "images",
    ),
    File(
        "stuffthingmaps_trainval2017.zip",
        "http://calvin.inf.ed.ac.uk/wp-content/uploads/data/cocostuffdataset/"
        "stuffthingmaps_trainval2017.zip",
        None,
        None,
        ("train2017", "val2017"),
        "annotations",
    ),
    File(
        "COCOStuff164kCurated.tar.gz",
        "https://www.robots.ox.ac.uk/~xuji/datasets/COCOStuff164kCurated.tar.gz",
        None,
        None,
        ("curated",),
    ),
)
_POTSDAM = File(
    "Potsdam.tar.gz",
    "https://www.robots.ox.ac.uk/~xuji/datasets/Potsdam.tar.gz",
    None,
    None,
    (*(f"{split}.txt" for split in potsdam.SPLITS), "imgs", "gt"),
)
_CELEBA = (
    File(
        "img_align_celeba.zip",
        None,
        1_443_490_838,
        "46fb89443c578308acf364d7d379fe1b9efb793042c0af734b6112e4fd3a8c74",
        (published.CELEBA_IMAGES,),
    ),
    File(
        published.CELEBA_PARTITION,
        None,
        2_836_386,
        "fc955bcb3ef8fbdf7d5640d9a8693a8431b5f2ee291a5c1449a1549e7e073fe7",
        (published.CELEBA_PARTITION,),
    ),
)

_STL_IMAGE = 96 * 96 * 3

DISTRIBUTIONS: dict[str, Distribution] = {
    "mnist": Distribution(
        "MNIST",
        "http://yann.lecun.com/exdb/mnist/",
        _MNIST,
        {"train": 60_000, "test": 10_000},
        partial(check_arrays, read=from_idx, tfds="mnist"),
        (28, 28, 1),
        {file.name: file.size or 0 for file in _MNIST},
    ),
    "fashion-mnist": Distribution(
        "Fashion-MNIST",
        "https://github.com/zalandoresearch/fashion-mnist",
        _FASHION,
        {"train": 60_000, "test": 10_000},
        partial(check_arrays, read=from_idx, tfds="fashion_mnist"),
        (28, 28, 1),
        {file.name: file.size or 0 for file in _FASHION},
    ),
    "cifar10": Distribution(
        "CIFAR-10",
        "https://www.cs.toronto.edu/~kriz/cifar.html",
        (_CIFAR10,),
        {"train": 50_000, "test": 10_000},
        partial(check_arrays, read=from_cifar, tfds="cifar10"),
        (32, 32, 3),
        {
            f"cifar-10-batches-bin/{name}.bin": 10_000 * 3073
            for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")
        },
    ),
    "cifar100": Distribution(
        "CIFAR-100",
        "https://www.cs.toronto.edu/~kriz/cifar.html",
        (_CIFAR100,),
        {"train": 50_000, "test": 10_000},
        partial(check_arrays, read=from_cifar, tfds="cifar100"),
        (32, 32, 3),
        {
            "cifar-100-binary/train.bin": 50_000 * 3074,
            "cifar-100-binary/test.bin": 10_000 * 3074,
        },
    ),
    "stl10": Distribution(
        "STL-10",
        "https://cs.stanford.edu/~acoates/stl10/",
        (_STL10,),
        {"train": 5_000, "test": 8_000, "unlabelled": 100_000},
        partial(check_arrays, read=from_stl, tfds="stl10"),
        (96, 96, 3),
        {
            "stl10_binary/train_X.bin": 5_000 * _STL_IMAGE,
            "stl10_binary/train_y.bin": 5_000,
            "stl10_binary/test_X.bin": 8_000 * _STL_IMAGE,
            "stl10_binary/test_y.bin": 8_000,
            "stl10_binary/unlabeled_X.bin": 100_000 * _STL_IMAGE,
        },
    ),
    "celeba": Distribution(
        "CelebA",
        "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
        _CELEBA,
        {"train": 162_770, "validation": 19_867, "test": 19_962},
        check_celeba,
        (218, 178, 3),
    ),
    "coco-stuff": Distribution(
        "COCO-Stuff 164k",
        "https://github.com/nightrome/cocostuff",
        _COCO_STUFF,
        {"train2017": 118_287, "val2017": 5_000},
        check_coco_stuff,
    ),
    "potsdam": Distribution(
        "ISPRS Potsdam",
        "https://www.isprs.org/education/benchmarks/UrbanSemLab/"
        "2d-sem-label-potsdam.aspx",
        (_POTSDAM,),
        {"labelled_train": 4_545, "unlabelled_train": 3_150, "labelled_test": 855},
        check_potsdam,
        (potsdam.TILE, potsdam.TILE, 4),
    ),
}
"""By their names on the command line."""
