"""Groups images without labels: ``python models_iic.py`` trains, evaluates and draws.

This file is the command line. It looks up names, in ``data.py`` and ``graphs.py``, and
hands what it finds to the engine in ``iic_tf``. TensorFlow is imported after the
command line is parsed, so that help and mistakes are answered at once.
"""

import argparse
import dataclasses
import errno
import itertools
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import yaml

from iic_tf.console import at_work, clock, console, counted
from iic_tf.failures import RunError, failure_words, shortened
from iic_tf.folders import (
    OPTIONS_FILE,
    check_writable,
    find_run,
    read_manifest,
    read_options,
)
from iic_tf.names import escaped, restored
from iic_tf.options import (
    Options,
    UserError,
    as_plain,
    check_arguments,
    first_line,
    require,
)

EXIT_FAILED, EXIT_USAGE, EXIT_DEGENERATE, EXIT_INTERRUPTED = 1, 2, 3, 130
EXIT_TERMINATED = 143


def __getattr__(name: str) -> Any:
    """Lets one import ClusterIIC from here, at no cost to the command line."""
    if name == "ClusterIIC":
        from iic_tf.models import ClusterIIC

        return ClusterIIC
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


# ------------------------------------------------------------------ the command line


def parse(words: Sequence[str]) -> Options:
    """Options from the command line, over ``--config`` files, over the defaults.

    Args:
        words: Words of the command line.

    Raises:
        UserError: If an option is unknown, of the wrong type or out of range.
        SystemExit: After ``--help`` or ``--print_config``.
    """
    # Where to resume from must be known before the other options mean anything.
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--resume")
    first.add_argument("--out", default=Options().out)
    first.add_argument("--name")
    known, _ = first.parse_known_args(list(words))
    if known.resume is None:
        return _parse_words(words, told=True)
    folder = find_run(known.resume, out=Path(known.out))
    require(
        known.name in (None, folder.name),
        f"name must not be given with resume: the run {folder} keeps its name",
        name=known.name,
    )
    if known.resume == "latest":
        print(f"Latest:   {folder}")
    # The stored options come first, so that what the user says now goes over them.
    options = _parse_words(["--config", str(folder / OPTIONS_FILE), *words], told=True)
    return dataclasses.replace(
        options, resume=str(folder), name=folder.resolve().name, out=str(folder.parent)
    )


def _last_length(words: Sequence[str]) -> tuple[str, str] | None:
    """Which of train.steps and train.epochs was said last, and which before it.

    Args:
        words: Of the command line; files of options count where they are named.

    Returns:
        Both names, or None unless both were said, one after the other. In one file
        epochs take the place of steps.
    """
    said: list[str] = []
    for word, following in itertools.zip_longest(words, words[1:]):
        option, equals, value = word.partition("=")
        value = value if equals else following
        tree: Any = {}
        if option == "--config" and value is not None:
            tree = read_options(value)
        elif option in ("--train", "--train.steps", "--train.epochs") and value:
            tree = {option[2:]: yaml.safe_load(value)}
        train = tree.get("train") or {}
        here = [
            name
            for name in ("steps", "epochs")
            if tree.get(f"train.{name}") is not None
            or (isinstance(train, dict) and train.get(name) is not None)
        ]
        if here:
            said.append(here[-1])
    others = [name for name in said if name != said[-1]]
    return (said[-1], others[-1]) if others else None


def _parse_words(words: Sequence[str], *, told: bool = False) -> Options:
    """Options from words, see ``parse``.

    Args:
        words: Of the command line.
        told: Whether it is printed which of steps and epochs holds, where both are
            said.
    """
    import jsonargparse

    files = [b for a, b in itertools.pairwise(words) if a == "--config"]
    files += [w.split("=", 1)[1] for w in words if w.startswith("--config=")]
    for file in files:
        read_options(file)  # refuses what the parser would expand or ignore
    jsonargparse.set_parsing_settings(docstring_parse_attribute_docstrings=True)
    parser = jsonargparse.ArgumentParser(
        prog="models_iic.py",
        description="Groups images, or with --data.images their pixels, without labels "
        "by Invariant Information Clustering. Commands with a --help of their own: "
        "evaluate RUN, predict RUN FOLDER, compare RUN RUN ..., mosaic LABELS FOLDER, "
        "and to prepare data prepare-potsdam and curate.",
        exit_on_error=False,
    )
    parser.add_argument("--config", action="config", help="YAML file of options")
    parser.add_class_arguments(Options, skip={"show_pairs", "time_limit"})
    parser.add_argument(
        "--time-limit",
        dest="time_limit",
        type=float | None,
        help="Minutes that a run should take, for which the number of steps is planned "
        "where it is not given; if not given 10 for your own images (up to 10,000).",
    )
    parser.add_argument(
        "--show-pairs",
        action="store_true",
        help="Only draw originals beside their perturbed copies, then stop.",
    )
    try:
        parsed = parser.instantiate(parser.parse_args(list(words)))
        options = Options(
            **{field.name: parsed[field.name] for field in dataclasses.fields(Options)}
        )
        places: dict[str, Any] = {
            name: restored(value)
            for name, value in vars(options.data).items()
            if isinstance(value, str)
        }
        # names such as #recycle are comments in YAML, and so no value at all
        for place in ("dir", "folder", "array", "labels", "images", "masks"):
            if getattr(options.data, place) is None:
                places[place] = _said(words, f"--data.{place}")
        data = dataclasses.replace(options.data, **places)
        run_name = _said(words, "--name") if options.name is None else options.name
        options = dataclasses.replace(options, data=data, name=run_name)
    except (jsonargparse.ArgumentError, ValueError, OSError) as error:
        read = f" (options read from {', '.join(files)})" if files else ""
        raise UserError(_one_sentence(error) + read) from None
    if lengths := _last_length(words):
        last, before = (f"train.{name}" for name in lengths)
        values = dataclasses.asdict(options.train)
        if told:
            print(
                f"Length:   {last}={values[lengths[0]]} was said last and takes the "
                f"place of {before}={values[lengths[1]]}"
            )
        without: dict[str, Any] = {lengths[1]: None}
        train = dataclasses.replace(options.train, **without)
        options = dataclasses.replace(options, train=train)
    return options


def _said(words: Sequence[str], option: str) -> str | None:
    """The last value of an option as it stands in the words; None for null."""
    said = None
    for word, following in itertools.zip_longest(words, words[1:]):
        if word == option:
            said = following
        elif word.startswith(f"{option}="):
            said = word.partition("=")[2]
    return None if said == "null" else said


def _one_sentence(error: BaseException) -> str:
    """The message of an error on one line; our own sentence where it wraps one."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, UserError):
            return str(cause)
        cause = cause.__cause__ or cause.__context__
    lines = [line.strip(" -") for line in str(error).splitlines()]
    return " ".join(line for line in lines if line)


def changed_options(options: Options) -> list[str]:
    """Options that differ from the defaults, as "train.steps=300"."""

    def flat(tree: dict[str, Any], default: dict[str, Any], prefix: str) -> list[str]:
        changed = []
        for name, value in tree.items():
            usual = default.get(name)
            if isinstance(value, dict) and isinstance(usual, dict):
                changed += flat(value, usual, f"{prefix}{name}.")
            elif value != usual:
                changed.append(f"{prefix}{name}={value}")
        return changed

    return flat(as_plain(options), as_plain(Options()), "")


@contextmanager
def _quiet_start() -> Iterator[None]:
    """Holds back what TensorFlow's libraries print on standard error when loaded.

    Says first what is loaded, since that takes longest of all where the disk is cold.
    """
    if "tensorflow" not in sys.modules:
        console.print("Loading:  TensorFlow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept, sink = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(sink)


# --------------------------------------------------------------------------- the run


def _check_backend() -> None:
    backend = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    require(
        backend == "tensorflow",
        "the environment variable KERAS_BACKEND must be tensorflow or unset",
        KERAS_BACKEND=backend,
    )


OWN_TIME_LIMIT, OWN_IMAGES = 10.0, 10_000
"""Minutes that a run on so many images of one's own should take, if nothing is said."""


def _suit(
    options: Options, name: str, recipe: Any, *, shape: Any, shown: Any = None
) -> Options:
    """Fills in what the user left to the recipe and to the images.

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
    limit = options.time_limit
    if limit is None and recipe.find is None and shape[0] <= OWN_IMAGES:
        limit = OWN_TIME_LIMIT
    return dataclasses.replace(options, data=filled, time_limit=limit)


def _advise(source: Any) -> None:
    """Prints what there is to say of the images, below where they were read."""
    for line in (source.advice or "").splitlines():
        console.print(f"          {line}")


def _load(options: Options, *, train: bool = True) -> tuple[Options, Any, Any, Any]:
    """Reads the images.

    Args:
        options: As given.
        train: Whether they are for training, for what is printed.

    Returns:
        The options with all that was left open, the recipe, the source, the task.

    Raises:
        UserError: For what the user can mend.
    """
    import data
    from iic_tf.cluster_task import ClusterTask
    from iic_tf.splits import apply_protocol

    if data.is_of_maps(options.data):
        return _load_maps(options, train=train)
    name, recipe, source = data.find(options.data, k=options.k, seed=options.seed)
    views = recipe.views(source.image_shape, options.data.perturb)
    protocol = apply_protocol(
        source, options.data.protocol, unlabelled=options.data.unlabelled
    )
    number = f"{len(protocol.train.images):,}"
    console.print(
        f"Images:   {number}{' for training' * train}, from {escaped(source.origin)}"
    )
    _advise(source)
    shape = protocol.train.images.shape
    options = _suit(options, name, recipe, shape=shape, shown=source.shown)
    task = ClusterTask(
        protocol,
        views,
        source.origin,
        class_names=source.class_names or recipe.class_names,
        kind=recipe.kind,
        mirrored=recipe.mirrored,
        neighbour_share=recipe.neighbour_share,
        usual_steps=recipe.usual_steps(shape[0]),
        nearest=source.nearest,
    )
    # the images of the source are in the task, some of them in another order
    return options, recipe, dataclasses.replace(source, splits={}), task


def _suit_maps(
    options: Options, name: str, recipe: Any, channels: int, *, shown: Any = None
) -> Options:
    """Fills in what the user left to the recipe and to the pictures."""
    chosen = options.data
    filled = dataclasses.replace(
        chosen,
        recipe=name,
        # pictures that the run is applied to later are brought to as many
        channels=chosen.channels or channels,
        range=chosen.range or shown,
        batch=chosen.batch or recipe.batch,
        scale=recipe.scale if chosen.scale is None else chosen.scale,
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


def _load_maps(
    options: Options, *, train: bool = True
) -> tuple[Options, Any, Any, Any]:
    """Reads pictures whose pixels are to be grouped, see ``_load``."""
    import data
    from iic_tf.map_task import MapTask, apply_map_protocol

    require(
        options.method == "iic",
        "method spectral is for whole images, not for data.images",
        method=options.method,
    )
    require(
        options.time_limit is None,
        "time_limit is for whole images; --train.steps says how long label maps train",
        time_limit=options.time_limit,
    )
    name, recipe, source = data.find_maps(options.data)
    trained, evaluated, words, mapping = apply_map_protocol(
        source, options.data.protocol
    )
    channels = trained.images[0].shape[2]
    views = recipe.views(channels, options.data.perturb)
    views = dataclasses.replace(views, sparse=options.segment.sparse)
    number = f"{len(trained.images):,}"
    console.print(
        f"Pictures: {number}{' for training' * train}, from {escaped(source.origin)}"
    )
    _advise(source)
    task = MapTask(
        trained,
        evaluated,
        views,
        source.origin,
        words,
        class_names=source.class_names,
        mapping=mapping,
        scenes=recipe.scenes,
    )
    source = dataclasses.replace(
        source,
        splits={"": dataclasses.replace(trained, unreadable=source.unreadable)},
        left_out=(),
    )
    options = _suit_maps(options, name, recipe, channels, shown=source.shown)
    return options, recipe, source, task


def run(options: Options) -> int:
    """Trains, evaluates and draws.

    Args:
        options: All options.

    Returns:
        Exit status.

    Raises:
        UserError: For what the user can mend.
        NonFiniteLoss: If training broke down.
    """
    _check_backend()
    check_writable(Path(options.out))
    with _quiet_start():
        import psutil

        import data
        import graphs
        import utils
        from iic_tf import health, job
        from iic_tf.distribute import choose_precision, choose_strategy
        from iic_tf.tuned import GRAPH_NEIGHBOURS

        strategy = choose_strategy(options.devices)

    # Names become functions here and in data.find, and nowhere else.
    changed = ", ".join(changed_options(options)) or "all as by default"
    of_maps = data.is_of_maps(options.data)
    if options.train.precision == "auto":
        precision: Any = "float32" if of_maps else choose_precision(strategy)
        train = dataclasses.replace(options.train, precision=precision)
        options = dataclasses.replace(options, train=train)
    name = options.graph.name or ("small_maps" if of_maps else "small")
    graph = dataclasses.replace(options.graph, name=name)
    builder = graphs.find(name, of_maps=of_maps)
    check_arguments(builder, graph.args, option="graph.args")
    options, recipe, source, task = _load(dataclasses.replace(options, graph=graph))
    if options.show_pairs:
        draw: Any = utils.draw_pairs
        if of_maps:
            draw = utils.draw_map_pairs
        path = draw(task, options)
        console.print(f"Pairs:    {path}")
        return 0

    if options.method == "spectral":
        return _look(options, task, source)

    def on_plan(steps: int, seconds: float) -> None:
        enough = "" if steps == task.usual_steps else f" of {task.usual_steps:,}"
        memory = psutil.Process().memory_info().rss / 1e9  # of images, network, steps
        console.print(
            f"Plan:     {steps:,}{enough} steps of {seconds:.2f} s, "
            f"{clock(steps * seconds)} minutes, {memory:.1f} GB of memory; "
            "--time-limit or --train.steps says otherwise"
        )

    def on_prepared(folder: Path, found: Any) -> None:
        if of_maps:
            return
        picture = utils.draw_first_groups(folder, found, task)
        if found.joined > max(options.data.neighbours or 0, GRAPH_NEIGHBOURS):
            console.print(
                f"Graph:    of {found.joined} neighbours of each image, since with "
                f"{GRAPH_NEIGHBOURS} it falls into more parts than groups are wanted"
            )
        console.print(
            "Groups:   of the neighbour graph, without a network: "
            f"{health.information_words(found.groups.information, options.k)} about "
            f"neighbours{f'; {picture} shows them' if picture else ''}"
        )

    def on_start(folder: Path, model: Any, step: int) -> None:
        utils.write_network(folder / "network.txt", model.backbone)
        if source.unreadable:
            utils.write_unreadable(folder / "unreadable.csv", source.unreadable)
        names = [n.split("device:")[-1] for n in strategy.extended.worker_devices]
        devices = ", ".join(names)
        console.print(f"Devices:  {devices}")
        console.print(f"Options:  {changed}")
        shape = model.backbone.input_shape[1:]
        seen = "×".join(str(n) for n in shape if n is not None)
        if None in shape:
            seen = f"pictures of any size, {seen} channels"
        console.print(
            f"Network:  {options.graph.name} on {seen}, "
            f"{model.count_params():,} parameters"
        )
        begin = f"resumed at step {step:,}" if step else "started from scratch"
        console.print(f"Run:      {folder}, {begin}")
        pairs = (
            f"{options.data.batch} images a step, {options.data.repeats} copies each"
        )
        if of_maps:
            side = task.views.side
            pairs = pairs.replace("images", f"windows of {side}×{side} pixels")
        if options.data.neighbours:
            pairs += (
                f", {'all' if task.neighbour_share == 1 else 'half'} of them of one of "
                f"{options.data.neighbours} nearest "
                "neighbours, which are being found"
            )
        console.print(f"Pairs:    {pairs}")
        console.print()

    def build_backbone() -> Any:
        try:
            return graphs.on_views(
                builder,
                task.seen_shape,
                sobel=task.views.edges if of_maps else recipe.sobel,
                infrared=of_maps and task.views.infrared,
                **options.graph.args,
            )
        except ValueError as error:
            seen = "×".join(map(str, task.seen_shape))
            raise UserError(
                f"graph.name {options.graph.name} with graph.args "
                f"{options.graph.args} makes no network for images of {seen}: "
                f"{first_line(error)}"
            ) from None

    trained = job.train(
        options,
        task,
        build_backbone=build_backbone,
        strategy=strategy,
        on_start=on_start,
        on_plan=on_plan,
        on_prepared=on_prepared,
    )
    if trained.step < trained.steps:
        console.print(
            f"\nStopped and saved at step {trained.step:,} of {trained.steps:,}. "
            f"Continue with: python models_iic.py --resume {trained.folder}"
        )
        return EXIT_INTERRUPTED
    finish: Any = utils.hand_over
    if of_maps:
        finish = utils.hand_over_maps
    try:
        state = finish(trained, task, options)
    except Exception as error:
        if (words := failure_words(error)) is None:
            raise
        words = f"{words}; --resume {trained.folder} writes the results"
        raise RunError(words) from error
    if source.advice:
        console.print(source.advice)
    if health.is_degenerate(state, steps=trained.step):
        console.print(
            "This run is degenerate: even its best sub-head has nothing worth keeping. "
            "Try another --seed, other figures of --data.perturb, or another "
            "--train.learning_rate."
        )
        return EXIT_DEGENERATE
    return 0


def _look(options: Options, task: Any, source: Any) -> int:
    """The quick look: groups of the neighbour graph, without a network."""
    import utils
    from iic_tf.folders import make_run_folder
    from iic_tf.job import run_prefix

    require(
        bool(options.data.neighbours),
        "method spectral needs data.neighbours of at least 1",
        neighbours=options.data.neighbours,
    )
    require(
        task.protocol.evaluate is task.protocol.train,
        "method spectral groups what it is shown: data.protocol must be all, and "
        "data.unlabelled false where there are unlabelled images",
        protocol=options.data.protocol,
    )
    task.check(options)
    began = time.perf_counter()
    found = task.prepare(options)
    folder = make_run_folder(
        Path(options.out), name=options.name, prefix=run_prefix(options)
    )
    utils.hand_over_graph(
        folder, found, task, options, seconds=round(time.perf_counter() - began, 1)
    )
    if source.unreadable:
        utils.write_unreadable(folder / "unreadable.csv", source.unreadable)
    console.print(f"\nPictures, assignments.csv and summary.json in {folder}")
    return 0


EVALUATE_USAGE = """usage: models_iic.py evaluate RUN [options]
       models_iic.py predict RUN FOLDER

Applies the model of a finished run to its own images, or to others: predict RUN FOLDER,
or as in --data.folder NEW or --data.images NEW; the options of the run hold unless said
otherwise. Many images of another place, light or camera: --report.adapt true. Pictures,
assignments.csv or label maps and overlays, and summary.json go to a new folder inside
the run's."""


def _instead(words: Sequence[str], facts: dict[str, Any]) -> list[str]:
    """What of a run's options no longer holds if it is applied to other images.

    Args:
        words: Of the command line.
        facts: The run's manifest.
    """
    named = {word.split("=", 1)[0] for word in words}
    if not named & {"--data.dir", "--data.folder", "--data.array", "--data.images"}:
        return []
    places = ("dir", "folder", "array", "images", "labels", "masks")
    instead = [*(f"{place}=null" for place in places), "protocol=all"]
    if "--data.images" in named:
        return [f"--data.{word}" for word in instead]
    if not named & {"--data.folder", "--data.array"}:
        instead.append("range=null")
    _, height, width, channels = facts["data_shape"]
    known = "--data.folder" in named  # to be brought to the size that was trained on
    instead.append(f"size={min(height, width) if known else 'null'}")
    instead.append(f"channels={channels if known and channels in (1, 3) else 'null'}")
    return [f"--data.{word}" for word in instead]


def evaluate(words: Sequence[str]) -> int:
    """``evaluate RUN [options]``: applies a run's model to its images or to others.

    Args:
        words: The run and options that go over those of the run.

    Raises:
        UserError: For what the user can mend.
    """
    require(
        bool(words)
        and bool(words[0])
        and (words[0] in ("-h", "--help") or not words[0].startswith("-")),
        "evaluate needs a run, as in: python models_iic.py evaluate runs/mnist-1",
        words=list(words),
    )
    if words[0] in ("-h", "--help"):
        print(EVALUATE_USAGE)
        return 0
    folder = find_run(words[0], out=Path(Options().out), what="evaluate")
    facts = read_manifest(folder)
    options = _parse_words(
        ["--config", str(folder / OPTIONS_FILE), *_instead(words, facts), *words[1:]]
    )
    _check_backend()
    with _quiet_start():
        import data
        import utils
        from iic_tf.checkpoints import fingerprint

    options, _, source, task = _load(options, train=False)
    of_maps = data.is_of_maps(options.data)
    if fingerprint(task.material(options)) != facts["data_fingerprint"]:
        told = f"{source.origin}, not the very set that the run was trained on"
        mapping = task.mapping if of_maps else task.protocol.mapping
        if mapping is not None:
            told += ", with clusters mapped to classes on its split train"
        if of_maps:
            task = dataclasses.replace(task, words=told)
        else:
            others = dataclasses.replace(task.protocol, words=told)
            task = dataclasses.replace(task, protocol=others)
    console.print(f"Groups:   {task.num_evaluated:,} of {task.words}")
    chosen_anew = any(word.startswith("--report.choose") for word in words)
    apply: Any = utils.evaluate_maps if of_maps else utils.evaluate
    place = apply(folder, task, options, keep_choice=not chosen_anew)
    if source.unreadable:
        utils.write_unreadable(place / "unreadable.csv", source.unreadable)
    results = "labels, overlays" if of_maps else "assignments.csv"
    console.print(f"\nPictures, {results} and summary.json in {place}")
    return 0


def predict(words: Sequence[str]) -> int:
    """``predict RUN FOLDER``: what a run's model makes of a folder of new images.

    Args:
        words: The run, the folder, and options as for ``evaluate``.

    Raises:
        UserError: For what the user can mend.
    """
    if words and words[0] in ("-h", "--help"):
        print(EVALUATE_USAGE)
        return 0
    require(
        len(words) >= 2
        and not words[0].startswith("-")
        and not words[1].startswith("-"),
        "predict needs a run and a folder, as in: python models_iic.py predict "
        "runs/PHOTOS-1 NEW_PHOTOS",
        words=list(words),
    )
    run, place, *others = words
    folder = find_run(run, out=Path(Options().out), what="predict")
    stored = _parse_words(["--config", str(folder / OPTIONS_FILE)])
    _check_backend()
    with _quiet_start():
        import data

    kind = "images" if data.is_of_maps(stored.data) else "folder"
    return evaluate([str(folder), f"--data.{kind}={place}", *others])


class _Parser(argparse.ArgumentParser):
    """Mistakes in its words are one sentence."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{self.prog.split()[-1]}: {message}")


def compare(words: Sequence[str]) -> int:
    """``compare RUN RUN ... [--plot FILE]``: a table and a figure of stored runs.

    Args:
        words: Runs.

    Raises:
        UserError: For what the user can mend.
    """
    parser = _Parser(
        prog="models_iic.py compare",
        description="Prints a table of stored runs and draws their courses.",
    )
    parser.add_argument("runs", nargs="*", metavar="RUN")
    parser.add_argument("--plot", type=Path, help="PNG file; comparison.png if not set")
    arguments, unknown = parser.parse_known_args(list(words))
    require(not unknown, "compare takes runs and --plot FILE", words=unknown)
    require(bool(arguments.runs), "compare needs runs", runs=arguments.runs)
    folders = [
        find_run(run, out=Path(Options().out), what="compare") for run in arguments.runs
    ]
    with _quiet_start():
        import utils

    utils.compare(folders, plot=arguments.plot or folders[0].parent / "comparison.png")
    return 0


def prepare_potsdam(words: Sequence[str]) -> int:
    """``prepare-potsdam RAW FOLDER``: cuts the raw pictures of Potsdam into tiles.

    Args:
        words: The two folders, and options.

    Raises:
        UserError: For what the user can mend.
    """
    parser = _Parser(
        prog="models_iic.py prepare-potsdam",
        description="Cuts ISPRS Potsdam into tiles of 200x200 pixels, as published.",
    )
    parser.add_argument("raw", type=Path, help="folder with 4_Ortho_RGBIR and labels")
    parser.add_argument("out", type=Path, help="folder that is made")
    parser.add_argument("--seed", type=int, default=0, help="decides the test tiles")
    arguments = parser.parse_args(list(words))
    from iic_tf import potsdam

    with counted("cutting pictures") as progress:
        counts = potsdam.prepare(
            arguments.raw, arguments.out, seed=arguments.seed, progress=progress
        )
    told = ", ".join(f"{number:,} {split}" for split, number in counts.items())
    console.print(f"Tiles in {arguments.out}: {told}")
    return 0


def curate(words: Sequence[str]) -> int:
    """``curate ROOT``: lists the pictures of COCO-Stuff that the curation rule keeps.

    Args:
        words: The folder, and options.

    Raises:
        UserError: For what the user can mend.
    """
    parser = _Parser(
        prog="models_iic.py curate",
        description="Lists the pictures of COCO-Stuff 164k whose sides have at least "
        "360 pixels, three quarters of them of the classes that are wanted.",
    )
    parser.add_argument("root", type=Path, help="folder with images and annotations")
    parser.add_argument("--classes", default="full", help="few, full and so on")
    parser.add_argument(
        "--name", required=True, help="of the lists, for --data.curated NAME"
    )
    arguments = parser.parse_args(list(words))
    require(
        not set(arguments.name) & set("/\\\0") and arguments.name not in ("", ".."),
        "--name must be a name without folders",
        name=arguments.name,
    )
    from iic_tf import coco_stuff

    lists = {
        split: arguments.root / "curated" / split / f"{arguments.name}.txt"
        for split in ("train2017", "val2017")
    }
    there = [str(path) for path in lists.values() if path.exists()]
    require(not there, "the lists must not exist; --name says another", lists=there)
    items = {split: coco_stuff.list_164k(arguments.root, split) for split in lists}
    found = {}
    for split, some in items.items():
        with counted(f"looking at {split}") as progress:
            found[split] = coco_stuff.curate(
                some, kind=arguments.classes, progress=progress
            )
    for split, path in lists.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{name}\n" for name in found[split]))
        told = f"{len(found[split]):,} of {len(items[split]):,} pictures"
        console.print(f"{path}: {told}")
    return 0


def mosaic(words: Sequence[str]) -> int:
    """``mosaic LABELS OUT``: joins the label maps of tiles into whole pictures.

    Args:
        words: The folder of a run's labels, and the folder of the pictures.

    Raises:
        UserError: For what the user can mend.
    """
    parser = _Parser(
        prog="models_iic.py mosaic",
        description="Joins label maps of tiles named PICTURE_ROW_COLUMN.",
    )
    parser.add_argument("labels", type=Path, help="as in runs/potsdam_3-1/labels")
    parser.add_argument("out", type=Path, help="folder of the pictures")
    parser.add_argument(
        "--border",
        type=int,
        default=1,
        help="pixels along the sides of each tile that the next ones inward stand for: "
        "1, since network_10a decides nothing there; 0 for small_maps",
    )
    arguments = parser.parse_args(list(words))
    require(
        arguments.border >= 0, "--border must be at least 0", border=arguments.border
    )
    with _quiet_start():
        import utils
    from iic_tf import potsdam
    from iic_tf.map_folder import IGNORE, decode_labels

    files = sorted(arguments.labels.glob("*.png"))
    require(bool(files), "there must be label maps", labels=str(arguments.labels))
    try:
        tiles = {path.stem: decode_labels(path) for path in files}
    except ValueError as error:
        raise UserError(f"{arguments.labels} must hold label maps: {error}") from None
    number = max(int(tile.max()) for tile in tiles.values()) + 1
    joined = potsdam.join_tiles(tiles, missing=IGNORE, border=arguments.border)
    for name, whole in joined.items():
        path = arguments.out / f"{name}.png"
        utils.write_label_map(path, whole, number)
        console.print(f"{path}: {whole.shape[1]}×{whole.shape[0]} pixels")
    return 0


COMMANDS = {
    "mosaic": mosaic,
    "evaluate": evaluate,
    "predict": predict,
    "compare": compare,
    "prepare-potsdam": prepare_potsdam,
    "curate": curate,
}


class _ToldToEnd(BaseException):
    """SIGTERM has come."""


@contextmanager
def _told_to_end() -> Iterator[None]:
    """Within it SIGTERM raises ``_ToldToEnd``; training handles it in its own way."""

    def end(number: int, frame: FrameType | None) -> NoReturn:
        raise _ToldToEnd

    try:
        before = signal.signal(signal.SIGTERM, end)
    except ValueError:  # only the main thread may
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def main(words: Sequence[str] | None = None) -> int:
    """Runs the command line; mistakes become one sentence and an exit status.

    Args:
        words: Words of the command line; those of the process if None.

    Returns:
        0; 1 if training broke down, memory was too small or a file could not be used;
        2 for a mistake in options or data; 3 if the result is degenerate; 130 if
        stopped, 143 if told to end outside of training.
    """
    words = sys.argv[1:] if words is None else words
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # what a terminal cannot show becomes "?"
            stream.reconfigure(errors="replace")
    try:
        with _told_to_end(), at_work("at work"):
            if words and words[0] in COMMANDS:
                return COMMANDS[words[0]](words[1:])
            return run(parse(words))
    except UserError as error:
        print(
            f"models_iic.py: error: {shortened(escaped(str(error)))}", file=sys.stderr
        )
        return EXIT_USAGE
    except (ArithmeticError, RunError) as error:
        print(f"models_iic.py: {shortened(escaped(str(error)))}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        print("models_iic.py: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except _ToldToEnd:
        print(
            "models_iic.py: told to end (SIGTERM); a run that has trained continues "
            "with --resume",
            file=sys.stderr,
        )
        return EXIT_TERMINATED
    except Exception as error:  # a full disk, too little memory
        if (failure := failure_words(error)) is None:
            raise
        mistake = getattr(error, "errno", None) == errno.ENAMETOOLONG
        told = f"models_iic.py: {'error: ' * mistake}{shortened(escaped(failure))}"
        print(told, file=sys.stderr)
        return EXIT_USAGE if mistake else EXIT_FAILED


if __name__ == "__main__":
    sys.exit(main())
