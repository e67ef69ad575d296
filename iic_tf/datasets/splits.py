"""What a data set is once it is read: splits, and the protocol of a run over them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Generic, TypeVar
from typing import Protocol as Interface

import numpy as np

from iic_tf.errors import require


class AnySplit(Interface):
    """Images of one split: of one shape (``Split``) or any (``SegmentImages``)."""

    @property
    def images(self) -> Any:
        """The images, uint8."""

    @property
    def labels(self) -> Any:
        """Their labels, or None."""

    def take(self, numbers: Any) -> Any:
        """Some of them, by their numbers."""


S = TypeVar("S", bound=AnySplit)


def evenly(split: S, at_most: int) -> S:
    """At most so many images of a split, evenly spaced."""
    number = len(split.images)
    numbers = np.linspace(0, number - 1, min(at_most, number)).astype(np.int64)
    return split.take(numbers)


@dataclass(frozen=True)
class Split:
    """Images and, where known, their labels.

    Attributes:
        images: uint8, shape ``(n, height, width, channels)``; or other examples:
            float32, vectors ``(n, d)`` or series ``(n, t, channels)``.
        labels: Integer classes from 0, shape ``(n,)``, or None. Only scores use them.
        paths: Name of each image's file, or None.
        pictures: Images that vectors were computed from, or None.
    """

    images: np.ndarray
    labels: np.ndarray | None = None
    paths: tuple[str, ...] | None = None
    pictures: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Raises UserError if images and labels do not fit together."""
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
        require(len(self.images) > 0, "there must be at least one image", images=0)
        if self.labels is not None:
            lowest = int(self.labels.min())
            require(lowest >= 0, "labels must be classes from 0", lowest=lowest)

    @property
    def drawn(self) -> np.ndarray:
        """What plots show of the examples."""
        return self.images if self.pictures is None else self.pictures

    def take(self, numbers: np.ndarray | slice) -> "Split":
        """Some of the images, by their numbers; nothing is copied by a slice."""
        labels, paths, pictures = self.labels, self.paths, self.pictures
        return Split(
            self.images[numbers],
            None if labels is None else labels[numbers],
            None if paths is None else tuple(np.array(paths, object)[numbers]),
            None if pictures is None else pictures[numbers],
        )

    def only(self, numbers: np.ndarray) -> "Split":
        """The images of some numbers, in their order."""
        return Split(
            self.images[numbers],
            None if self.labels is None else self.labels[numbers],
            None if self.paths is None else tuple(self.paths[i] for i in numbers),
        )


@dataclass(frozen=True)
class Source(Generic[S]):
    """A data set that has been read.

    Attributes:
        splits: Splits by name in their published order, such as train and test; one
            named unlabelled joins in training and is never evaluated.
        origin: Where it was read, for the reader of the console.
        advice: How to get more or better data, where there is something to say.
        class_names: Names of the classes, where the images came with them.
        unreadable: Name and reason of each file that was skipped.
        nearest: Neighbours of the images of the only split, if they were looked for.
        shown: Values that are black and white in images of more than 8 bits, if there
            are any.
    """

    splits: dict[str, S]
    origin: str
    advice: str | None = None
    class_names: tuple[str, ...] | None = None
    unreadable: tuple[tuple[str, str], ...] = ()
    nearest: np.ndarray | None = None
    shown: tuple[float, float] | None = None

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Height, width and channels of the first image of the first split."""
        return next(iter(self.splits.values())).images[0].shape


@dataclass(frozen=True)
class Protocol(Generic[S]):
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

    train: S
    evaluate: S
    words: str
    main: np.ndarray | None = None
    mapping: S | None = None


def apply_protocol(
    source: Source[Split], protocol: str, *, unlabelled: bool = True
) -> Protocol[Split]:
    """Chooses the training and the evaluation images.

    Args:
        source: All splits.
        protocol: ``"all"`` trains and evaluates on all images but unlabelled ones
            (published for unsupervised clustering), ``"holdout"`` on train and on test,
            with clusters mapped to classes on train (published for overclustering).
        unlabelled: Whether a split of that name trains too. Under ``"all"`` the main
            sub-heads see none of it in passes of their own.

    Raises:
        UserError: If a holdout is asked of a source without a train and a test split.
    """
    splits = dict(source.splits)
    pool = splits.pop("unlabelled", None)
    names = list(splits)
    if protocol == "all":
        labelled = concatenate(list(splits.values()))
        words = f"{' + '.join(names)}, also used for training"
        if pool is None or not unlabelled:
            return Protocol(labelled, labelled, words)
        first, *others = splits.values()
        order, is_labelled = mixed_order(len(first.images), len(pool.images))
        rest = len(order) + np.arange(sum(len(split.images) for split in others))
        return Protocol(
            _in_order([first, pool, *others], np.concatenate((order, rest))),
            labelled,
            words,
            main=np.concatenate((np.flatnonzero(is_labelled), rest)),
        )
    require(
        {"train", "test"} <= set(names),
        "data.protocol holdout needs a train and a test split",
        splits=names,
    )
    train, test = splits["train"], splits["test"]
    words = "test, not used for training"
    mapping = None
    if train.labels is not None:
        words += ", with clusters mapped to classes on train"
        mapping = train
    if pool is not None and unlabelled:
        order, _ = mixed_order(len(train.images), len(pool.images))
        train = _in_order([train, pool], order)
    return Protocol(train, test, words, mapping=mapping)


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


def renumbered(source: Source[Split], names: Sequence[str] | None) -> Source[Split]:
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
        splits = {name: whole.only(chosen) for name, chosen in numbers.items()}
        train, test = (len(chosen) for chosen in numbers.values())
        told = f"{train:,} of {len(whole.images):,} images for train, {test:,} for test"
    else:
        splits, words = {}, []
        for name, number in _asked(counts, limit).items():
            split = source.splits[name]
            splits[name] = split.only(_draw(split.labels, number, seed=seed))
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
    labels = [split.labels for split in splits if split.labels is not None]
    paths = [split.paths for split in splits if split.paths is not None]
    return Split(
        np.concatenate([split.images for split in splits]),
        np.concatenate(labels) if len(labels) == len(splits) else None,
        tuple(chain(*paths)) if len(paths) == len(splits) else None,
    )
