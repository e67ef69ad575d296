"""The options of a run, as frozen dataclasses.

This module imports neither TensorFlow nor NumPy, so that the command line can be parsed
and its help shown at once. Checks that need no data are in ``__post_init__``; those
that need data are made where the data is.
"""

import dataclasses
import inspect
import json
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from iic_tf.errors import require

LARGEST_INT, LARGEST_FLOAT = 2**31 - 1, 3.4e38
"""The limits of int32 and float32, which devices calculate with."""


def check_numbers(name: str, value: Any) -> None:
    """Checks that all numbers of an option are finite and not too large.

    Args:
        name: Name of the option.
        value: A number, or lists, dicts or options of some; anything else passes.

    Raises:
        UserError: If a number is infinite, not a number, or too large.

    Examples:
        >>> from iic_tf.options import check_numbers
        >>> check_numbers("train", {"steps": 100, "lamb": [0.5, 1.5]})
        >>> check_numbers("train", {"lamb": float("inf")})
        Traceback (most recent call last):
            ...
        iic_tf.errors.UserError: train.lamb must be a finite number. Received: lamb=inf
    """
    if dataclasses.is_dataclass(value):
        value = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        for key, part in value.items():
            check_numbers(f"{name}.{key}" if name else str(key), part)
    elif isinstance(value, list | tuple):
        for part in value:
            check_numbers(name, part)
    elif isinstance(value, int | float):
        largest = LARGEST_INT if isinstance(value, int) else LARGEST_FLOAT
        require(
            -largest <= value <= largest,  # never of what is not a number
            f"{name} must be at most {largest:,}"
            if isinstance(value, int)
            else f"{name} must be a finite number",
            **{name.rsplit(".", 1)[-1]: value},
        )


def require_at_most(name: str, value: float | None, largest: float) -> None:
    """Raises UserError if an option is given and above its limit.

    Examples:
        >>> from iic_tf.options import require_at_most
        >>> require_at_most("data.size", 64, 4096)
        >>> require_at_most("data.size", 5000, 4096)
        Traceback (most recent call last):
            ...
        iic_tf.errors.UserError: data.size must be at most 4,096. Received: size=5000
    """
    require(
        value is None or value <= largest,
        f"{name} must be at most {largest:,}",
        **{name.rsplit(".", 1)[-1]: value},
    )


def _is_kind(value: Any, kind: type) -> bool:
    """Whether a value is of a type; whole numbers are floats, lists are tuples."""
    if kind is float:
        return type(value) in (int, float)
    if kind in (tuple, list):
        return isinstance(value, tuple | list)
    return type(value) is kind


def is_like(value: Any, default: Any, hint: Any) -> bool:
    """Whether an option's value can take the place of a default.

    Args:
        value: The value.
        default: The default; where it is None or empty the annotation tells the kind.
        hint: The annotation.

    Examples:
        >>> from iic_tf.options import is_like
        >>> is_like(3, 1.5, float), is_like(1.5, 3, int)
        (True, False)
        >>> is_like([16, 20], (16, 20, 24), tuple[int, ...])
        True
    """
    if default is None:  # as in int | None
        kinds = [get_origin(kind) or kind for kind in get_args(hint)]
        return not kinds or any(_is_kind(value, kind) for kind in kinds)
    if isinstance(default, tuple):
        if not isinstance(value, list | tuple):
            return False
        known = {type(entry) for entry in default}
        known |= {k for k in get_args(hint) if isinstance(k, type) and not default}
        fits = not known or all(any(_is_kind(v, k) for k in known) for v in value)
        any_length = not default or (bool(value) and "..." in str(hint))
        return fits and (any_length or len(value) == len(default))
    return _is_kind(value, type(default))


def check_arguments(
    function: Callable, values: Mapping[str, Any], *, option: str
) -> None:
    """Checks options that become keyword arguments of a function of the user's.

    A value must be of the kind of the argument's default, a list as long as it unless
    the annotation has an ellipsis.

    Args:
        function: Its keyword-only arguments are the known names.
        values: Arguments by name, as they came from the command line or YAML.
        option: Name of the option, for the sentence.

    Raises:
        UserError: If a name is unknown or a value of the wrong kind.

    Examples:
        >>> from iic_tf.options import check_arguments
        >>> def build(shape, *, width=64):
        ...     "A network."
        >>> check_arguments(build, {"width": 32}, option="graph.args")
        >>> check_arguments(build, {"depth": 4}, option="graph.args")
        Traceback (most recent call last):
            ...
        iic_tf.errors.UserError: graph.args of build accepts width. Received: depth=4
    """
    parameters = inspect.signature(function).parameters
    known = [p.name for p in parameters.values() if p.kind is p.KEYWORD_ONLY]
    for name, value in values.items():
        require(
            name in known,
            f"{option} of {function.__name__} accepts {', '.join(known) or 'nothing'}",
            **{name: value},
        )
        default = parameters[name].default
        require(
            is_like(value, default, parameters[name].annotation),
            f"{option}.{name} must be a value like {default!r}",
            **{name: value},
        )


MAX_STEPS = 20_000_000
"""Steps of a run; the longest published one has 4.8 million."""

MAX_SUB_HEADS = 100
"""Sub-heads of a bank; the published runs have five."""

MAX_SIDE = 4096
"""Pixels along a side of an image, view or crop."""

USUAL_K = 10
"""Clusters where nothing is said."""

MAX_SEEDS = 100
"""Runs that one command trains."""

MAX_NEIGHBOURS = 1000
"""Neighbours of an image."""


@dataclass(frozen=True)
class DataOptions:
    """Where the images come from and how pairs are made."""

    recipe: str | None = None
    """Name of a recipe in data.py, which sets images, sizes and augmentation. Default:
    mnist; for your own images one that is chosen to suit them, or images for
    data.images."""

    dir: str | None = None
    """Folder or .npz file of the recipe's data set. Default: search this machine, then
    download."""

    folder: str | None = None
    """Folder of your own images (JPEG, PNG, BMP, GIF, TIFF, WebP), with or without
    sub-folders."""

    only: list[str] | None = None
    """Files and folders in data.folder or data.images, by their paths inside it, which
    are read alone. Default: all."""

    array: str | None = None
    """Your own images as a numeric .npy file (n, height, width[, channels]), or as an
    .npz file with images, or x_train and x_test. How values are interpreted is printed;
    images that are not square are resized to squares."""

    features: str | None = None
    """Your own vectors, such as embeddings by another network: a .npy file of numbers
    (n, d), or an .npz file with features, or x_train and x_test."""

    series: str | None = None
    """Your own series of measurements: a .npy file of numbers (n, t, channels), or an
    .npz file with features, or x_train and x_test."""
    tfds: str | None = None
    """Name of an image data set of TensorFlow Datasets, such as eurosat/rgb, which is
    treated like images of your own: data.size, data.channels and data.recipe are chosen
    to suit it. It is looked for in data.dir, by default TFDS's own folder, and
    otherwise downloaded."""

    labels: str | None = None
    """Classes of your own data, for scoring only: folder if folder names are the
    classes, or for data.array, data.features and data.series a .npy file of integers,
    text or one-hot rows."""

    images: str | None = None
    """Folder of your own images, of any size, to be segmented."""

    masks: str | None = None
    """Folder of label maps for data.images: grey or palette images of the same names,
    for scoring only (except with segment.masked). Unless data.names or data.merge is
    set, the classes are the values that occur."""

    ignore: int | None = None
    """Value in data.masks that means "no class". Default: 255, unless the masks hold
    only 0 and 255, which then are two classes."""

    merge: list[int] | None = None
    """Class of each value in data.masks, as in [0, 1, 1, 255], which makes 1 and 2 one
    class and ignores 3. Default: each value is a class."""

    classes: str | None = None
    """Set of classes of COCO-Stuff, such as few_people or full_things. Default: the
    recipe's."""

    curated: str | None = None
    """Name of the list of COCO-Stuff images to use. Default: the recipe's."""

    names: list[str] | None = None
    """Names of the classes of data.masks, for plots and tables."""

    repeat_mistakes: list[Literal["sky", "person", "bgr"]] = field(default_factory=list)
    """Mistakes of the authors' code to repeat on COCO-Stuff: sky (pixels without a
    label are sky with few classes, the first class with full_things), person (the
    padding of images smaller than a crop is labelled person, if that is a class), bgr
    (red and blue are swapped, also in plots and in images that the run is applied
    to)."""

    resize: float | None = None
    """Factor by which images are resized before segmentation. Default: the recipe's,
    or 1."""

    size: int | None = None
    """Side in pixels that the images in data.folder or of data.tfds are resized to.
    Default: chosen to suit them."""

    channels: int | None = None
    """Channels that the images in data.folder and data.images, or of data.tfds, are
    converted to: 1 for grey, 3 for colour, and for data.images also 4 (red, green, blue
    and infrared of files with four bands). Default: 1 if all images are grey, else
    3."""

    range: tuple[float, float] | None = None
    """Values that become black and white in images with more than 8 bits, as in
    [0, 4095]. Default: one range chosen for all images."""

    protocol: Literal["all", "holdout"] = "all"
    """all: train and evaluate on all images (train + test, as published); holdout:
    train on the training split and evaluate on the test split, with clusters mapped to
    classes on the training split."""

    limit: int | tuple[int, int] | None = None
    """Number of images to use: of train and of test, as in [4096, 1024], between which
    images without these splits are divided; or one number of all, to which each split
    gives its share. Where there are labels each class keeps its share, drawn by the
    seed; otherwise the first images are used. Default: all."""

    unlabelled: bool = True
    """Whether to train on the unlabelled images too, if the data set (STL-10) has
    some."""

    shuffle: bool = True
    """Whether to reshuffle the images before each pass; the authors' code does not. If
    not, the last batch is filled up with the first images, so that all are used."""

    batch: int | None = None
    """Distinct images (for segmentation crops) per step, over all devices. Default:
    500, or a quarter of the images if there are fewer than 2,000, but at least 8; for
    segmentation the recipe's."""

    repeats: int = 2
    """Augmented views r per image and step."""

    augment: dict[str, Any] = field(default_factory=dict)
    """Parameters of the recipe's augmentation to override, as in rotation: 30."""

    neighbours: int | None = None
    """Number of nearest neighbours of each image, found without labels, that replace it
    in half of its augmented views (with the recipes of CIFAR and STL-10 in all); for
    segmentation, of similar patches of each patch. They also guide how overclusters are
    merged. This goes beyond plain IIC; 0 is plain IIC. Default: the recipe's."""

    middle: bool | None = None
    """Whether the middle of an image counts most where neighbours of whole images are
    looked for. Default: for your own images true if the groups of their neighbour graph
    then tell more about neighbours, otherwise the recipe's."""

    def __post_init__(self) -> None:
        """Raises UserError for values out of range."""
        require_at_most("data.size", self.size, MAX_SIDE)
        require_at_most("data.neighbours", self.neighbours, MAX_NEIGHBOURS)
        for name in ("size", "side"):
            if isinstance(side := self.augment.get(name), int):
                require_at_most(f"data.augment.{name}", side, MAX_SIDE)
        check_numbers("data", self)
        places = (
            *("dir", "folder", "array", "images", "features", "series"),
            "tfds",
        )
        for name in (*places, "labels", "masks"):
            require(
                getattr(self, name) != "",
                f"data.{name} must not be empty",
                **{name: ""},
            )
        given = [name for name in places if getattr(self, name) is not None]
        require(
            len(given) <= 1 or given == ["dir", "tfds"],
            "only one of data.dir, data.folder, data.array, data.images, "
            "data.features, data.series and data.tfds can be given, but data.dir with "
            "data.tfds",
            given=given,
        )
        require(
            self.masks is None or self.images is not None,
            "data.masks needs data.images",
            masks=self.masks,
        )
        require(
            self.merge is None
            or (len(self.merge) <= 256 and all(0 <= n <= 255 for n in self.merge)),
            "data.merge must be at most 256 classes from 0, or 255 for no class",
            merge=self.merge,
        )
        require(
            self.names is None or len(set(self.names)) == len(self.names),
            "data.names must be unique",
            names=self.names,
        )
        require(
            self.ignore is None or 0 <= self.ignore <= 255,
            "data.ignore must lie between 0 and 255",
            ignore=self.ignore,
        )
        require(
            self.resize is None or 0.01 <= self.resize <= 10,
            "data.resize must lie between 0.01 and 10",
            resize=self.resize,
        )
        require(
            self.labels is None
            or bool(self.folder or self.array or self.features or self.series),
            "data.labels is for data.folder, data.array, data.features and "
            "data.series; a recipe has its own",
            labels=self.labels,
        )
        require(
            self.labels in (None, "folder") if self.folder else self.labels != "folder",
            "data.labels must be folder for data.folder, otherwise a .npy file",
            labels=self.labels,
        )
        require(
            self.size is None or self.size >= 8,
            "data.size must be at least 8 pixels",
            size=self.size,
        )
        require(
            self.channels in (None, 1, 3) or (self.channels == 4 and not self.folder),
            "data.channels must be 1 or 3, or 4 for data.images",
            channels=self.channels,
        )
        require(
            self.range is None
            or -float("inf") < self.range[0] < self.range[1] < float("inf"),
            "data.range must be two numbers, the lower first",
            range=self.range,
        )
        least = min(self.limit) if isinstance(self.limit, list | tuple) else self.limit
        require(
            least is None or least >= 1,
            "data.limit must be numbers of images, at least 1",
            limit=self.limit,
        )
        require(
            self.batch is None or self.batch >= 2,
            "data.batch must be at least 2",
            batch=self.batch,
        )
        require(
            self.repeats >= 1, "data.repeats must be at least 1", repeats=self.repeats
        )
        require(
            self.neighbours is None or self.neighbours >= 0,
            "data.neighbours must be at least 0",
            neighbours=self.neighbours,
        )


@dataclass(frozen=True)
class GraphOptions:
    """The backbone."""

    name: str | None = None
    """Name of a backbone in graphs.py. Default: small, small_segment for segmentation,
    mlp for data.features, series for data.series."""

    args: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of the backbone, as in fan_out_init: 32."""

    frozen: bool = False
    """Whether the backbone stays as it is: images become its features once, and what
    trains is a small network on these. Needs graph.args.weights: a file of weights
    (.h5) for graph.name, a network of Keras (.keras, such as model.keras of a run),
    which then takes the place of graph.name, or imagenet."""

    def __post_init__(self) -> None:
        """Raises UserError for numbers out of range, or weights that are missing."""
        check_numbers("graph", self)
        require(
            not self.frozen or isinstance(self.args.get("weights"), str),
            "graph.frozen needs graph.args.weights, a file (or imagenet): a backbone "
            "with random weights would have nothing to say",
            args=self.args,
        )


@dataclass(frozen=True)
class HeadOptions:
    """The two banks of sub-heads."""

    main: int = 10
    """Number of main sub-heads, each with k clusters."""

    aux: int = 5
    """Number of auxiliary overclustering sub-heads; 0 for none."""

    k_aux: int | None = None
    """Clusters of each auxiliary sub-head. Default: 5 k, in the recipe scenes at least
    40."""

    bias: bool = True
    """Whether sub-heads have biases; the authors' segmentation heads have none."""

    initializer: str | None = None
    """Start weights of sub-heads and classifiers: an initialiser of Keras, such as
    GlorotNormal (Xavier) or RandomNormal, which with stddev: 0.01 is the authors'.
    Biases begin at 0. Default: HeNormal, for a classifier GlorotUniform."""

    initializer_args: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of the initialiser, as in stddev: 0.01."""

    def __post_init__(self) -> None:
        """Raises UserError for values out of range."""
        require_at_most("heads.main", self.main, MAX_SUB_HEADS)
        require_at_most("heads.aux", self.aux, MAX_SUB_HEADS)
        check_numbers("heads", self)
        require(self.main >= 1, "heads.main must be at least 1", main=self.main)
        require(self.aux >= 0, "heads.aux must be at least 0", aux=self.aux)
        require(
            self.initializer is not None or not self.initializer_args,
            "heads.initializer_args needs heads.initializer",
            initializer_args=self.initializer_args,
        )

    @property
    def start(self) -> dict[str, Any] | None:
        """The initialiser as Keras describes one; None for the default."""
        if self.initializer is None:
            return None
        return {"class_name": self.initializer, "config": dict(self.initializer_args)}


Lambda = float | list[tuple[float, float]]


@dataclass(frozen=True)
class TrainOptions:
    """How long and how to train."""

    steps: int | None = None
    """Training steps; each processes batch * (1 + repeats) images. Default: the
    recipe's (720 for MNIST, 1,600 for CIFAR-10), 800 for up to 10,000 images of your
    own, 600 for segmentation of your own images."""

    epochs: int | None = None
    """Passes over the images, each entry of order counted as one; overrides steps."""

    regroup_every: int | None = None
    """Steps between regroupings, which merge the overclusters of each auxiliary
    sub-head into the k clusters with the most mutual information and restart the main
    sub-heads from the best; no labels are used. Default: an eighth of the steps, at
    least 50; for segmentation of your own images 100."""

    regroup_to: float | None = None
    """Fraction of the run after which regrouping ends and sub-heads that lag in a
    report restart from the best one; 0 disables both. Default: 0.65, for segmentation
    of your own images 0.8."""

    start: float | None = None
    """Fraction of the run, at its beginning, that learns the clusters of the neighbour
    graph before mutual information is maximised; 0 disables it. Needs data.neighbours.
    Default: 0.25."""

    patience: int = 0
    """Reports after the last regrouping in which the main sub-heads gain no mutual
    information (less than 0.2 % of ln k) before the run ends; 0 trains all steps."""

    order: list[str] = field(default_factory=lambda: ["main+aux"])
    """Heads to train in each pass, repeated to the end: [main+aux] trains both in every
    step, [aux, main, main] alternates one pass of aux with two of main."""

    lamb: Lambda = 1.0
    """Weight of the marginal entropies in the loss of the main heads: a number, or
    points [fraction of the run, value] that are interpolated linearly, as in
    [[0, 1], [0.1, 1.2], [0.8, 1]]. Values above 1 reward clusters of even size, but
    before clusters have formed they keep assignments uniform."""

    lamb_aux: Lambda | None = None
    """The same for the auxiliary heads. Default: 1, in the recipe scenes 1.5."""

    lower_lamb: bool = True
    """Whether to lower lamb to 1 if it is above 1 and the run is off track."""

    optimizer: str = "Adam"
    """Class of keras.optimizers, such as SGD or RMSprop."""

    optimizer_args: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of the optimiser, as in momentum: 0.9. Those of Adam are the
    authors' unless given: epsilon is 1e-8."""

    weight_decay: float | None = None
    """Decay of all weights, those of batch normalisation and biases included. Default:
    that of the optimiser in Keras, which is none but for AdamW and Muon."""

    weight_decay_as: Literal["decoupled", "l2"] = "decoupled"
    """decoupled: in each step weights lose learning rate times weight_decay of
    themselves, as in AdamW; l2: weight_decay times the weights is added to the
    gradient, as in PyTorch's SGD and Adam. The loss that is printed stays as it is."""

    learning_rate: float = 2e-3
    """Learning rate after warm-up."""

    warmup_steps: int = 50
    """Steps over which the learning rate rises from zero."""

    decay: Literal["cosine", "constant"] = "cosine"
    """Schedule of the learning rate after warm-up; cosine ends at zero."""

    lr_drops: list[int] = field(default_factory=list)
    """Steps at which a constant learning rate is multiplied by lr_drop_factor; there is
    then no warm-up."""

    lr_drop_factor: float = 0.1
    """Factor applied at each of lr_drops."""

    schedule: str | None = None
    """Class of keras.optimizers.schedules, such as PiecewiseConstantDecay, in place of
    warm-up, decay and lr_drops. Default: none."""

    schedule_args: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of the schedule, in steps. Unless given, initial_learning_rate
    is learning_rate and decay_steps are the steps of the run."""

    precision: Literal["auto", "float32", "mixed_bfloat16"] = "auto"
    """Precision of the backbone; sub-heads and loss are always float32. auto:
    mixed_bfloat16 for whole images on CPUs with native bfloat16."""

    steps_per_call: int = 10
    """Steps in one call of the compiled loop."""

    def __post_init__(self) -> None:
        """Raises UserError for values out of range."""
        require_at_most("train.steps", self.steps, MAX_STEPS)
        require_at_most("train.epochs", self.epochs, MAX_STEPS)
        check_numbers("train", self)
        require_at_most("train.learning_rate", self.learning_rate, 1e6)
        for name in ("steps", "epochs", "steps_per_call", "regroup_every"):
            value = getattr(self, name)
            require(
                value is None or value >= 1,
                f"train.{name} must be at least 1",
                **{name: value},
            )
        require(
            self.patience >= 0,
            "train.patience must be at least 0",
            patience=self.patience,
        )
        require(
            self.warmup_steps >= 0,
            "train.warmup_steps must be at least 0",
            warmup_steps=self.warmup_steps,
        )
        require(
            self.regroup_to is None or 0 <= self.regroup_to <= 1,
            "train.regroup_to must lie between 0 and 1",
            regroup_to=self.regroup_to,
        )
        require(
            self.start is None or 0 <= self.start < 1,
            "train.start must lie between 0 and 1",
            start=self.start,
        )
        require(
            self.learning_rate > 0,
            "train.learning_rate must be above 0",
            learning_rate=self.learning_rate,
        )
        require(
            not (self.lr_drops and self.decay != "constant"),
            "train.lr_drops needs train.decay constant",
            lr_drops=self.lr_drops,
            decay=self.decay,
        )
        require(
            self.lr_drops == sorted(set(self.lr_drops)) and self.lr_drop_factor > 0,
            "train.lr_drops must be increasing, and train.lr_drop_factor above 0",
            lr_drops=self.lr_drops,
            lr_drop_factor=self.lr_drop_factor,
        )
        self._check_optimizer()
        require(bool(self.order), "train.order must not be empty", order=self.order)
        for heads in self.order:
            require(
                heads in ("main", "aux", "main+aux"),
                "train.order must be a list of main, aux and main+aux",
                order=self.order,
            )
        check_lambda("train.lamb", self.lamb)
        if self.lamb_aux is not None:
            check_lambda("train.lamb_aux", self.lamb_aux)

    def _check_optimizer(self) -> None:
        """Raises UserError for what contradicts itself; names are checked by Keras."""
        require(
            self.weight_decay is None or self.weight_decay >= 0,
            "train.weight_decay must be at least 0",
            weight_decay=self.weight_decay,
        )
        for name in ("learning_rate", "weight_decay"):
            require(
                name not in self.optimizer_args,
                f"train.optimizer_args must not have {name}, which is train.{name}",
                optimizer_args=self.optimizer_args,
            )
        require(
            self.schedule is not None or not self.schedule_args,
            "train.schedule_args needs train.schedule",
            schedule_args=self.schedule_args,
        )
        if self.schedule is None:
            return
        usual = {x.name: x.default for x in dataclasses.fields(self)}
        replaced = [
            name
            for name in ("warmup_steps", "lr_drop_factor")
            if getattr(self, name) not in (0, usual[name])
        ]
        replaced += ["lr_drops"] if self.lr_drops else []
        require(
            not replaced,
            "train.schedule takes the place of warm-up, decay and drops, so "
            f"train.{(replaced or ['decay'])[0]} must be left out",
            schedule=self.schedule,
            **{name: getattr(self, name) for name in replaced[:1]},
        )
        twice = [
            x for x in ("initial_learning_rate", "values") if x in self.schedule_args
        ]
        require(
            not twice or self.learning_rate == usual["learning_rate"],
            f"train.learning_rate must be left out where train.schedule_args has "
            f"{''.join(twice)}",
            learning_rate=self.learning_rate,
            schedule_args=self.schedule_args,
        )

    @property
    def l2(self) -> float:
        """What is added to the gradient of each weight, times that weight."""
        return self.weight_decay or 0.0 if self.weight_decay_as == "l2" else 0.0


LONGEST_NAME = 200
"""Bytes of a run's name; file systems allow 255 for what is written under it."""


def check_run_name(name: str) -> None:
    """Raises UserError unless a run's folder, and no other, can have that name.

    Examples:
        >>> from iic_tf.options import check_run_name
        >>> check_run_name("photos-1")
        >>> check_run_name("photos/1")
        Traceback (most recent call last):
            ...
        iic_tf.errors.UserError: name must be a folder name, not a path; out sets ...
    """
    require(
        name not in ("", ".", "..") and not set(name) & set("/\\"),
        "name must be a folder name, not a path; out sets where the folder is",
        name=name,
    )
    printable = all(unicodedata.category(sign) not in ("Cc", "Cs") for sign in name)
    require(
        printable,
        "name must be valid UTF-8 without control characters",
        name=name,
    )
    require(
        len(name.encode()) <= LONGEST_NAME,
        f"name must have at most {LONGEST_NAME} bytes",
        bytes=len(name.encode()),
    )


def check_lambda(name: str, lamb: Lambda) -> None:
    """Raises UserError unless ``lamb`` is a weight or rising points of weights.

    Examples:
        >>> from iic_tf.options import check_lambda
        >>> check_lambda("train.lamb", [(0.0, 1.0), (0.5, 1.5)])
        >>> check_lambda("train.lamb", [(0.5, 1.0), (0.0, 1.5)])
        Traceback (most recent call last):
            ...
        iic_tf.errors.UserError: train.lamb must be a number from 0 to 1e6, or ...
    """
    points = lamb if isinstance(lamb, list) else [(0.0, lamb)]
    shares = [share for share, _ in points]
    require(
        bool(points)
        and all(0 <= share <= 1 for share in shares)
        and shares == sorted(shares)
        and all(0 <= value <= 1e6 for _, value in points),
        f"{name} must be a number from 0 to 1e6, or points [fraction of the run, "
        "value] with fractions increasing from 0 to 1",
        **{name: lamb},
    )


@dataclass(frozen=True)
class SegmentOptions:
    """How segmentations of crops and of their augmented views are compared."""

    displacement: int = 2
    """T: the largest displacement between compared positions along each axis, in pixels
    or in positions of the feature map (see segment.at)."""

    at: Literal["features", "pixels"] = "features"
    """features: segmentations are compared at the positions of the network's feature
    map, which is coarser and cheaper; pixels: at every pixel, as published."""

    collapsed: bool = False
    """Whether to sum the joint distributions of all displacements before the loss; no
    published run does."""

    detached: bool = False
    """Whether to stop the gradient at the normaliser, as the authors' code does for
    collapsed joint distributions."""

    sparse: tuple[int, int] = (0, 0)
    """Range in pixels of a random displacement of the views' segmentations, the same
    for a whole batch; no published run uses it."""

    masked: bool = False
    """Whether to exclude pixels without a class from training, as in the published runs
    on COCO-Stuff. This uses labels."""

    def __post_init__(self) -> None:
        """Raises UserError for values out of range."""
        check_numbers("segment", self)
        require(
            self.displacement >= 0,
            "segment.displacement must be at least 0",
            displacement=self.displacement,
        )
        require(
            0 <= self.sparse[0] <= self.sparse[1],
            "segment.sparse must be two numbers of pixels, the lower first",
            sparse=self.sparse,
        )


@dataclass(frozen=True)
class ReportOptions:
    """What is printed, plotted and stored."""

    every: int = 100
    """Steps between reports: health, scores, learning curve, history. Reports also act
    on sub-heads that lag and on runs that are off track (docs/convergence.md)."""

    checkpoint_every: int = 100
    """Steps between checkpoints."""

    images: int | None = None
    """Images evaluated at each report, evenly spaced; the end of a run evaluates all.
    Default: 10,000, for segmentation 200."""

    match: Literal["one-to-one", "many-to-one"] = "one-to-one"
    """How clusters are mapped to classes for scoring: each to a different class, or
    each to its most frequent class (published for overclustering)."""

    choose: Literal["loss", "label"] = "loss"
    """How the sub-head is chosen: by the lowest loss, or by the lowest error as in the
    paper's tables. The latter uses labels, so its score is no longer unsupervised."""

    double: bool = False
    """Also score with batch normalisation in training mode, which uses the statistics
    of each evaluation batch ("double evaluation")."""

    adapt: bool = False
    """Whether to adapt the statistics of batch normalisation to the evaluation images:
    for many images of another place, light or camera than the training images. Uses no
    labels."""

    unsure: float = 0.5
    """Images with a lower confidence are called unsure: their cluster is more likely
    wrong than right. Uses no labels."""

    display: int | None = None
    """Passes over the images between plots of the originals and augmented views in each
    cluster. Default: no plots."""

    progression: int | None = None
    """Steps between frames of progression.gif, which shows images moving to their
    clusters. Default: no animation."""

    tensorboard: bool = False
    """Whether to write all numbers of each report, and plots, as event files, too, to
    the folder tensorboard of the run."""

    window: Literal["auto", "never"] = "auto"
    """auto: show the learning curve in a window if there is a display."""

    def __post_init__(self) -> None:
        """Raises UserError for values out of range."""
        check_numbers("report", self)
        for name in ("every", "checkpoint_every", "images", "display", "progression"):
            value = getattr(self, name)
            require(
                value is None or value >= 1,
                f"report.{name} must be at least 1",
                **{name: value},
            )
        require(
            0 <= self.unsure <= 1,
            "report.unsure must be between 0 and 1",
            unsure=self.unsure,
        )


TaskName = Literal["cluster", "segment", "classify", "finetune", "autoencode"]


@dataclass(frozen=True)
class TuneOptions:
    """Fine-tuning: a finished run's backbone learns classes from a few labels."""

    run: str | None = None
    """Folder of the finished run, or latest. Its recipe, images and backbone are used
    unless others are given."""

    labels: int | None = None
    """Number of labelled training images, drawn by seed, of each class its share; no
    other label is used in training. Default: all."""

    from_scratch: bool = False
    """Whether the same network starts from fresh weights instead, for comparison."""

    layer: str | None = None
    """Layer of the backbone whose output the head sees, by its name in network.txt; for
    the published run stage3_6_relu2 of network_5g. Default: the last."""

    hidden: int = 0
    """Units of a hidden layer in the head, with batch normalisation; the published head
    has 2048. 0 for a linear head."""

    trunk_rate: float | None = None
    """Learning rate of the backbone as a multiple of train.learning_rate, which is that
    of the head. Default: 0.1 as published; 1 from scratch."""

    def __post_init__(self) -> None:
        """Raises UserError for values out of range."""
        check_numbers("tune", self)
        require(
            self.labels is None or self.labels >= 2,
            "tune.labels must be at least 2",
            labels=self.labels,
        )
        require(self.hidden >= 0, "tune.hidden must be at least 0", hidden=self.hidden)
        require(
            self.trunk_rate is None or 0 < self.trunk_rate <= 1000,
            "tune.trunk_rate must be above 0 and at most 1,000",
            trunk_rate=self.trunk_rate,
        )


@dataclass(frozen=True)
class Options:
    """All options of a run, as a person gives them: what is None is left open.

    Examples:
        >>> from iic_tf import Options
        >>> from iic_tf.options import DataOptions, TrainOptions
        >>> data = DataOptions(folder="photos", batch=100)
        >>> options = Options(k=5, seeds=3, data=data, train=TrainOptions(steps=1000))
        >>> options.seeds_of_runs()
        [0, 1, 2]
        >>> options.data.neighbours is None  # left open, so as many as is usual
        True
        >>> Options(k=1)
        Traceback (most recent call last):
            ...
        iic_tf.errors.UserError: k must be at least 2. Received: k=1
    """

    task: TaskName | None = None
    """cluster (whole images) and segment (pixels) need no labels; classify learns the
    classes of labelled images, finetune does so with the backbone of a finished run
    (tune.run), autoencode learns to reconstruct images. Default: cluster or segment,
    depending on recipe and data."""

    k: int | Literal["auto"] = USUAL_K
    """Number of clusters. auto: what choose-k recommends from the neighbour graph; for
    whole images."""

    seeds: int | list[int] | None = None
    """Runs to train one after another, with seeds from seed on, or a list of seeds. A
    table of all follows. Default: one run."""

    name: str | None = None
    """Name of the run. Default: the recipe's name, or that of your data, and a
    number."""

    out: str = "runs"
    """Folder for the run folders."""

    seed: int = 0
    """Seed of everything random: initial weights, order of images, augmentation."""

    devices: str = "auto"
    """auto (all GPUs, else the CPU), cpu, a number, or names as in GPU:0,GPU:1."""

    method: Literal["iic", "spectral"] = "iic"
    """iic trains a network; spectral is a quick look that clusters the neighbour graph
    without a network."""

    time_limit: float | None = None
    """Minutes that a run may take: the number of steps is planned to fit, unless
    train.steps or train.epochs is set. Default: 10 for up to 10,000 images of your own,
    otherwise no limit."""

    resume: str | None = None
    """Folder of a run to continue from its last checkpoint, or latest. With a new name
    a run of that name continues, and the other stays as it is."""

    show_pairs: bool = False
    """Only plot originals above their augmented views, then exit."""

    data: DataOptions = field(default_factory=DataOptions)
    graph: GraphOptions = field(default_factory=GraphOptions)
    heads: HeadOptions = field(default_factory=HeadOptions)
    train: TrainOptions = field(default_factory=TrainOptions)
    segment: SegmentOptions = field(default_factory=SegmentOptions)
    tune: TuneOptions = field(default_factory=TuneOptions)
    report: ReportOptions = field(default_factory=ReportOptions)

    def __post_init__(self) -> None:
        """Raises UserError for values out of range."""
        check_numbers("", {"k": self.k, "time_limit": self.time_limit})
        require(self.k == "auto" or self.k >= 2, "k must be at least 2", k=self.k)
        seeds = self.seeds_of_runs()
        require(
            self.seeds is None
            or (
                1 <= len(set(seeds)) == len(seeds) <= MAX_SEEDS
                and all(0 <= seed < 2**31 for seed in seeds)
            ),
            f"seeds must be a number of runs from 1 to {MAX_SEEDS}, or as many "
            "different seeds in [0, 2**31)",
            seeds=self.seeds,
        )
        require(
            self.seeds is None or self.resume is None,
            "seeds begins new runs, and resume continues one: give only one of them",
            seeds=self.seeds,
            resume=self.resume,
        )
        if self.name is not None:
            check_run_name(self.name)
        require(0 <= self.seed < 2**31, "seed must lie in [0, 2**31)", seed=self.seed)
        require(
            self.time_limit is None or 0 < self.time_limit < float("inf"),
            "time_limit must be a positive number of minutes",
            time_limit=self.time_limit,
        )
        require(
            self.heads.k_aux is None or self.k == "auto" or self.heads.k_aux >= self.k,
            "heads.k_aux must be at least k",
            k_aux=self.heads.k_aux,
            k=self.k,
        )
        require(
            self.heads.aux > 0 or "aux" not in self.train.order,
            "train.order must not train aux alone if heads.aux is 0",
            order=self.train.order,
        )
        require(
            self.task != "finetune" or bool(self.tune.run),
            "task finetune needs tune.run, the folder of a finished run",
            run=self.tune.run,
        )

    def seeds_of_runs(self) -> list[int]:
        """The seeds of all runs that are asked for."""
        if isinstance(self.seeds, list):
            return self.seeds
        number = 1 if self.seeds is None else min(self.seeds, MAX_SEEDS + 1)
        return list(range(self.seed, self.seed + number))


UNUSED: dict[str, tuple[str, ...]] = {
    "cluster": (
        *("data.images", "data.ignore", "data.merge", "data.names", "data.resize"),
        *("data.classes", "data.curated", "data.repeat_mistakes", "segment", "tune"),
    ),
    "segment": (
        *("data.unlabelled", "data.limit", "data.middle", "train.start", "tune"),
    ),
    "classify": (
        *("k", "method", "segment", "data.neighbours", "data.middle", "data.protocol"),
        *("heads.main", "heads.aux", "heads.k_aux", "heads.bias"),
        *("data.images", "data.ignore", "data.merge", "data.names", "data.resize"),
        *("data.classes", "data.curated", "data.repeat_mistakes", "data.unlabelled"),
        *("train.regroup_every", "train.regroup_to", "train.start", "train.order"),
        *("train.lamb", "train.lamb_aux", "train.lower_lamb", "train.patience"),
        *("report.match", "report.choose", "report.double", "report.adapt"),
        *("report.display", "report.progression", "tune"),
    ),
    "autoencode": (
        *("k", "method", "heads", "segment", "data.neighbours", "data.middle"),
        "data.protocol",
        *("data.labels", "data.images", "data.ignore", "data.merge", "data.names"),
        *("data.resize", "data.classes", "data.curated", "data.repeat_mistakes"),
        *("train.regroup_every", "train.regroup_to", "train.start", "train.order"),
        *("train.lamb", "train.lamb_aux", "train.lower_lamb", "train.patience"),
        *("report.match", "report.choose", "report.double", "report.adapt"),
        *("report.display", "report.progression", "tune"),
    ),
}
UNUSED["finetune"] = tuple(name for name in UNUSED["classify"] if name != "tune")
"""Options, and groups of options, that each task does not use."""


def _leaves(options: Options, name: str) -> dict[str, Any]:
    """Values by name of an option, or of all options of a group."""
    part: Any = options
    for step in name.split("."):
        part = getattr(part, step)
    if not dataclasses.is_dataclass(part):
        return {name: part}
    return {f"{name}.{f.name}": getattr(part, f.name) for f in dataclasses.fields(part)}


def refuse_unused(options: Options, task: str, *, complete: Options) -> None:
    """Raises UserError if an option is given that a task does not use.

    Args:
        options: As given.
        task: Name of the task.
        complete: What stands where nothing is given; stored options have these values.

    Examples:
        >>> from iic_tf.options import Options, TuneOptions, refuse_unused
        >>> refuse_unused(Options(k=5), "cluster", complete=Options())
        >>> refuse_unused(Options(k=5), "autoencode", complete=Options())
        Traceback (most recent call last):
            ...
        iic_tf.errors.UserError: the task autoencode does not use k. Received: k=5
    """
    for name in UNUSED[task]:
        untouched, stored = _leaves(Options(), name), _leaves(complete, name)
        for option, value in _leaves(options, name).items():
            require(
                value in (untouched[option], stored[option]),
                f"the task {task} does not use {option}",
                **{option.rsplit(".", 1)[-1]: value},
            )


RENAMED = {
    "data.perturb.window": "data.augment.side",
    "data.perturb": "data.augment",
    "data.scale": "data.resize",
    "segment.reach": "segment.displacement",
}
"""Old names of options, and their new ones."""

RENAMED_VALUES = {
    ("data.recipe", "pictures"): "images",
    ("graph.name", "small_maps"): "small_segment",
}
"""Options with values that were called otherwise, and the new ones."""


def with_new_names(tree: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Options as YAML has them, under the names of today.

    Args:
        tree: Nested dicts, as a file of options holds; keys may have dots.

    Returns:
        The same with new names, and the old ones that were found.

    Examples:
        >>> from iic_tf.options import with_new_names
        >>> with_new_names({"data": {"scale": 0.5}, "k": 3})
        ({'data': {'resize': 0.5}, 'k': 3}, ['data.scale'])
    """

    def flat(part: dict[str, Any], prefix: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in part.items():
            name = f"{prefix}{key}"
            if isinstance(value, dict) and value and name.count(".") < 2:
                found |= flat(value, f"{name}.")
            else:
                found[name] = value
        return found

    new: dict[str, Any] = {}
    old = []
    for name, value in flat(tree, "").items():
        for before, after in RENAMED.items():
            if name == before or name.startswith(f"{before}."):
                old.append(before)
                name = after + name[len(before) :]
                break
        if isinstance(value, str) and (name, value) in RENAMED_VALUES:
            old.append(f"{name}: {value}")
            value = RENAMED_VALUES[name, value]
        *groups, last = name.split(".")
        part = new
        for group in groups:
            part = part.setdefault(group, {})
        part[last] = value
    return (new, old) if old else (tree, [])


PATHS = (
    *("dir", "folder", "array", "images", "features", "series"),
    *("labels", "masks"),
)
"""Options of ``data`` that are paths; labels may also be the word folder."""


def with_absolute_paths(options: Options) -> Options:
    """The same with absolute paths.

    Examples:
        >>> from pathlib import Path
        >>> from iic_tf.options import DataOptions, Options, with_absolute_paths
        >>> options = with_absolute_paths(Options(data=DataOptions(folder="photos")))
        >>> Path(options.data.folder) == Path.cwd() / "photos"
        True
    """
    data = options.data
    found = {name: getattr(data, name) for name in PATHS}
    absolute: dict[str, Any] = {
        name: str(Path(path).expanduser().absolute())
        for name, path in found.items()
        if path is not None and (name, path) != ("labels", "folder")
    }
    args = dict(options.graph.args)
    if options.graph.frozen and Path(args["weights"]).expanduser().is_file():
        args["weights"] = str(Path(args["weights"]).expanduser().absolute())
    graph = replace(options.graph, args=args)
    return replace(options, data=replace(data, **absolute), graph=graph)


def as_plain(options: Options) -> dict[str, Any]:
    """The options as nested dicts and lists, as YAML and JSON know them.

    Examples:
        >>> from iic_tf.options import DataOptions, Options, as_plain
        >>> as_plain(Options(data=DataOptions(range=(0, 4095))))["data"]["range"]
        [0, 4095]
    """
    return json.loads(json.dumps(dataclasses.asdict(options)))
