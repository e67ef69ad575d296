"""Segmentation from Python, in scikit-learn's conventions.

    from iic_tf import ImageSegmenter

    segmenter = ImageSegmenter(n_clusters=3).fit(images)
    segmenter.labels_
    segmenter.predict(more_images)

It is to the pixels of images what ``ImageClusterer`` is to whole images.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
from sklearn.base import ClusterMixin
from sklearn.utils.validation import check_is_fitted

from iic_tf.augment.crops import CropViews
from iic_tf.datasets.arrays import Range, choose_range, to_bytes
from iic_tf.datasets.own import from_images_and_masks
from iic_tf.datasets.splits import Protocol, Split
from iic_tf.datasets.value_range import sample_pixels
from iic_tf.errors import require
from iic_tf.estimator import Estimator, told
from iic_tf.evaluation.segment_inference import (
    clusters_of,
    compile_segments,
    soft_maps_of,
)
from iic_tf.models.networks import SegmentIIC
from iic_tf.report.console import console
from iic_tf.resolved import Usual
from iic_tf.root_files import root_module
from iic_tf.tasks.segment import SegmentTask

LABELS_FILE = "labels.npz"

FOLDER = "folder"
"""Stands for the type of images that are read from files."""

CHANNELS = (1, 3, 4)
"""Of images: grey, colours, colours and infrared."""

Maps = np.ndarray | list[np.ndarray]
"""One map for each image: an array for an array of images, else a list."""


@lru_cache(maxsize=1)
def _compiled(model: SegmentIIC, margin: int, head: int) -> Callable:
    """Compiles once the inference of one sub-head."""
    return compile_segments(model, margin=margin, head=head)


@dataclass(frozen=True)
class _Read:
    """Images as the engine takes them.

    Attributes:
        images: The images.
        stacked: Whether they came as one array.
        origin: Where they came from, as text.
    """

    images: Split
    stacked: bool
    origin: str

    def like(self, maps: Iterable[np.ndarray]) -> Maps:
        """Maps as the images came: in one array, or in a list."""
        return np.stack(list(maps)) if self.stacked else list(maps)


def _with_channels(image: Any) -> np.ndarray:
    """An image with an axis of channels; raises UserError if it is none."""
    array = np.asarray(image)
    array = array[..., None] if array.ndim == 2 else array
    require(
        array.ndim == 3
        and array.dtype.kind in "buif"
        and array.size > 0
        and array.shape[2] in CHANNELS,
        "X must hold numeric images of shape (height, width[, channels]) with 1, 3 or "
        "4 channels, the last of 4 infrared",
        shape=np.shape(image),
        dtype=str(array.dtype),
    )
    return array


def _is_stacked(X: Any) -> bool:
    """Whether images are one array, not a list or an array of arrays."""
    return isinstance(X, np.ndarray) and X.dtype != object


def _range_of(
    images: Sequence[np.ndarray], shown: tuple[float, float] | None
) -> Range | None:
    """Values that are black and white; None for bytes as they are.

    Args:
        images: Of one type.
        shown: The values for whatever is no byte, where they are known.
    """
    of_bytes = images[0].dtype == np.uint8
    if of_bytes and any(image.max() > 1 for image in images):
        return None
    some = np.concatenate([sample_pixels(image) for image in images])
    return choose_range(some[None], what="X", shown=shown)


def _images_of(X: Any) -> list[np.ndarray]:
    """Images of an array or of a list, each ``(height, width, channels)``.

    Raises:
        UserError: If they are none, or not alike in type and channels.
    """
    if _is_stacked(X):
        require(
            X.ndim == 4 or (X.ndim == 3 and X.shape[2] > max(CHANNELS)),
            "X must have shape (n, height, width[, channels]); a single image is given "
            "as X[None]",
            shape=X.shape,
        )
    images = [_with_channels(image) for image in X]
    require(bool(images), "X must hold at least one image", n_images=0)
    for what, kinds in (
        ("type", {str(image.dtype) for image in images}),
        ("number of channels", {image.shape[2] for image in images}),
    ):
        require(
            len(kinds) == 1,
            f"all images of X must have the same {what}",
            found=sorted(kinds),
        )
    return images


class ImageSegmenter(ClusterMixin, Estimator):
    """Groups the pixels of images by Invariant Information Clustering.

    Args:
        n_clusters: Number of clusters k, at most 255.
        augment: What a cluster should not depend on: the name of a recipe for
            segmentation in data.py, ``"images"`` for images of all kinds or
            ``"scenes"`` for upright ones, such as streets or rooms.
        backbone: Name of a backbone for segmentation in graphs.py, or a function from
            ``(None, None, channels)`` to a Keras model that gives feature maps; None
            for the usual one.
        steps: Training steps; None for as many as the recipe takes.
        batch_size: Crops per step; None for as many as the recipe takes.
        n_neighbors: Patches that look alike that each patch is paired with; 0 is plain
            IIC, None what is usual.
        value_range: Values that become black and white in images that are no bytes;
            None to choose it.
        side: Side in pixels of the crops that train; None for what is usual.
        learning_rate: Of Adam.
        out: Folder in which the run folder, with all label maps and plots, stays; None
            for none.
        random_state: Seed, or a ``numpy.random.RandomState``; None for 0, so that
            results can be repeated.
        verbose: Whether progress is printed.

    Attributes:
        labels_: Cluster of each pixel, int32: of an array of images ``(n, height,
            width)``, else a list with one map ``(height, width)`` for each image.
        model_: The network.
        chosen_: Number of the chosen sub-head.
        information_: Mutual information of augmented views by that sub-head, in nats.
        history_: Reports of the run, a dict each.
        n_iter_: Steps done.
        paths_: Path of each image that could be read in the folder looked at last.

    Examples:
        >>> from iic_tf import ImageSegmenter
        >>> images = np.zeros((4, 32, 40, 1), np.uint8)
        >>> images[:, ::2, :20] = 255  # stripes on the left
        >>> how = {"steps": 2, "batch_size": 4, "side": 32, "n_neighbors": 0}
        >>> segmenter = ImageSegmenter(2, **how).fit(images)
        >>> segmenter.labels_.shape
        (4, 32, 40)
        >>> np.array_equal(segmenter.predict(images), segmenter.labels_)
        True
        >>> segmenter.predict_proba(images).shape
        (4, 32, 40, 2)
        >>> 0 <= segmenter.score(images) <= 0.6932  # ln 2
        True
        >>> segmenter.save("mine")
        >>> again = ImageSegmenter.load("mine")
        >>> np.array_equal(again.labels_, segmenter.labels_)
        True
    """

    _channels_: int
    _dtype_: str
    _shown_: tuple[float, float] | None
    _drawn_: int

    def __init__(
        self,
        n_clusters: int = 10,
        *,
        augment: str = "images",
        backbone: str | Callable[..., keras.Model] | None = None,
        steps: int | None = None,
        batch_size: int | None = None,
        n_neighbors: int | None = None,
        value_range: tuple[float, float] | None = None,
        side: int | None = None,
        learning_rate: float = 2e-3,
        out: str | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: bool = False,
    ):
        self.n_clusters = n_clusters
        self.augment = augment
        self.backbone = backbone
        self.steps = steps
        self.batch_size = batch_size
        self.n_neighbors = n_neighbors
        self.value_range = value_range
        self.side = side
        self.learning_rate = learning_rate
        self.out = out
        self.random_state = random_state
        self.verbose = verbose

    # ------------------------------------------------------------------------ training

    def fit(self, X: Any, y: Any = None) -> "ImageSegmenter":
        """Trains on images.

        Args:
            X: Images ``(n, height, width[, channels])`` of any type of numbers, a list
                of images ``(height, width[, channels])`` of any sizes, or a folder of
                images. There are 1, 3 or 4 channels, the last of 4 infrared.
            y: Ignored: labels play no part.

        Raises:
            ValueError: For an argument or images that do not fit (``UserError``).
        """
        known = [
            name
            for name, recipe in root_module("data").RECIPES.items()
            if recipe.usual.task == "segment"
        ]
        require(
            self.augment in known,
            f"augment must be one of {', '.join(known)}",
            augment=self.augment,
        )
        self._recipe_ = self.augment
        with told(self.verbose), self._place() as place:
            read = self._read(X, reset=True)
            self._drawn_ = self._seed()
            task = self._task(read)
            self._train(
                task,
                self._options(self._usual(), place=str(place), seed=self._drawn_),
            )
        self.labels_ = self._clusters(read)
        return self

    def _views(self) -> CropViews:
        """What is done to images."""
        recipe = root_module("data").RECIPES[self._recipe_]
        replaced = {} if self.side is None else {"side": self.side}
        views: CropViews = recipe.views((None, None, self._channels_), replaced)
        return views

    def _task(self, read: _Read) -> SegmentTask:
        """Images to be segmented."""
        protocol = Protocol(
            read.images, read.images, "all images, also used for training"
        )
        scenes = root_module("data").RECIPES[self._recipe_].scenes
        return SegmentTask(protocol, self._views(), read.origin, scenes=scenes)

    def _usual(self) -> Usual:
        """What stands where parameters are None."""
        usual: Usual = root_module("data").RECIPES[self._recipe_].usual
        return replace(
            usual, recipe=self._recipe_, channels=self._channels_, range=self._shown_
        )

    def _build(self, shape: tuple[int | None, ...]) -> keras.Model:
        """The backbone, where a recipe says so of edges."""
        views = self._views()
        backbone: keras.Model = root_module("graphs").on_views(
            super()._build, shape, sobel=views.edges, infrared=views.infrared
        )
        return backbone

    # -------------------------------------------------------------------------- images

    def _read(self, X: Any, *, reset: bool) -> _Read:
        """Images as the engine takes them.

        Args:
            X: See ``fit``.
            reset: Whether these are the images that are learned from.
        """
        if isinstance(X, str | Path):
            return self._read_folder(Path(X).expanduser(), reset=reset)
        require(
            isinstance(X, Sequence) or hasattr(X, "__array__"),
            "X must be an array of images, a list of images or a folder",
            type=type(X).__name__,
        )
        X = X if isinstance(X, Sequence) else np.asarray(X)
        arrays = _images_of(X)
        self._check_channels(arrays[0].shape[2], reset=reset)
        images = self._as_bytes(arrays, reset=reset)
        names = tuple(f"{i:0{len(str(len(images)))}}" for i in range(len(images)))
        sizes = tuple(image.shape[:2] for image in images)
        part = Split(images, None, names, sizes=sizes)
        return _Read(part, _is_stacked(X), "arrays in memory")

    def _as_bytes(
        self, images: Sequence[np.ndarray], *, reset: bool
    ) -> list[np.ndarray]:
        """Images as bytes; those of the type that was learned from are read alike."""
        dtype = str(images[0].dtype)
        if not reset and dtype == self._dtype_:
            shown = self._shown_ and Range(*self._shown_)
        else:
            shown = _range_of(images, self.value_range)
        if reset:
            self._dtype_ = dtype
            self._shown_ = shown and (float(shown.low), float(shown.high))
            if shown and shown.told:
                console.print(f"Values:   X: {shown.told}")
        if shown is None:
            return list(images)
        return [to_bytes(image[None], shown)[0][0] for image in images]

    def _check_channels(self, channels: int, *, reset: bool) -> None:
        """Raises UserError if images have not the channels of those learned from."""
        if reset:
            self._channels_ = channels
        require(
            channels == self._channels_,
            f"images of X must have {self._channels_} channel"
            + "s" * (self._channels_ > 1)
            + ", as in fit",
            channels=channels,
        )

    def _read_folder(self, folder: Path, *, reset: bool) -> _Read:
        """Images of a folder."""
        require(
            folder.is_dir(),
            "X must be a folder of images where it is a path",
            X=str(folder),
        )
        alike = not reset and self._dtype_ == FOLDER
        source = from_images_and_masks(
            folder,
            masks=None,
            channels=None if reset else self._channels_,
            shown=self._shown_ if alike else self.value_range,
        )
        if source.advice:
            console.print(source.advice)
        [part] = source.splits.values()
        if reset:
            self._dtype_, self._shown_ = FOLDER, source.shown
        self._check_channels(part.images[0].shape[2], reset=reset)
        self.paths_ = part.paths
        return _Read(part, False, source.origin)

    # ----------------------------------------------------------------------- afterwards

    def _predict(self) -> Callable:
        """Inference of the chosen sub-head."""
        return _compiled(self.model_, self._views().margin, self.chosen_)

    def _clusters(self, read: _Read) -> Maps:
        """Cluster of each pixel."""
        found = clusters_of(self._predict(), read.images.images, self._views().finish)
        return read.like(maps[..., 0].astype(np.int32) for maps in found)

    def _fitted(self, X: Any) -> _Read:
        """Images to be looked at with the network."""
        check_is_fitted(self, "model_")
        with told(self.verbose):
            return self._read(X, reset=False)

    def predict(self, X: Any) -> Maps:
        """Cluster of each pixel.

        Args:
            X: Images as in ``fit``, of any size.

        Returns:
            int32, shape ``(n, height, width)``, for an array of images; for a list or
            a folder a list of maps ``(height, width)``, the size of each image.
        """
        return self._clusters(self._fitted(X))

    def predict_proba(self, X: Any) -> Maps:
        """Probability of each cluster at each pixel by the chosen sub-head.

        Args:
            X: Images as in ``fit``, of any size.

        Returns:
            float32, shape ``(n, height, width, k)``, for an array of images; for a list
            or a folder a list of maps ``(height, width, k)``.
        """
        read = self._fitted(X)
        found = soft_maps_of(self._predict(), read.images.images, self._views().finish)
        return read.like(maps[..., 0, :] for maps in found)

    def score(self, X: Any, y: Any = None) -> float:
        """Mutual information of augmented views by the chosen sub-head, in nats.

        Args:
            X: Images as in ``fit``, of any size.
            y: Ignored: no label is needed.

        Returns:
            Between 0 and ln k; the higher, the better clusters hold under augmentation.
        """
        task = self._task(self._fitted(X))
        health = task.health(
            self.model_, self._options(self._usual(), seed=self._drawn_)
        )
        return float(health.information[self.chosen_])

    # -------------------------------------------------------------------- save and load

    def _write(self, place: Path) -> dict[str, Any]:
        labels = self.labels_
        np.savez_compressed(
            place / LABELS_FILE,
            labels=np.concatenate([part.reshape(-1) for part in labels]).astype("u1"),
            shapes=np.array([part.shape for part in labels]),
        )
        return {
            "channels": self._channels_,
            "dtype": self._dtype_,
            "shown": self._shown_,
            "seed": self._drawn_,
            "stacked": isinstance(labels, np.ndarray),
            "paths": getattr(self, "paths_", None),
        }

    def _read_back(self, place: Path, fitted: dict[str, Any]) -> None:
        self._channels_, self._dtype_ = fitted["channels"], fitted["dtype"]
        self._shown_ = fitted["shown"] and tuple(fitted["shown"])
        self._drawn_ = fitted["seed"]
        if fitted["paths"] is not None:
            self.paths_ = tuple(fitted["paths"])
        with np.load(place / LABELS_FILE) as stored:
            flat, shapes = stored["labels"].astype(np.int32), stored["shapes"]
        ends = np.cumsum(shapes.prod(axis=1))
        parts = [
            part.reshape(shape)
            for part, shape in zip(np.split(flat, ends[:-1]), shapes, strict=True)
        ]
        self.labels_ = np.stack(parts) if fitted["stacked"] else parts
