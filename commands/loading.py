"""From options to a task: finds the recipe, reads the images, knows what is usual."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from commands.starting import check_backend, quiet_start
from iic_tf.errors import require
from iic_tf.names import escaped, restored
from iic_tf.options import (
    USUAL_K,
    DataOptions,
    GraphOptions,
    Options,
    TaskName,
    TrainOptions,
    check_arguments,
    refuse_unused,
    with_new_names,
)
from iic_tf.resolved import Precision, RunOptions, Usual, resolve
from iic_tf.run_folder import OPTIONS_FILE, find_run, read_options

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
        trunk: The frozen part of the backbone, whose features the task has in place of
            images; None if there is none, or nothing is trained.
    """

    asked: Options
    usual: Usual
    task: Any
    sobel: bool
    infrared: bool
    advice: str | None
    unreadable: tuple[tuple[str, str], ...]
    trunk: Any = None

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
    check_backend()
    with quiet_start():
        import data

    return data.RECIPES[data.recipe_of(asked)].usual


def usual_graph(asked: Options) -> str:
    """Name of the backbone of a run where none is given.

    Args:
        asked: ``task`` and ``data`` are read.
    """
    import graphs

    task = task_of(asked)
    return graphs.usual(task) if task == "autoencode" else usual_of(asked.data).graph


def usual_graph_of_vectors() -> str:
    """Name of the backbone of runs on vectors, or on features of a frozen one."""
    import data

    return data.RECIPES["vectors"].usual.graph


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


def views_of(options: Options, shape: Sequence[int]) -> Any:
    """What a run does to its images, which are not read.

    Args:
        options: Of the run.
        shape: Of an image, as it is read.

    Raises:
        UserError: If there is no such recipe, or it has changed.
    """
    import data

    recipe = data.RECIPES[data.recipe_of(options.data)]
    return recipe.views(tuple(shape), options.data.augment)


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
    if data.folder or data.tfds:
        own |= {"size": shape[1], "channels": shape[3]}
    limit = OWN_TIME_LIMIT if recipe.find is None and number <= OWN_IMAGES else None
    return replace(recipe.usual_for(number), recipe=name, time_limit=limit, **own)


def _k(options: Options) -> int:
    """Clusters by which a recipe is chosen: those of the default if k is open, too."""
    return USUAL_K if options.k == "auto" else options.k


def _load_cluster(options: Options, train: bool) -> Loaded:
    """Whole images to be clustered."""
    import data
    from iic_tf.datasets.splits import apply_protocol
    from iic_tf.tasks.cluster import ClusterTask

    if options.graph.frozen:
        return _load_frozen(options, train)
    name, recipe, source = data.find(options.data, k=_k(options), seed=options.seed)
    views = recipe.views(source.image_shape, options.data.augment)
    protocol = apply_protocol(
        source, options.data.protocol, unlabelled=options.data.unlabelled
    )
    shape = protocol.train.images.shape
    _tell(shape[0], source, train=train)
    asked, found = options.data.middle, source.middle
    known = found if asked is None else asked
    middle = recipe.usual.middle if known is None else known
    task = ClusterTask(
        protocol,
        views,
        source.origin,
        class_names=source.class_names or recipe.class_names,
        kind=recipe.kind,
        mirrored=recipe.mirrored,
        middle=middle,
        neighbour_share=recipe.neighbour_share,
        nearest=source.nearest if middle == found else None,
    )
    usual = _usual_of_whole(options.data, name, recipe, shape=shape, shown=source.shown)
    usual = replace(usual, middle=middle)
    return Loaded(
        options,
        usual,
        task,
        recipe.sobel,
        False,
        source.advice,
        source.unreadable,
    )


def _load_frozen(options: Options, train: bool) -> Loaded:
    """Images to be clustered by the features that a frozen backbone has of them."""
    import data
    import graphs
    from iic_tf.datasets.splits import apply_protocol
    from iic_tf.models.frozen import as_trunk
    from iic_tf.tasks.cluster import ClusterTask
    from iic_tf.training.embedding import cache_of

    chosen, graph = options.data, options.graph
    check_arguments(data.embeddings, chosen.augment, option="data.augment")
    usual_size = inspect.signature(data.embeddings).parameters["size"].default
    size = chosen.augment.get("size", usual_size)
    if (chosen.folder or chosen.tfds) and chosen.size is None:
        chosen = replace(chosen, size=size)
    name, recipe, source = data.find(chosen, k=None, seed=options.seed)
    views = data.embeddings(source.image_shape, **chosen.augment)
    require(
        not recipe.sobel,
        "graph.frozen needs a recipe whose networks see images, not edges",
        recipe=name,
    )
    protocol = apply_protocol(source, chosen.protocol, unlabelled=chosen.unlabelled)
    shape = protocol.train.images.shape
    _tell(shape[0], source, train=train)
    of_vectors = data.RECIPES["vectors"]
    task = ClusterTask(
        protocol,
        views,
        source.origin,
        class_names=source.class_names or recipe.class_names,
        kind=of_vectors.kind,
        mirrored=False,
        neighbour_share=of_vectors.neighbour_share,
    )
    trunk, graph_name = None, graph.name or usual_graph(options)
    if train:  # a stored run has its own
        backbone = graphs.pretrained(graph_name, (size, size, shape[-1]), **graph.args)
        graph_name = graph.name or backbone.name
        trunk = as_trunk(backbone, size=size, channels=shape[-1])
        task = task.embedded(trunk, cache_of(options.out), keep=True)
    usual = _usual_of_whole(chosen, name, of_vectors, shape=shape, shown=source.shown)
    return Loaded(
        options,
        replace(usual, graph=graph_name),
        task,
        False,
        False,
        source.advice,
        source.unreadable,
        trunk,
    )


def _load_segment(options: Options, train: bool) -> Loaded:
    """Images to be segmented."""
    import data
    from iic_tf.datasets.splits import apply_protocol
    from iic_tf.tasks.segment import SegmentTask

    require(
        options.k != "auto",
        "k auto is for whole images; for segmentation k must be a number",
        k=options.k,
    )
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
    protocol = apply_protocol(source, options.data.protocol)
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
    return replace(protocol, words=words, mapping=None)


def _load_classify(
    options: Options,
    train: bool,
    *,
    make_task: Callable[..., Any] | None = None,
    labels: int | None = None,
) -> Loaded:
    """Labelled images whose classes are learned, and a test split that is held out.

    Args:
        options: As given.
        train: Whether they are for training.
        make_task: Makes the task; ``ClassifyTask`` if None.
        labels: How many labelled images train; all if None.
    """
    import data
    from iic_tf.datasets.splits import stratified
    from iic_tf.tasks.classify import ClassifyTask

    name, recipe, source = data.find(
        options.data, k=_k(options), seed=options.seed, split_if_any=train
    )
    if train:  # a network is applied to images of any kind
        labelled = [x for x, split in source.splits.items() if split.labels is not None]
        require(
            {"train", "test"} <= set(labelled),
            f"the task {options.task} needs labelled images to learn from and others "
            "to be scored on: folders train/CLASS and test/CLASS with data.labels "
            "folder, an .npz file with x_train, y_train, x_test and y_test, a recipe "
            "that has both, or data.limit [TRAIN, TEST], which cuts images in two",
            labelled_splits=labelled,
        )
        options = replace(options, data=replace(options.data, protocol="holdout"))
    protocol = _held_out(source, options.data, unlabelled=False)
    known = protocol.train.labels
    if labels is not None and known is not None:
        require(
            labels <= len(known),
            f"tune.labels must be at most the labelled training images, {len(known):,}",
            labels=labels,
        )
        few = protocol.train.take(stratified(known, labels, seed=options.seed))
        protocol = replace(protocol, train=few)
    shape = protocol.train.images.shape
    _tell(shape[0], source, train=train)
    task = (make_task or ClassifyTask)(
        protocol,
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


def _load_finetune(options: Options, train: bool) -> Loaded:
    """A few labelled images, and the backbone of a finished run."""
    from iic_tf.tasks.finetune import FinetuneTask, weights_of
    from iic_tf.training.stored import load_model

    weights, tune = None, options.tune
    if train and tune.run is not None and not tune.from_scratch:
        weights = weights_of(load_model(Path(tune.run)), run=tune.run)
    make_task = partial(FinetuneTask, weights=weights)
    return _load_classify(options, train, make_task=make_task, labels=tune.labels)


def take_over(options: Options) -> Options:
    """Options of a run to be fine-tuned, where none are given: backbone and images.

    Args:
        options: As given.

    Raises:
        UserError: If there is no such run.
    """
    if options.task != "finetune" or options.resume is not None:
        return options
    folder = find_run(str(options.tune.run), out=Path(options.out), what="tune.run")
    tree = with_new_names(read_options(folder / OPTIONS_FILE))[0]
    graph, data = tree.get("graph") or {}, tree.get("data") or {}
    given = options.data
    names: tuple[str, ...] = ("recipe", "size", "channels", "range")
    places = ("dir", "folder", "array", "features", "series")
    if not any(getattr(given, place) for place in places):
        names += (*places, "labels")
    taken: dict[str, Any] = {
        name: restored(data[name]) if isinstance(data.get(name), str) else data[name]
        for name in names
        if getattr(given, name) is None and data.get(name) is not None
    }
    taken["augment"] = {**(data.get("augment") or {}), **given.augment}
    if options.graph == GraphOptions():
        of_run = GraphOptions(graph.get("name"), graph.get("args") or {})
        options = replace(options, graph=of_run)
    tune = replace(options.tune, run=str(folder.absolute()))
    taken_data = replace(given, **taken)
    return replace(options, tune=tune, data=taken_data)


def _load_autoencode(options: Options, train: bool) -> Loaded:
    """Images to be reconstructed, and a test split that is held out if there is one."""
    import data
    from iic_tf.tasks.autoencode import AutoencodeTask

    name, recipe, source = data.find(options.data, k=None, split_if_any=train)
    require(
        len(source.image_shape) == 3,
        "the task autoencode needs images, not vectors or series",
        recipe=name,
    )
    require(
        not recipe.sobel,
        "the task autoencode needs a recipe whose networks see images, not edges",
        recipe=name,
    )
    if train:
        held_out: Any = "holdout" if {"train", "test"} <= set(source.splits) else "all"
        options = replace(options, data=replace(options.data, protocol=held_out))
    protocol = _held_out(source, options.data, unlabelled=options.data.unlabelled)
    shape = protocol.train.images.shape
    _tell(shape[0], source, train=train)
    views = recipe.views(source.image_shape, options.data.augment)
    usual = _usual_of_whole(options.data, name, recipe, shape=shape, shown=source.shown)
    return Loaded(
        options,
        replace(usual, neighbours=0, graph=usual_graph(options)),
        AutoencodeTask(protocol, views, source.origin),
        False,
        False,
        source.advice,
        source.unreadable,
    )


_TASKS = {
    "cluster": _load_cluster,
    "segment": _load_segment,
    "classify": _load_classify,
    "finetune": _load_finetune,
    "autoencode": _load_autoencode,
}
