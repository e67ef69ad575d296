"""The main command: trains, evaluates and plots; or takes the quick look."""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from commands import EXIT_DEGENERATE, EXIT_INTERRUPTED, typed
from commands.loading import (
    Loaded,
    load,
    take_over,
    task_of,
    usual_graph,
    usual_graph_of_vectors,
)
from commands.parsing import changed_options
from commands.starting import check_backend, quiet_start
from iic_tf.errors import RunError, UserError, failure_words, first_line, require
from iic_tf.names import escaped
from iic_tf.options import Options, check_arguments
from iic_tf.resolved import RunOptions
from iic_tf.run_folder import (
    NETWORK_FILE,
    UNREADABLE_FILE,
    check_writable,
    make_run_folder,
)


def run(
    asked: Options,
    *,
    began: Callable[[Path], None] = lambda _: None,
    look: tuple[int, int | None] | None = None,
    least_k_aux: int = 0,
    strategy: Any = None,
) -> int:
    """Trains, evaluates and plots.

    Args:
        asked: Options as given.
        began: Called with the run folder when it is there.
        look: Fewest and most clusters that k auto chooses from, if not the usual ones.
        least_k_aux: Clusters that each auxiliary sub-head has at least.
        strategy: Where the steps run; chosen by ``devices`` if None.

    Returns:
        Exit status.

    Raises:
        UserError: For a mistake in the options or the data.
        NonFiniteLoss: If a loss or the gradient became NaN or infinite.
    """
    if asked.seeds is not None:
        from commands.seeds import run_seeds

        return run_seeds(asked)
    require(
        asked.k != "auto" or asked.resume is None,
        "k auto is for new runs; a resumed one has its k",
        k=asked.k,
    )
    check_backend()
    check_writable(Path(asked.out))
    with quiet_start():
        import graphs
        from commands.signals import StopSignal
        from iic_tf.distribute import choose_precision, choose_strategy
        from iic_tf.models.heads import check_initializer
        from iic_tf.report.console import at_work, console
        from iic_tf.training.optimizers import check_optimizer
        from iic_tf.training.run import run_prefix, train
        from iic_tf.training.stored import finish

        strategy = strategy or choose_strategy(asked.devices)

    # Names become functions here and in data.py, and nowhere else.
    asked = take_over(asked)
    changed = ", ".join(changed_options(asked)) or "all at their defaults"
    kind = task_of(asked)
    if asked.graph.frozen:  # what trains is a network of vectors
        require(
            kind == "cluster",
            f"graph.frozen is for clusters of whole images; the task {kind} does not "
            "use it",
            task=kind,
        )
        builder = graphs.find(usual_graph_of_vectors())
    else:
        builder = graphs.find(asked.graph.name or usual_graph(asked), task=kind)
        check_arguments(builder, asked.graph.args, option="graph.args")
    check_optimizer(asked.train, steps=asked.train.steps or 1)
    check_initializer(asked.heads)
    precision = "float32" if kind == "segment" else choose_precision(strategy)
    loaded = load(asked, precision=precision)
    usual = replace(
        loaded.usual, least_k_aux=max(least_k_aux, loaded.usual.least_k_aux)
    )
    loaded = replace(loaded, usual=usual)
    if asked.k == "auto":
        loaded = _with_number(loaded, look)
    options, task = loaded.options, loaded.task
    if options.show_pairs:
        path = Path(options.out) / f"pairs_{run_prefix(options)}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        task.draw_pairs(path, options)
        console.print(f"Pairs:    {path}")
        return 0
    if options.method == "spectral":
        return _look(options, loaded)

    build = partial(build_backbone, builder, loaded)
    started, planned = time.monotonic(), None
    with StopSignal() as stop:
        if options.time_limit:
            loaded, planned = _in_time(
                loaded, build, strategy, minutes=options.time_limit
            )
            options = loaded.options
        says = _Telling(loaded, changed, strategy, began)
        trained = train(
            options,
            task,
            build_backbone=build,
            strategy=strategy,
            stop=stop,
            on_start=says.on_start,
            on_prepared=says.on_prepared,
        )
    if trained.step < trained.steps:
        console.print(
            f"\nStopped and saved at step {trained.step:,} of {trained.steps:,}. "
            f"Continue with: {typed()} --resume {trained.folder}"
        )
        return EXIT_INTERRUPTED
    try:
        with at_work("writing results"):
            degenerate = finish(trained, options, trunk=loaded.trunk)
    except Exception as error:
        if (words := failure_words(error)) is None:
            raise
        words = f"{words}; --resume {trained.folder} writes the results"
        raise RunError(words) from error
    if planned and options.time_limit:
        step = trained.watch.seconds["steps"] / max(trained.steps, 1)
        took, limit = time.monotonic() - started, 60 * options.time_limit
        if words := _late(took, limit, step=step, planned=planned):
            console.print(words)
    if loaded.advice:
        console.print(loaded.advice)
    if degenerate:
        console.print(
            "This run is degenerate: even its best sub-head found no useful clusters. "
            "Try another --seed, other --data.augment parameters or another "
            "--train.learning_rate."
        )
        return EXIT_DEGENERATE
    return 0


def _with_number(loaded: Loaded, look: tuple[int, int | None] | None) -> Loaded:
    """The same with a number of clusters from the neighbour graph; says which and why.

    Args:
        loaded: The run, whose k is open.
        look: Fewest and most clusters, or None for the usual ones.
    """
    from commands.choose import LEAST, quick_advice
    from iic_tf.report.choosing import OF_GRAPH, advice_words
    from iic_tf.report.console import console

    least, most = look or (LEAST, None)
    evidence, advice = quick_advice(loaded, least=least, most=most)
    console.print(f"Clusters: {advice_words(evidence, advice, OF_GRAPH)}")
    return replace(loaded, asked=replace(loaded.asked, k=advice.k))


def build_backbone(builder: Callable[..., Any], loaded: Loaded) -> Any:
    """The backbone of a run.

    Args:
        builder: One of ``graphs.GRAPHS`` or ``graphs.SEGMENT_GRAPHS``.
        loaded: The run.

    Raises:
        UserError: If it cannot be built for the images.
    """
    import graphs

    graph, shape = loaded.options.graph, loaded.task.data.shape
    arguments = graph.args if loaded.trunk is None else {}
    try:
        return graphs.on_views(
            builder,
            shape,
            sobel=loaded.sobel,
            infrared=loaded.infrared,
            **arguments,
        )
    except ValueError as error:
        seen = "×".join(map(str, shape))
        raise UserError(
            f"graph.name {graph.name} with graph.args {graph.args} cannot be built for "
            f"images of {seen}: {first_line(error)}"
        ) from None


def _in_time(
    loaded: Loaded, build: Callable[[], Any], strategy: Any, *, minutes: float
) -> tuple[Loaded, float]:
    """The same with as many steps as fit into a time limit; says how many.

    Returns:
        The run, and the seconds that a step takes.
    """
    import psutil

    from iic_tf.report.console import at_work, clock, console
    from iic_tf.training.run import plan_steps

    options = loaded.options
    with at_work("timing steps"):
        steps, seconds = plan_steps(
            options, loaded.task, build, strategy, minutes=minutes
        )
    enough = "" if steps == options.train.steps else f" of {options.train.steps:,}"
    memory = psutil.Process().memory_info().rss / 1e9  # of images, network, steps
    console.print(
        f"Plan:     {steps:,}{enough} steps at {seconds:.2f} s each, about "
        f"{clock(steps * seconds)} in total, {memory:.1f} GB of memory; change it "
        "with --time-limit or --train.steps"
    )
    return loaded.lasting(steps), seconds


def _late(took: float, limit: float, *, step: float, planned: float) -> str | None:
    """Says that a run was not done in time, if it was not.

    Args:
        took: Seconds of the whole run.
        limit: Seconds it may take.
        step: Seconds that a step took in the end.
        planned: Seconds that a step took when the run was planned.
    """
    from iic_tf.report.console import clock

    if took <= limit:
        return None
    return (
        f"The run took {clock(took)}, longer than the time limit of {clock(limit)}: a "
        f"step took {step:.2f} s, but {planned:.2f} s when the run was planned. Was "
        "the machine busy?"
    )


class _Telling:
    """What is printed and plotted as a run begins.

    Args:
        loaded: Options, and the task as it was read.
        changed: Options that differ from the defaults, as text.
        strategy: Where the steps run.
        began: Called with the run folder.
    """

    def __init__(
        self,
        loaded: Loaded,
        changed: str,
        strategy: Any,
        began: Callable[[Path], None],
    ):
        self.began = began
        self.loaded = loaded
        self.changed = changed
        self.strategy = strategy

    def on_prepared(self, folder: Path, task: Any) -> None:
        """Plots the clusters of the neighbour graph, if there is one."""
        from iic_tf.evaluation.health import information_words
        from iic_tf.neighbours.spectral import separate_parts, told, uneven_sizes
        from iic_tf.report.cluster_plots import draw_first_groups
        from iic_tf.report.console import console
        from iic_tf.tuned import GRAPH_NEIGHBOURS, UNEVEN_LAMB

        options, found = self.loaded.options, getattr(task, "found", None)
        if found is None:
            return
        groups = found.groups.clusters
        plot = draw_first_groups(folder, found.graph, groups, task.data.examples)
        if found.joined > max(options.data.neighbours, GRAPH_NEIGHBOURS):
            console.print(
                f"Graph:    {found.joined} neighbours of each image, since with "
                f"{GRAPH_NEIGHBOURS} the graph has more components than clusters"
            )
        console.print(
            "Groups:   clusters of the neighbour graph, before training: mutual "
            "information of neighbours "
            f"{information_words(told(found.graph, groups, options.k), options.k)}"
            f"{f'; see {plot}' if plot else ''}"
        )
        if (parts := separate_parts(found.graph)) >= 2 * options.k:
            console.print(
                f"Parts:    the images form {parts:,} sets of near-repeats, such as "
                "frames of the same film, that no neighbour links; which sets belong "
                "together, the graph cannot tell"
            )
        if options.train.lamb != 1:
            return
        if (sizes := uneven_sizes(found.graph, found.groups, options.k)) is not None:
            console.print(
                "Sizes:    mutual information favours clusters of equal size; if it "
                "counted for less, the graph would have clusters of "
                f"{sizes[0]:,} to {sizes[-1]:,} images. If your classes differ as "
                f"much, add --train.lamb {UNEVEN_LAMB}"
            )

    def on_start(self, folder: Path, model: Any, step: int) -> None:
        """Says on what, with what and where the run trains."""
        from iic_tf.distribute import device_names
        from iic_tf.report.console import console
        from iic_tf.report.files import write_network, write_unreadable

        self.began(folder)
        options, task = self.loaded.options, self.loaded.task
        backbone = getattr(model, "backbone", model)
        write_network(folder / NETWORK_FILE, backbone)
        if self.loaded.unreadable:
            write_unreadable(folder / UNREADABLE_FILE, self.loaded.unreadable)
        names = device_names(self.strategy)
        devices = ", ".join(name.split("device:")[-1] for name in names)
        console.print(f"Devices:  {devices}")
        console.print(f"Options:  {self.changed}")
        shape = backbone.input_shape[1:]
        seen = "×".join(str(n) for n in shape if n is not None)
        if None in shape:
            seen = f"images of any size, {seen} channels"
        name, trunk = options.graph.name, self.loaded.trunk
        if trunk is not None:
            name, seen = f"{name}, frozen, and {backbone.name}", f"{seen} features"
        console.print(
            f"Network:  {name} on {seen}, {model.count_params():,} parameters"
        )
        begin = f"resumed at step {step:,}" if step else "started from scratch"
        if options.task == "finetune" and not (step or options.tune.from_scratch):
            begin = f"started with the backbone of {escaped(str(options.tune.run))}"
        console.print(f"Run:      {folder}, {begin}")
        views = options.data.repeats
        unit = "images"
        if options.task == "segment":
            side = task.views.side
            unit = f"crops of {side}×{side} pixels"
        pairs = f"{options.data.batch} {unit} per step, {views} augmented views each"
        if options.data.neighbours:
            share = "all" if task.data.neighbour_share == 1 else "half"
            pairs += (
                f", {share} of them showing one of {options.data.neighbours} nearest "
                "neighbours (searching now)"
            )
        console.print(f"Pairs:    {pairs}")
        console.print()


def _look(options: RunOptions, loaded: Loaded) -> int:
    """The quick look: clusters of the neighbour graph, without a network."""
    from iic_tf.report.console import console
    from iic_tf.report.files import write_unreadable
    from iic_tf.training.run import run_prefix
    from iic_tf.training.stored import write_summary
    from iic_tf.training.task import Evaluation

    task = loaded.task
    require(
        bool(options.data.neighbours),
        "method spectral needs data.neighbours of at least 1",
        neighbours=options.data.neighbours,
    )
    require(
        task.protocol.evaluate is task.protocol.train,
        "method spectral clusters all images that it is given: data.protocol must be "
        "all, and data.unlabelled must be false if there are unlabelled images",
        protocol=options.data.protocol,
    )
    task.check(options)
    began = time.perf_counter()
    task = task.prepare(options)
    folder = make_run_folder(
        Path(options.out), name=options.name, prefix=run_prefix(options)
    )
    seconds = round(time.perf_counter() - began, 1)
    title = f"{folder.name}, neighbour graph"
    outcome = task.write(
        folder,
        task.of_graph(options),
        options,
        evaluation=Evaluation(None, title, task.data.scored_on),
    )
    write_summary(folder, outcome.summary | {"seconds": {"groups": seconds}})
    outcome.tell()
    if loaded.unreadable:
        write_unreadable(folder / UNREADABLE_FILE, loaded.unreadable)
    console.print(f"\nPlots, assignments.csv and summary.json in {folder}")
    return 0
