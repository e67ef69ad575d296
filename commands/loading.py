"""From options to a task: finds the recipe, reads the images, fills in defaults."""

import dataclasses
from typing import Any, NamedTuple

from iic_tf.errors import require
from iic_tf.names import escaped
from iic_tf.options import DataOptions, Options, refuse_unused

OWN_TIME_LIMIT, OWN_IMAGES = 10.0, 10_000
"""Default time limit in minutes for the user's own images, if there are so many."""


class Loaded(NamedTuple):
    """What a command works with.

    Attributes:
        options: With all defaults filled in.
        task: With its images.
        sobel: Whether the network begins with a Sobel layer.
        infrared: Whether infrared is the last channel that it sees.
        advice: Remarks on the images, or None.
        unreadable: Name and reason of each file that was skipped.
    """

    options: Options
    task: Any
    sobel: bool
    infrared: bool
    advice: str | None
    unreadable: tuple[tuple[str, str], ...]


def task_of(options: Options) -> str:
    """The task of a run: as given, or as it follows from recipe and data.

    Args:
        options: ``task`` and ``data`` are read.

    Raises:
        UserError: If data and task clash.
    """
    import data

    of_pixels = data.is_segmentation(options.data)
    name = options.task or ("segment" if of_pixels else "cluster")
    require(
        (name == "segment") == of_pixels,
        "task segment needs data.images or a recipe for segmentation; other tasks are "
        "for whole images",
        task=name,
        recipe=options.data.recipe,
    )
    return name


def load(options: Options, *, train: bool = True) -> Loaded:
    """Reads the images of a run.

    Args:
        options: As given.
        train: Whether they are for training, for what is printed.

    Raises:
        UserError: For a mistake in the options or the data.
    """
    name: Any = task_of(options)
    if train and options.resume is None:  # stored options have no gaps
        refuse_unused(options, name)
    options = dataclasses.replace(options, task=name)
    return _TASKS[name](options, train)


def _tell(number: int, source: Any, *, train: bool) -> None:
    """Prints how many images were read, and remarks on them."""
    from iic_tf.report.console import console

    for_training = " for training" * train
    console.print(f"Images:   {number:,}{for_training}, from {escaped(source.origin)}")
    for line in (source.advice or "").splitlines():
        console.print(f"          {line}")


def _suit(
    options: Options, name: str, recipe: Any, *, shape: Any, shown: Any = None
) -> Options:
    """Fills in defaults that depend on the recipe and on the images.

    Args:
        options: As given.
        name: Name of the recipe.
        recipe: See ``data.Recipe``.
        shape: Number, height, width and channels of the training images.
        shown: Values that are black and white in images of more than 8 bits.
    """
    chosen = options.data
    own: dict[str, Any] = {}  # what the run is applied to later is brought to the same
    if chosen.folder or chosen.array:
        own["range"] = chosen.range or shown
    if chosen.folder:
        own |= {"size": shape[1], "channels": shape[3]}
    few = recipe.batch and shape[0] >= 4 * recipe.batch
    filled = dataclasses.replace(
        chosen,
        recipe=name,
        batch=chosen.batch or (recipe.batch if few else chosen.batch_for(shape[0])),
        neighbours=(
            recipe.neighbours if chosen.neighbours is None else chosen.neighbours
        ),
        **own,
    )
    limit, train = options.time_limit, options.train
    if limit is None and recipe.find is None and shape[0] <= OWN_IMAGES:
        limit = OWN_TIME_LIMIT
    if train.steps or train.epochs:  # an explicit length needs no plan
        limit = None
    steps = train.steps or recipe.usual_steps(shape[0])
    return dataclasses.replace(
        options,
        data=filled,
        time_limit=limit,
        train=dataclasses.replace(train, steps=steps),
    )


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
    options = _suit(options, name, recipe, shape=shape, shown=source.shown)
    return Loaded(options, task, recipe.sobel, False, source.advice, source.unreadable)


def _suit_segment(
    options: Options, name: str, recipe: Any, channels: int, *, shown: Any = None
) -> Options:
    """Fills in defaults that depend on the recipe and on the images."""
    chosen = options.data
    filled = dataclasses.replace(
        chosen,
        recipe=name,
        # images that the run is applied to later are brought to as many
        channels=chosen.channels or channels,
        range=chosen.range or shown,
        batch=chosen.batch or recipe.batch,
        resize=recipe.scale if chosen.resize is None else chosen.resize,
        neighbours=(
            recipe.neighbours if chosen.neighbours is None else chosen.neighbours
        ),
    )
    heads = dataclasses.replace(
        options.heads,
        k_aux=options.heads.k_aux or max(recipe.least_k_aux, options.k_aux),
    )
    train = options.train.filled(**recipe.train)
    return dataclasses.replace(options, data=filled, heads=heads, train=train)


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
    name, recipe, source = data.find_segment(options.data)
    trained, evaluated, words, mapping = apply_segment_protocol(
        source, options.data.protocol
    )
    channels = trained.images[0].shape[2]
    views = recipe.views(channels, options.data.augment)
    views = dataclasses.replace(views, sparse=options.segment.sparse)
    _tell(len(trained.images), source, train=train)
    task = SegmentTask(
        trained,
        evaluated,
        views,
        source.origin,
        words,
        class_names=source.class_names,
        mapping=mapping,
        scenes=recipe.scenes,
        masked=options.segment.masked,
    )
    options = _suit_segment(options, name, recipe, channels, shown=source.shown)
    return Loaded(
        options, task, views.edges, views.infrared, source.advice, source.unreadable
    )


def _held_out(source: Any, chosen: DataOptions, *, unlabelled: bool) -> Any:
    """The images of a task that has no clusters, which would be mapped to classes.

    Args:
        source: All splits.
        chosen: Its protocol is read.
        unlabelled: Whether a split of that name trains too.
    """
    from iic_tf.datasets.splits import apply_protocol

    protocol = apply_protocol(source, chosen.protocol, unlabelled=unlabelled)
    if chosen.protocol == "all":
        return protocol
    words = "test, not used for training"
    return dataclasses.replace(protocol, words=words, mapping=None)


def _load_classify(options: Options, train: bool) -> Loaded:
    """Labelled images whose classes are learned, and a test split that is held out."""
    import data
    from iic_tf.tasks.classify import ClassifyTask

    asked = dataclasses.replace(options.data, neighbours=0)
    name, recipe, source = data.find(
        asked, k=options.k, seed=options.seed, split_if_any=train
    )
    if train:  # a network is applied to images of any kind
        labelled = [x for x, split in source.splits.items() if split.labels is not None]
        require(
            {"train", "test"} <= set(labelled),
            "the task classify needs labelled images to learn from and others to be "
            "scored on: folders train/CLASS and test/CLASS with data.labels folder, an "
            ".npz file with x_train, y_train, x_test and y_test, a recipe that has "
            "both, or data.limit [TRAIN, TEST], which cuts labelled images in two",
            labelled_splits=labelled,
        )
        asked = dataclasses.replace(asked, protocol="holdout")
    protocol = _held_out(source, asked, unlabelled=False)
    shape = protocol.train.images.shape
    _tell(shape[0], source, train=train)
    task = ClassifyTask(
        protocol,
        recipe.views(source.image_shape, options.data.augment),
        source.origin,
        class_names=source.class_names or recipe.class_names,
    )
    options = dataclasses.replace(options, data=asked)
    options = _suit(options, name, recipe, shape=shape, shown=source.shown)
    return Loaded(options, task, recipe.sobel, False, source.advice, source.unreadable)


def _load_autoencode(options: Options, train: bool) -> Loaded:
    """Images to be reconstructed, and a test split that is held out if there is one."""
    import data
    from iic_tf.tasks.autoencode import AutoencodeTask

    asked = dataclasses.replace(options.data, neighbours=0)
    name, recipe, source = data.find(asked, k=None, split_if_any=train)
    require(
        not recipe.sobel,
        "the task autoencode needs a recipe whose networks see images, not edges",
        recipe=name,
    )
    if train:
        held_out: Any = "holdout" if {"train", "test"} <= set(source.splits) else "all"
        asked = dataclasses.replace(asked, protocol=held_out)
    protocol = _held_out(source, asked, unlabelled=asked.unlabelled)
    shape = protocol.train.images.shape
    _tell(shape[0], source, train=train)
    views = recipe.views(source.image_shape, options.data.augment)
    task = AutoencodeTask(protocol, views, source.origin)
    options = dataclasses.replace(options, data=asked)
    options = _suit(options, name, recipe, shape=shape, shown=source.shown)
    return Loaded(options, task, False, False, source.advice, source.unreadable)


_TASKS = {
    "cluster": _load_cluster,
    "segment": _load_segment,
    "classify": _load_classify,
    "autoencode": _load_autoencode,
}
