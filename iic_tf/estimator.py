"""Clustering of whole examples from Python, in scikit-learn's conventions.

    from iic_tf import ImageClusterer

    clusterer = ImageClusterer(n_clusters=10).fit(images)
    clusterer.labels_, clusterer.confidence_
    clusterer.predict(more_images)

What a run does is the same as on the command line: recipes are those of ``data.py``,
backbones those of ``graphs.py`` (``root_files.py``).
"""

import inspect
import json
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import keras
import numpy as np
import tensorflow as tf
from sklearn.base import BaseEstimator, ClusterMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from iic_tf.augment.pairs import Views, evaluation_batches
from iic_tf.augment.transforms import Transform
from iic_tf.datasets.arrays import as_images, squared
from iic_tf.datasets.own import from_folder
from iic_tf.datasets.splits import Protocol, Split
from iic_tf.distribute import choose_precision, choose_strategy
from iic_tf.errors import require
from iic_tf.evaluation.health import measure
from iic_tf.evaluation.inference import (
    compile_predict,
    evaluate_pairs,
    features_of,
    soft_assignments,
)
from iic_tf.evaluation.results import Results
from iic_tf.models.frozen import as_trunk, behind_trunk, split_at_trunk
from iic_tf.models.networks import ClusterIIC
from iic_tf.neighbours.spectral import Chosen
from iic_tf.options import (
    DataOptions,
    GraphOptions,
    HeadOptions,
    Options,
    ReportOptions,
    TrainOptions,
)
from iic_tf.report.console import console
from iic_tf.resolved import RunOptions, Usual, resolve
from iic_tf.root_files import root_module
from iic_tf.run_folder import finished_together, read_history
from iic_tf.tasks.cluster import ClusterTask
from iic_tf.training.embedding import embed
from iic_tf.training.run import train
from iic_tf.training.stored import finish

KINDS = {4: "images", 3: "images", 2: "vectors"}
"""What arrays of so many axes are where nothing is said; 3 only of bytes."""

PARAMETERS_FILE, NETWORK_FILE = "estimator.json", "model.keras"

BATCH = 1000
"""Examples predicted at a time."""


@cache
def strategy() -> tf.distribute.Strategy:
    """All GPUs, else the CPU; one for the process, where fits may be many."""
    return choose_strategy()


@contextmanager
def told(verbose: bool) -> Iterator[None]:
    """Within it the engine prints, or not."""
    before, console.quiet = console.quiet, console.quiet or not verbose
    try:
        yield
    finally:
        console.quiet = before


def _of_users(function: Callable[..., Any]) -> Transform:
    """An augmentation from a function of the user's.

    Args:
        function: Takes a float32 batch, images in [0, 1], and perhaps a
            ``numpy.random.Generator``; returns such a batch of the same shape.
    """
    takes = len(inspect.signature(function).parameters)

    def call(batch: np.ndarray, seed: np.ndarray) -> np.ndarray:
        draws = np.random.default_rng(np.abs(seed).tolist())
        found = function(batch, draws) if takes > 1 else function(batch)
        return np.asarray(found, np.float32)

    def apply(batch: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        found = tf.numpy_function(call, [batch, seed], tf.float32)
        return tf.ensure_shape(found, batch.shape)

    return apply


def _halves(views: Views) -> Views:
    """Views of ready pairs, which lie side by side in the last axis."""

    def half(transform: Transform, which: int) -> Transform:
        return lambda x, seed: transform(tf.split(x, 2, axis=-1)[which], seed)

    return Views(
        half(views.original, 0), half(views.evaluate, 1), half(views.evaluate, 0)
    )


E = TypeVar("E", bound="Estimator")


class Estimator(BaseEstimator, ABC):
    """What estimators share: runs, seeds, backbones, saving and loading.

    Subclasses have the parameters and attributes that are declared here.
    """

    n_clusters: int
    backbone: str | Callable[..., keras.Model] | None
    steps: int | None
    batch_size: int | None
    n_neighbors: int | None
    value_range: tuple[float, float] | None
    learning_rate: float
    out: str | None
    random_state: int | np.random.RandomState | None
    verbose: bool

    model_: keras.Model
    chosen_: int
    information_: float
    history_: list[dict[str, Any]]
    n_iter_: int
    _recipe_: str

    @contextmanager
    def _place(self) -> Iterator[Path]:
        """Folder for the run folder, which goes again unless it was asked for."""
        if self.out is not None:
            yield Path(self.out)
            return
        place = Path(tempfile.mkdtemp(prefix="iic_tf_"))
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def _options(self, usual: Usual, *, place: str = "", seed: int = 0) -> RunOptions:
        """All options of a run.

        Args:
            usual: What stands where parameters are None.
            place: Where the run folder goes.
            seed: Of the run.
        """
        asked = Options(
            k=self.n_clusters,
            out=place,
            seed=seed,
            data=DataOptions(
                recipe=self._recipe_,
                batch=self.batch_size,
                neighbours=self.n_neighbors,
            ),
            graph=GraphOptions(self._backbone_name()),
            heads=HeadOptions(),
            train=TrainOptions(steps=self.steps, learning_rate=self.learning_rate),
            report=ReportOptions(window="auto" if self.verbose else "never"),
        )
        return resolve(asked, replace(usual, precision=choose_precision(strategy())))

    def _seed(self) -> int:
        """Seed of the run: that of ``random_state``, or one that it draws."""
        given = self.random_state
        if given is None or isinstance(given, int | np.integer):
            return int(given or 0)
        return int(check_random_state(given).randint(2**31 - 1))

    def _train(
        self, task: Any, options: RunOptions, *, trunk: keras.Model | None = None
    ) -> Results:
        """Trains and keeps what came out.

        Args:
            task: What is trained.
            options: Of the run.
            trunk: What the network is kept behind, see ``models.frozen``.
        """
        shape = task.seen_shape
        trained = train(
            options,
            task,
            build_backbone=lambda: self._build(shape),
            strategy=strategy(),
        )
        results: Results = task.evaluate(
            trained.model, options, lowest=trained.lowest, trained=True
        )
        if self.out is not None:
            finish(trained, options, results=results, trunk=trunk)
        model = trained.model
        self.model_ = model if trunk is None else behind_trunk(trunk, model)
        self.chosen_ = results.chosen
        self.information_ = float(results.health.information[results.chosen])
        self.history_ = read_history(trained.folder)
        self.n_iter_ = trained.step
        return results

    def _backbone_name(self) -> str | None:
        return self.backbone if isinstance(self.backbone, str) else None

    def _build(self, shape: tuple[int | None, ...]) -> keras.Model:
        """The backbone."""
        if callable(self.backbone):
            return self.backbone(shape)
        usual = root_module("data").RECIPES[self._recipe_].usual
        graphs = root_module("graphs")
        return graphs.find(self.backbone or usual.graph, task=usual.task)(shape)

    # -------------------------------------------------------------------- save and load

    @abstractmethod
    def _write(self, place: Path) -> dict[str, Any]:
        """Writes what JSON is not made for; returns the rest of what was fitted."""

    @abstractmethod
    def _read_back(self, place: Path, fitted: dict[str, Any]) -> None:
        """Takes up what ``_write`` has written and returned."""

    def save(self, folder: str | Path) -> None:
        """Writes the fitted estimator into a folder, without pickle.

        Args:
            folder: Made if it is not there.

        Raises:
            ValueError: If it is not fitted.
        """
        check_is_fitted(self, "model_")
        usual = {
            name: parameter.default
            for name, parameter in inspect.signature(type(self)).parameters.items()
        }
        parameters = {
            name: usual[name] if callable(value) else value
            for name, value in self.get_params().items()
        }
        if not isinstance(parameters["random_state"], int | None):
            parameters["random_state"] = None
        fitted = {
            "recipe": self._recipe_,
            "chosen": self.chosen_,
            "information": self.information_,
            "n_iter": self.n_iter_,
            "history": self.history_,
        }
        place = Path(folder).absolute()
        place.parent.mkdir(parents=True, exist_ok=True)
        with finished_together(place) as unfinished:
            self.model_.save(unfinished / NETWORK_FILE)
            fitted |= self._write(unfinished)
            text = json.dumps({"parameters": parameters, "fitted": fitted})
            (unfinished / PARAMETERS_FILE).write_text(text, encoding="utf-8")

    @classmethod
    def load(cls: type[E], folder: str | Path) -> E:
        """A fitted estimator as ``save`` wrote it.

        Functions given as parameters are not kept: to predict they are not needed.

        Args:
            folder: The folder.

        Raises:
            ValueError: If there is none, or one of another kind of estimator.
        """
        place = Path(folder)
        require(
            (place / PARAMETERS_FILE).is_file(),
            f"{place} must be a folder that save has written",
            folder=str(place),
        )
        stored = json.loads((place / PARAMETERS_FILE).read_text(encoding="utf-8"))
        parameters, fitted = stored["parameters"], stored["fitted"]
        require(
            set(parameters) == set(inspect.signature(cls).parameters),
            f"{place} must be a folder that {cls.__name__}.save has written",
            parameters=sorted(parameters),
        )
        if parameters["value_range"] is not None:
            parameters["value_range"] = tuple(parameters["value_range"])
        mine = cls(**parameters)
        mine._recipe_, mine.chosen_ = fitted["recipe"], fitted["chosen"]
        mine.information_, mine.n_iter_ = fitted["information"], fitted["n_iter"]
        mine.history_ = fitted["history"]
        mine._read_back(place, fitted)
        mine.model_ = keras.models.load_model(place / NETWORK_FILE)
        return mine


class ImageClusterer(ClusterMixin, TransformerMixin, Estimator):
    """Groups images, vectors or series by Invariant Information Clustering.

    Args:
        n_clusters: Number of clusters k.
        kind: ``"images"``, ``"vectors"`` ``(n, d)`` or ``"series"`` ``(n, t,
            channels)``; ``"auto"`` goes by the number of axes and the type.
        augment: What a cluster should not depend on: the name of a recipe in data.py
            whose augmentations are used (``"colour"``, ``"grey"``, ``"mnist"``, ...),
            ``"auto"`` to choose one, or a function from a float batch to an augmented
            one of the same shape, which may take a ``numpy.random.Generator`` as its
            second argument.
        backbone: Name of a backbone in graphs.py, or a function from the shape of one
            example to a Keras model that gives features; None for the usual one.
        frozen: A trained Keras model from images in [0, 1] to features, which stays as
            it is: the features of all images are computed once and clustered, by a
            backbone for vectors. None to learn from the images themselves.
        steps: Training steps; None for as many as the recipe takes.
        batch_size: Examples per step; None to follow from their number.
        n_neighbors: Nearest neighbours that pairs are also made of; 0 is plain IIC,
            None what is usual.
        value_range: Values that become black and white in images that are no bytes;
            None to choose it.
        side: Side in pixels that files in a folder are resized to, and all images for a
            frozen network that takes any size; None to choose it.
        learning_rate: Of Adam.
        out: Folder in which the run folder, with all plots, stays; None for none.
        random_state: Seed, or a ``numpy.random.RandomState``; None for 0, so that
            results can be repeated.
        verbose: Whether progress is printed.

    Attributes:
        labels_: Cluster of each example, shape ``(n,)``.
        confidence_: Of each example in its cluster, 0 to 1, shape ``(n,)``: that
            probability, calibrated over augmented views and all sub-heads, so that it
            comes nearer to how often clusters are right than ``predict_proba``.
        model_: The network.
        chosen_: Number of the chosen sub-head.
        information_: Mutual information of augmented views by that sub-head, in nats.
        history_: Reports of the run, a dict each.
        n_iter_: Steps done.
        n_features_in_: Numbers of one example.

    Examples:
        >>> from iic_tf import ImageClusterer
        >>> x = np.random.default_rng(0).normal(size=(60, 4))
        >>> x[:30] += 10  # two clouds of vectors
        >>> clusterer = ImageClusterer(2, steps=10, random_state=0).fit(x)
        >>> first, second = set(clusterer.labels_[:30]), set(clusterer.labels_[30:])
        >>> len(first), len(second), first == second
        (1, 1, False)
        >>> clusterer.predict_proba(x[:5]).shape, clusterer.transform(x[:5]).shape
        ((5, 2), (5, 256))
        >>> 0 <= clusterer.score(x) <= 1
        True
        >>> clusterer.save("mine")
        >>> again = ImageClusterer.load("mine")
        >>> bool((again.predict(x) == clusterer.labels_).all())
        True
    """

    _kind_: str

    def __init__(
        self,
        n_clusters: int = 10,
        *,
        kind: str = "auto",
        augment: str | Callable[..., Any] = "auto",
        backbone: str | Callable[..., keras.Model] | None = None,
        frozen: keras.Model | None = None,
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
        self.kind = kind
        self.augment = augment
        self.backbone = backbone
        self.frozen = frozen
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

    def fit(self, X: Any, y: Any = None) -> "ImageClusterer":
        """Trains on examples.

        Args:
            X: Images ``(n, height, width[, channels])`` of any type of numbers, vectors
                ``(n, d)``, series ``(n, t, channels)``, a folder of images, a
                ``tf.data.Dataset`` of single examples, or a pair of such arrays whose
                rows belong together, in place of augmentation.
            y: Ignored: labels play no part.

        Raises:
            ValueError: For an argument or data that do not fit (``UserError``).
        """
        paired = isinstance(X, tuple)
        x, other = X if paired else (X, None)
        examples = self._read(x, reset=True)
        if other is not None:
            second = self._read(other, reset=False)
            require(
                second.shape == examples.shape,
                "both arrays of a pair must have the same shape",
                first=examples.shape,
                second=second.shape,
            )
            examples = np.concatenate((examples, second), axis=-1)
        seed = self._seed()
        with told(self.verbose):
            trunk, examples = self._embedded(examples, paired=paired)
            self._recipe_, chosen = (
                ("vectors", None)
                if trunk
                else self._choose_recipe(examples, paired=paired, seed=seed)
            )
        views = self._views(examples.shape[1:], paired=paired)
        recipe = root_module("data").RECIPES[self._recipe_]
        split = Split(examples)
        task = ClusterTask(
            Protocol(split, split, "the examples, also used for training"),
            views,
            "memory",
            kind=recipe.kind,
            mirrored=recipe.mirrored and not paired,
            middle=recipe.usual.middle,
            neighbour_share=recipe.neighbour_share,
        )
        usual = recipe.usual_for(len(examples))
        if chosen is not None:
            middle = chosen.middle
            task = replace(task, middle=middle, nearest=chosen.nearest)
            usual = replace(usual, middle=middle)
        with told(self.verbose), self._place() as place:
            options = self._options(usual, place=str(place), seed=seed)
            results = self._train(task, options, trunk=trunk)
        if results.soft is None:
            raise ValueError("clusters of whole examples have soft assignments")
        soft = results.soft[:, results.chosen]
        self.labels_, self.confidence_ = soft.argmax(-1), soft.max(-1)
        if results.confidence is not None:
            self.confidence_ = results.confidence
        return self

    def _embedded(
        self, examples: np.ndarray, *, paired: bool
    ) -> tuple[keras.Model | None, np.ndarray]:
        """The frozen network and its features of images, or None and the examples."""
        if self.frozen is None:
            return None, examples
        require(
            self._kind_ == "images" and not paired and self.augment == "auto",
            "frozen is for images, not for pairs, with augment auto, since features "
            "are augmented",
            kind=self._kind_,
            paired=paired,
            augment=self.augment,
        )
        usual = inspect.signature(root_module("data").embeddings).parameters["size"]
        trunk = as_trunk(
            self.frozen, size=self.side or usual.default, channels=examples.shape[-1]
        )
        return trunk, embed(trunk, examples, cache=None, keep=False)

    # ------------------------------------------------------------------------ examples

    def _read(self, X: Any, *, reset: bool) -> np.ndarray:
        """Examples as the engine takes them.

        Args:
            X: See ``fit``.
            reset: Whether these are the examples that are learned from.
        """
        if isinstance(X, str | Path):
            return self._read_folder(Path(X), reset=reset)
        if isinstance(X, tf.data.Dataset):
            X = np.stack([np.asarray(x) for x in X.as_numpy_iterator()])
        kind: str = self._kind_of(X) if reset else self._kind_
        if kind == "vectors":
            x = validate_data(self, X, reset=reset, dtype=np.float32)
        else:
            x = check_array(
                X, allow_nd=True, ensure_2d=False, dtype=None, ensure_all_finite=False
            )
            x = self._checked(x, kind)
        if reset:
            self._kind_, self._shown_ = kind, self.value_range
            least = self.n_clusters
            require(
                len(x) >= least,
                f"X must have at least n_clusters={least} samples",
                n_samples=len(x),
            )
        if kind == "images":
            found = as_images(x, what="X", shown=self._shown_)
            self._shown_, x = self._shown_ or found.shown, found.pixels
            if x.shape[1] != x.shape[2]:
                x = squared(x)
        if kind != "vectors":
            self._check_size(x.shape[1:], reset=reset)
        return x

    def _checked(self, x: np.ndarray, kind: str) -> np.ndarray:
        """Images or series with the axes that they need."""
        if kind == "images":
            require(
                x.ndim in (3, 4),
                "images must have shape (n, height, width[, channels])",
                shape=x.shape,
            )
            return x
        require(x.ndim == 3, "series must have shape (n, t, channels)", shape=x.shape)
        require(bool(np.isfinite(x).all()), "series must be finite", finite=False)
        return x.astype(np.float32)

    def _kind_of(self, X: Any) -> str:
        """What examples are."""
        if self.kind != "auto":
            require(
                self.kind in ("images", "vectors", "series"),
                "kind must be auto, images, vectors or series",
                kind=self.kind,
            )
            return self.kind
        ndim = X.ndim if hasattr(X, "ndim") else np.asarray(X).ndim
        require(
            ndim != 3 or getattr(X, "dtype", None) == np.uint8,
            "X has three axes and is not uint8, so it may be grey images or series; "
            "kind must be images or series",
            kind="auto",
        )
        return KINDS.get(ndim, "vectors")  # which then says what is wrong

    def _check_size(self, shape: tuple[int, ...], *, reset: bool) -> None:
        """Raises UserError if examples are not of the size of those learned from."""
        if reset:
            self._shape_, self.n_features_in_ = shape, int(np.prod(shape))
        require(
            shape == self._shape_,
            f"X must have examples of shape {self._shape_}, as in fit",
            shape=shape,
        )

    def _read_folder(self, folder: Path, *, reset: bool) -> np.ndarray:
        """Images of a folder."""
        if reset:
            source = from_folder(
                folder.expanduser(), side=self.side, channels=None, labels=False
            )
        else:
            source = from_folder(
                folder.expanduser(),
                side=self._shape_[0],
                channels=self._shape_[2],
                labels=False,
                shown=self._shown_,
            )
        [split] = source.splits.values()
        if reset:
            self._kind_, self._shown_ = "images", source.shown
        self._check_size(split.images.shape[1:], reset=reset)
        self.paths_ = split.paths
        return split.images

    def _choose_recipe(
        self, examples: np.ndarray, *, paired: bool, seed: int
    ) -> tuple[str, Chosen | None]:
        """Name of the recipe whose augmentations and networks are used.

        And by what images are to be compared, if that was looked at.
        """
        data = root_module("data")
        if isinstance(self.augment, str) and self.augment != "auto":
            of_kind = [
                name
                for name, recipe in data.RECIPES.items()
                if recipe.usual.task == "cluster"
                and self._kind_
                == (recipe.kind if recipe.kind in ("vectors", "series") else "images")
            ]
            require(
                self.augment in of_kind,
                f"augment must be auto, a function, or for {self._kind_} one of "
                f"{', '.join(of_kind)}",
                augment=self.augment,
            )
            return self.augment, None
        if self._kind_ != "images":
            return self._kind_, None
        if paired:
            return "colour" if examples.shape[-1] == 6 else "grey", None
        found: tuple[str, Chosen | None] = data.suitable(
            examples, k=self.n_clusters, seed=seed
        )
        return found

    def _views(self, shape: tuple[int, ...], *, paired: bool = False) -> Views:
        """What is done to examples."""
        if paired:
            shape = (*shape[:-1], shape[-1] // 2)
        recipe = root_module("data").RECIPES[self._recipe_]
        views = recipe.views(shape, {})
        if paired:
            return _halves(views)
        if callable(self.augment):
            mine = _of_users(self.augment)

            def augment(x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
                return views.evaluate(mine(x, seed), seed)

            return Views(views.evaluate, augment, views.evaluate)
        return views

    # ----------------------------------------------------------------------- afterwards

    def _fitted(self, X: Any) -> tuple[ClusterIIC, np.ndarray, Views]:
        """The network, examples to be looked at with it, and how it sees them."""
        check_is_fitted(self, "model_")
        model, examples = self.model_, self._read(X, reset=False)
        if (parts := split_at_trunk(model)) is not None:
            trunk, model = parts
            with told(self.verbose):
                examples = embed(trunk, examples, cache=None, keep=False)
        return model, examples, self._views(examples.shape[1:])

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probability of each cluster by the chosen sub-head, shape ``(n, k)``.

        Rows sum to 1, and the largest is the cluster that ``predict`` tells. They are
        what the network is trained for, and not calibrated: see ``confidence_``.

        Args:
            X: Examples as in ``fit``, of the same size.
        """
        model, examples, views = self._fitted(X)
        batches = evaluation_batches(examples, views, batch=BATCH)
        soft = soft_assignments(compile_predict(model), batches)
        return soft[:, self.chosen_]

    def predict(self, X: Any) -> np.ndarray:
        """Cluster of each example, shape ``(n,)``; see ``predict_proba``."""
        return self.predict_proba(X).argmax(-1)

    def transform(self, X: Any) -> np.ndarray:
        """Features of the backbone, float32, shape ``(n, d)``.

        Args:
            X: Examples as in ``fit``, of the same size.
        """
        model, examples, views = self._fitted(X)
        return features_of(model, examples, views)

    def score(self, X: Any, y: Any = None) -> float:
        """Mutual information of augmented views, as a share of its maximum ln k.

        Args:
            X: Examples as in ``fit``, of the same size.
            y: Ignored: no label is needed.

        Returns:
            Between 0 and 1; the higher, the better clusters hold under augmentation.
        """
        model, examples, views = self._fitted(X)
        pairs = evaluation_batches(examples, views, pairs=True, batch=BATCH)
        _, joint = evaluate_pairs(compile_predict(model), pairs)
        found = measure(joint[self.chosen_][None]).information[0]
        return float(found / np.log(self.n_clusters))

    # -------------------------------------------------------------------- save and load

    def _write(self, place: Path) -> dict[str, Any]:
        return {
            "kind": self._kind_,
            "shape": getattr(self, "_shape_", None),
            "shown": self._shown_,
            "n_features_in": self.n_features_in_,
            "labels": self.labels_.tolist(),
            "confidence": self.confidence_.tolist(),
        }

    def _read_back(self, place: Path, fitted: dict[str, Any]) -> None:
        self._kind_, self.n_features_in_ = fitted["kind"], fitted["n_features_in"]
        if fitted["shape"] is not None:
            self._shape_ = tuple(fitted["shape"])
        self._shown_ = fitted["shown"] and tuple(fitted["shown"])
        self.labels_ = np.array(fitted["labels"])
        self.confidence_ = np.array(fitted["confidence"], np.float32)
