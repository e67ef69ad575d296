"""What a data set is once it is read: splits, and the protocol of a run over them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np

from iic_tf.errors import require


@dataclass(frozen=True)
class Split:
    """Examples of one split and, where known, their labels.

    Attributes:
        images: Examples of one shape in an array: uint8 images ``(n, height, width,
            channels)``, float32 vectors ``(n, d)`` or series ``(n, t, channels)``; or,
            where pixels are grouped, a list of uint8 images ``(height, width,
            channels)`` of any size.
        labels: Integer classes from 0, shape ``(n,)``; where pixels are grouped a label
            map for each image, uint8, ``(height, width)``; or None. Only scores use
            them.
        paths: Name of each image's file, or None.
        pictures: Images that vectors were computed from, or None.
        sizes: Height and width of each file, of which images in a list may be a
            fraction.
    """

    images: Any
    labels: Any = None
    paths: tuple[str, ...] | None = None
    pictures: np.ndarray | None = None
    sizes: tuple[tuple[int, int], ...] | None = None

    def __post_init__(self) -> None:
        """Raises UserError if images and labels do not fit together."""
        require(len(self.images) > 0, "there must be at least one image", images=0)
        if self.of_pixels:
            return
        require(
            (self.images.dtype, self.images.ndim)
            in ((np.uint8, 4), (np.float32, 2), (np.float32, 3)),
            "images must be uint8 of shape (n, height, width, channels), vectors and "
            "series float32 of shape (n, d) or (n, t, channels)",
            shape=self.images.shape,
            dtype=str(self.images.dtype),
        )
        require(
            self.labels is None or self.labels.shape == self.images.shape[:1],
            "there must be one label per image",
            images=self.images.shape,
            labels=getattr(self.labels, "shape", None),
        )
        if self.labels is not None:
            lowest = int(self.labels.min())
            require(lowest >= 0, "labels must be classes from 0", lowest=lowest)

    @property
    def of_pixels(self) -> bool:
        """Whether the pixels of the images are grouped, not the images."""
        return not isinstance(self.images, np.ndarray)

    @property
    def drawn(self) -> np.ndarray:
        """What plots show of the examples."""
        return self.images if self.pictures is None else self.pictures

    def take(self, numbers: np.ndarray | slice) -> "Split":
        """Some of the images, by their numbers; nothing is copied by a slice."""

        def some(values: Any) -> Any:
            if values is None or isinstance(values, np.ndarray):
                return values if values is None else values[numbers]
            which = np.arange(len(values))[numbers]
            return type(values)(values[i] for i in which.tolist())

        fields = (self.images, self.labels, self.paths, self.pictures, self.sizes)
        return Split(*map(some, fields))


def evenly(split: Split, at_most: int) -> Split:
    """At most so many images of a split, evenly spaced."""
    number = len(split.images)
    numbers = np.linspace(0, number - 1, min(at_most, number)).astype(np.int64)
    return split.take(numbers)


@dataclass(frozen=True)
class Source:
    """A data set that has been read.

    Attributes:
        splits: Splits by name in their published order, such as train and test; one
            named unlabelled joins in training and is never evaluated.
        origin: Where it was read, for the reader of the console.
        advice: How to get more or better data, where there is something to say.
        class_names: Names of the classes, where the images came with them.
        unreadable: Name and reason of each file that was skipped.
        nearest: Neighbours of the images of the only split, if they were looked for.
        middle: Whether the middle of an image counts most where they are looked for;
            None to leave it to the recipe.
        shown: Values that are black and white in images of more than 8 bits, if there
            are any.
    """

    splits: dict[str, Split]
    origin: str
    advice: str | None = None
    class_names: tuple[str, ...] | None = None
    unreadable: tuple[tuple[str, str], ...] = ()
    nearest: np.ndarray | None = None
    middle: bool | None = None
    shown: tuple[float, float] | None = None

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Height, width and channels of the first image of the first split."""
        return next(iter(self.splits.values())).images[0].shape


@dataclass(frozen=True)
class Protocol:
    """The images of a run and what its scores mean.

    Attributes:
        train: Images that train; their labels are used only by a task that learns
            them, or for ``segment.masked``.
        evaluate: Images that are grouped and, where labelled, scored.
        words: Which images are scored, for every print-out of a score.
        main: Numbers of the training images that main sub-heads see in passes of their
            own, shape ``(m,)``; None if they see all.
        mapping: Labelled images on which clusters are mapped to classes; None if these
            are the ones evaluated.
    """

    train: Split
    evaluate: Split
    words: str
    main: np.ndarray | None = None
    mapping: Split | None = None


def apply_protocol(
    source: Source, protocol: str, *, unlabelled: bool = True
) -> Protocol:
    """Chooses the training and the evaluation images.

    Some images may be there for training alone: those of a split named unlabelled or,
    where pixels are grouped, of all splits without label maps while others have them.

    Args:
        source: All splits.
        protocol: ``"all"`` trains and evaluates on all images but those for training
            alone (published for unsupervised clustering), ``"holdout"`` on train and on
            test, with clusters mapped to classes on train (published for
            overclustering). Where pixels are grouped a test split is also one such as
            labelled_test, and all others train.
        unlabelled: Whether a split named unlabelled trains too. Under ``"all"`` the
            main sub-heads see none of it in passes of their own.

    Raises:
        UserError: If a holdout is asked of a source without a train and a test split.
    """
    splits = source.splits
    of_pixels = next(iter(splits.values())).of_pixels
    labelled = [name for name, split in splits.items() if split.labels is not None]
    pool = {"unlabelled"} & set(splits)
    if of_pixels:
        pool = set(splits).difference(labelled or splits)
    scored = [name for name in splits if name not in pool]

    def whole(names: Sequence[str]) -> Split:
        return concatenate([splits[name] for name in names])

    if protocol == "all":
        evaluate, main = whole(scored), None
        train = whole(list(splits)) if of_pixels else evaluate
        if pool and unlabelled and not of_pixels:
            train, main = _mixed(splits["unlabelled"], [splits[x] for x in scored])
        words = f"{' + '.join(scored)}, also used for training"
        return Protocol(train, evaluate, words, main=main)
    tests = [x for x in splits if "test" in (x.split("_") if of_pixels else [x])]
    trains = [x for x in splits if x not in tests and (of_pixels or x == "train")]
    require(
        bool(tests and trains),
        "data.protocol holdout needs a train and a test split",
        splits=scored,
    )
    train = whole(trains)
    words = f"{' + '.join(tests)}, not used for training"
    mapped = [name for name in trains if name in labelled]
    mapping = whole(mapped) if mapped else None
    if mapped:
        words += f", with clusters mapped to classes on {' + '.join(mapped)}"
    if pool and unlabelled and not of_pixels:
        train, _ = _mixed(splits["unlabelled"], [train])
    return Protocol(train, whole(tests), words, mapping=mapping)


def _mixed(pool: Split, scored: Sequence[Split]) -> tuple[Split, np.ndarray]:
    """Unlabelled images mixed into the first of other splits, and the others.

    Returns:
        All without labels, to train on, and the numbers of those of ``scored``.
    """
    first, *others = scored
    order, is_labelled = mixed_order(len(first.images), len(pool.images))
    rest = len(order) + np.arange(sum(len(split.images) for split in others))
    mixed = _in_order([first, pool, *others], np.concatenate((order, rest)))
    return mixed, np.concatenate((np.flatnonzero(is_labelled), rest))


def mixed_order(labelled: int, unlabelled: int) -> tuple[np.ndarray, np.ndarray]:
    """One labelled image, then its share of unlabelled ones, and so on.

    In the authors' code STL-10 is in this order (1 to 20), so that unshuffled batches
    hold some of both.

    Args:
        labelled: Number of labelled images, which come first.
        unlabelled: Number of unlabelled images, which follow.

    Returns:
        Numbers of all images in the new order, and whether each is labelled.
    """
    each = unlabelled // labelled
    block = 1 + each
    order = np.empty(labelled * block, np.int64).reshape(labelled, block)
    order[:, 0] = np.arange(labelled)
    order[:, 1:] = labelled + np.arange(labelled * each).reshape(labelled, each)
    rest = labelled + np.arange(labelled * each, unlabelled)
    order = np.concatenate((order.ravel(), rest))
    return order, order < labelled


def _in_order(splits: Sequence[Split], order: np.ndarray) -> Split:
    """Images of several splits in a new order, without labels and paths: to train on.

    Filled in part by part, for such data sets are large.
    """
    ends = np.cumsum([len(split.images) for split in splits])
    images = np.empty((len(order), *splits[0].images.shape[1:]), np.uint8)
    for first in range(0, len(order), 1000):
        numbers = order[first : first + 1000]
        which = np.searchsorted(ends, numbers, side="right")
        for i, split in enumerate(splits):
            mine = which == i
            begin = ends[i] - len(split.images)
            images[first : first + 1000][mine] = split.images[numbers[mine] - begin]
    return Split(images)


def renumbered(source: Source, names: Sequence[str] | None) -> Source:
    """The same with classes from 0 on, without gaps: those that occur.

    Args:
        source: Its labels may be any whole numbers from 0, such as years.
        names: Name of each class by its number; of a class without one its number.

    Returns:
        The source as it is where no number is missing.
    """
    labels = [x.labels for x in source.splits.values() if x.labels is not None]
    if not labels:
        return source
    values = np.unique(np.concatenate([np.unique(of_one) for of_one in labels]))
    if values[-1] == len(values) - 1:
        return source
    known = list(names or ())
    splits = {
        name: split
        if split.labels is None
        else replace(split, labels=np.searchsorted(values, split.labels))
        for name, split in source.splits.items()
    }
    told = [known[v] if v < len(known) else str(v) for v in values.tolist()]
    return replace(source, splits=splits, class_names=tuple(told))


def shares(counts: np.ndarray, number: int) -> np.ndarray:
    """Whole numbers with a given sum, in proportion to others.

    Args:
        counts: At least 0, shape ``(parts,)``.
        number: At most their sum.

    Returns:
        At most ``counts``, shape ``(parts,)``: rounded down, or up where most is lost.
    """
    exact = counts * (number / counts.sum())
    whole = np.floor(exact).astype(np.int64)
    most = np.argsort(whole - exact, kind="stable")
    whole[most[: number - whole.sum()]] += 1
    return whole


def stratified(labels: np.ndarray, number: int, *, seed: int) -> np.ndarray:
    """Draws images so that each class keeps its share.

    Args:
        labels: Class of each image from 0, shape ``(n,)``.
        number: Images drawn, at most n.
        seed: Decides which.

    Returns:
        Their numbers, ascending, shape ``(number,)``.
    """
    asked = shares(np.bincount(labels), number)
    rng = np.random.default_rng(seed)
    drawn = [
        rng.permutation(np.flatnonzero(labels == label))[:some]
        for label, some in enumerate(asked)
    ]
    return np.sort(np.concatenate(drawn))


def _draw(labels: np.ndarray | None, number: int, *, seed: int) -> np.ndarray:
    """Numbers of some images: of each class its share, or the first."""
    if labels is None:
        return np.arange(number)
    return stratified(labels, number, seed=seed)


def _in_two(split: Split, sizes: Sequence[int], *, seed: int) -> dict[str, np.ndarray]:
    """Numbers of the images of two new splits of a split."""
    there = len(split.images)
    require(
        sum(sizes) <= there,
        "the two numbers of data.limit must add up to at most the number of images, "
        f"{there:,}, where there is no train and no test split",
        limit=tuple(sizes),
    )
    train = _draw(split.labels, sizes[0], seed=seed)
    rest = np.delete(np.arange(there), train)
    labels = None if split.labels is None else split.labels[rest]
    return {"train": train, "test": rest[_draw(labels, sizes[1], seed=seed)]}


def _asked(counts: dict[str, int], limit: int | Sequence[int]) -> dict[str, int]:
    """How many images of each split a limit leaves, see ``limited``."""
    if isinstance(limit, int):
        each = shares(np.array(list(counts.values())), min(limit, sum(counts.values())))
        return {name: max(int(n), 1) for name, n in zip(counts, each, strict=True)}
    require(
        {"train", "test"} <= set(counts),
        "data.limit must be one number for images without a train and a test split",
        limit=tuple(limit),
        splits=list(counts),
    )
    share = min(limit[0] / counts["train"], 1)
    asked = {name: max(round(share * number), 1) for name, number in counts.items()}
    return asked | {"test": min(limit[1], counts["test"])}


def limited(source: Source, limit: int | Sequence[int] | None, *, seed: int) -> Source:
    """A source with some of its images only, which its origin says.

    Args:
        source: All images.
        limit: At most so many images of train and of test, where other splits keep the
            share that train keeps, and those of a single split are divided; or of all
            splits together, with its share for each; None for all.
        seed: Decides which images are drawn where there are labels; without these the
            first ones are taken.

    Raises:
        UserError: If there are too few images, or no such splits.
    """
    if limit is None:
        return source
    counts = {name: len(split.images) for name, split in source.splits.items()}
    if not isinstance(limit, int) and len(counts) == 1:
        [whole] = source.splits.values()
        numbers = _in_two(whole, limit, seed=seed)
        splits = {name: whole.take(chosen) for name, chosen in numbers.items()}
        train, test = (len(chosen) for chosen in numbers.values())
        told = f"{train:,} of {len(whole.images):,} images for train, {test:,} for test"
    else:
        splits, words = {}, []
        for name, number in _asked(counts, limit).items():
            split = source.splits[name]
            splits[name] = split.take(_draw(split.labels, number, seed=seed))
            of_which = f" of {name}" * (len(counts) > 1)
            words.append(f"{number:,} of {counts[name]:,} images{of_which}")
        told = ", ".join(words)
    if any(split.labels is not None for split in splits.values()):
        told += " (of each class its share)"
    origin = f"{source.origin}: {told}"
    return replace(source, splits=splits, origin=origin, nearest=None)


def concatenate(splits: Sequence[Split]) -> Split:
    """One split of several, in order; labels and paths only if all of them have any."""
    if len(splits) == 1:
        return splits[0]  # images may lie in a file that does not fit into memory

    def joined(name: str) -> Any:
        values = [getattr(split, name) for split in splits]
        if any(value is None for value in values):
            return None
        if isinstance(values[0], np.ndarray):
            return np.concatenate(values)
        return type(values[0])(chain(*values))

    return Split(*map(joined, ("images", "labels", "paths", "pictures", "sizes")))
