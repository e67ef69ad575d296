"""From options to a task: finds the recipe, reads the images, knows what is usual."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from iic_tf.errors import require
from iic_tf.names import escaped
from iic_tf.options import DataOptions, Options, TaskName, TrainOptions, refuse_unused
from iic_tf.resolved import Precision, RunOptions, Usual, resolve

OWN_TIME_LIMIT, OWN_IMAGES = 10.0, 10_000
"""Default time limit in minutes for the user's own images, if there are so many."""


@dataclass(frozen=True)
class Loaded:
    """What a command works with.

    Attributes:
        asked: Options as given.
        usual: What stands where they are left open.
        task: With its images.
        sobel: Whether the network begins with a Sobel layer.
        infrared: Whether infrared is the last channel that it sees.
        advice: Remarks on the images, or None.
        unreadable: Name and reason of each file that was skipped.
    """

    asked: Options
    usual: Usual
    task: Any
    sobel: bool
    infrared: bool
    advice: str | None
    unreadable: tuple[tuple[str, str], ...]

    @cached_property
    def options(self) -> RunOptions:
        """All options of the run, complete."""
        return resolve(self.asked, self.usual)

    def lasting(self, steps: int) -> "Loaded":
        """The same for a run that takes so many steps where nothing is said."""
        return replace(self, usual=replace(self.usual, steps=steps))


def usual_of(asked: DataOptions) -> Usual:
    """What is usual for the recipe of a run, before its images are read.

    Args:
        asked: Where they come from.

    Raises:
        UserError: If there is no such recipe.
    """
    import data

    return data.RECIPES[data.recipe_of(asked)].usual


def task_of(options: Options) -> TaskName:
    """The task of a run: as given, or as it follows from recipe and data.

    Args:
        options: ``task`` and ``data`` are read.

    Raises:
        UserError: If data and task clash.
    """
    usual = usual_of(options.data).task
    name = options.task or usual
    require(
        (name == "segment") == (usual == "segment"),
        "task segment needs data.images or a recipe for segmentation; other tasks are "
        "for whole images",
        task=name,
        recipe=options.data.recipe,
    )
    return name


def load(
    options: Options, *, precision: Precision = "float32", train: bool = True
) -> Loaded:
    """Reads the images of a run.

    Args:
        options: As given.
        precision: Of the backbone, where it is left open.
        train: Whether they are for training, for what is printed.

    Raises:
        UserError: For a mistake in the options or the data.
    """
    name = task_of(options)
    if train and options.resume is None:
        length = TrainOptions(steps=options.train.steps)
        held_out = DataOptions(protocol="holdout")  # where it is not for the user
        complete = resolve(Options(data=held_out, train=length))
        refuse_unused(options, name, complete=complete)
    loaded = _TASKS[name](options, train)
    usual = replace(loaded.usual, task=name, precision=precision)
    return replace(loaded, usual=usual)


def _tell(number: int, source: Any, *, train: bool) -> None:
    """Prints how many images were read, and remarks on them."""
    from iic_tf.report.console import console

    for_training = " for training" * train
    console.print(f"Images:   {number:,}{for_training}, from {escaped(source.origin)}")
    for line in (source.advice or "").splitlines():
        console.print(f"          {line}")


def _usual_of_whole(
    data: DataOptions, name: str, recipe: Any, *, shape: Any, shown: Any
) -> Usual:
    """What is usual for whole images.

    Args:
        data: Says where they are.
        name: Name of the recipe.
        recipe: See ``data.Recipe``.
        shape: Number, height, width and channels of the training images.
        shown: Values that are black and white in images of more than 8 bits.
    """
    number, own = shape[0], {}  # what the run is applied to later is brought to these
    if data.folder or data.array:
        own["range"] = shown
    if data.folder:
        own |= {"size": shape[1], "channels": shape[3]}
    limit = OWN_TIME_LIMIT if recipe.find is None and number <= OWN_IMAGES else None
    return replace(recipe.usual_for(number), recipe=name, time_limit=limit, **own)


def _load_cluster(options: Options, train: bool) -> Loaded:
    """Whole images to be clustered."""
    import data
    from iic_tf.datasets.splits import apply_protocol
    from iic_tf.tasks.cluster import ClusterTask

    name, recipe, source = data.find(options.data, k=options.k, seed=options.seed)
    views = recipe.views(source.image_shape, options.data.augment)
    protocol = apply_protocol(
        source, options.data.protocol, unlabelled=options.data.unlabelled
    )
    shape = protocol.train.images.shape
    _tell(shape[0], source, train=train)
    task = ClusterTask(
        protocol,
        views,
        source.origin,
        class_names=source.class_names or recipe.class_names,
        kind=recipe.kind,
        mirrored=recipe.mirrored,
        neighbour_share=recipe.neighbour_share,
        nearest=source.nearest,
    )
    usual = _usual_of_whole(options.data, name, recipe, shape=shape, shown=source.shown)
    return Loaded(
        options,
        usual,
        task,
        recipe.sobel,
        False,
        source.advice,
        source.unreadable,
    )


def _load_segment(options: Options, train: bool) -> Loaded:
    """Images to be segmented."""
    import data
    from iic_tf.datasets.masks import apply_segment_protocol
    from iic_tf.tasks.segment import SegmentTask

    require(
        options.method == "iic",
        "method spectral is for whole images, not for segmentation",
        method=options.method,
    )
    require(
        options.time_limit is None,
        "time_limit is for whole images; for segmentation set train.steps",
        time_limit=options.time_limit,
    )
    name, recipe, source = data.find(options.data)
    protocol = apply_segment_protocol(source, options.data.protocol)
    views = recipe.views(source.image_shape, options.data.augment)
    views = replace(views, sparse=options.segment.sparse)
    _tell(len(protocol.train.images), source, train=train)
    task = SegmentTask(
        protocol,
        views,
        source.origin,
        class_names=source.class_names,
        scenes=recipe.scenes,
        masked=options.segment.masked,
    )
    usual = replace(
        recipe.usual,
        recipe=name,
        # images that the run is applied to later are brought to the same
        channels=source.image_shape[2],
        range=source.shown,
    )
    return Loaded(
        options,
        usual,
        task,
        views.edges,
        views.infrared,
        source.advice,
        source.unreadable,
    )


def _load_classify(options: Options, train: bool) -> Loaded:
    """Labelled images whose classes are learned, and a test split that is held out."""
    import data
    from iic_tf.datasets.splits import apply_protocol
    from iic_tf.tasks.classify import ClassifyTask

    options = replace(options, data=replace(options.data, protocol="holdout"))
    name, recipe, source = data.find(options.data, k=options.k, seed=options.seed)
    protocol = apply_protocol(source, "holdout", unlabelled=False)
    shape = protocol.train.images.shape
    _tell(shape[0], source, train=train)
    task = ClassifyTask(
        replace(protocol, words="test, not used for training", mapping=None),
        recipe.views(source.image_shape, options.data.augment),
        source.origin,
        class_names=source.class_names or recipe.class_names,
    )
    usual = _usual_of_whole(options.data, name, recipe, shape=shape, shown=source.shown)
    return Loaded(
        options,
        replace(usual, neighbours=0),
        task,
        recipe.sobel,
        False,
        source.advice,
        source.unreadable,
    )


_TASKS = {
    "cluster": _load_cluster,
    "segment": _load_segment,
    "classify": _load_classify,
}
