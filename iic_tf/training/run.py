"""One run of any task, from data and a backbone to a trained model in a run folder."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import yaml

from iic_tf.arithmetic import sums_in_one_order
from iic_tf.augment.pairs import Passes
from iic_tf.distribute import device_names
from iic_tf.errors import RunError, failure_words, require
from iic_tf.evaluation.inference import check_can_adapt
from iic_tf.names import plain, storable
from iic_tf.options import UNUSED, as_plain, with_absolute_paths
from iic_tf.report.console import Stopwatch, Training, at_work, attempted, console
from iic_tf.report.curves import LearningCurve
from iic_tf.report.events import FOLDER, EventFiles
from iic_tf.resolved import RunOptions
from iic_tf.run_folder import (
    CHECKPOINTS,
    CURVE_FILE,
    HISTORY_FILE,
    MANIFEST_FILE,
    OPTIONS_FILE,
    make_run_folder,
    read_manifest,
    write_atomically,
)
from iic_tf.training.checkpoints import Checkpoints, History, manifest
from iic_tf.training.estimate import check_memory, machine_memory
from iic_tf.training.loop import Event, Stop, train_loop
from iic_tf.training.task import Plan, Row, Run, Task, Trained
from iic_tf.training.trainer import (
    NonFiniteLoss,
    OptimizerOfParts,
    Trainer,
    make_optimizer,
)


def run_prefix(options: RunOptions) -> str:
    """What a run is named after: the user's own images, else the recipe."""
    data = options.data
    own = data.folder or data.array or data.images or data.features or data.series
    name = data.tfds or data.recipe
    if own:
        name = Path(own).expanduser().resolve().stem
    return plain(name or "run")


def _plan(options: RunOptions, task: Task, *, replicas: int) -> Plan:
    """What the run will do.

    Raises:
        UserError: If options and data clash.
    """
    require(
        options.data.batch % replicas == 0,
        f"data.batch must be divisible by the number of devices, {replicas}",
        batch=options.data.batch,
    )
    return task.plan(options)


def _checked_plan(
    options: RunOptions,
    task: Task,
    build_backbone: Callable[[], keras.Model],
    strategy: tf.distribute.Strategy,
) -> Plan:
    """What the run will do, if the memory of this machine is enough for it."""
    plan = _plan(options, task, replicas=strategy.num_replicas_in_sync)
    if "CPU" in device_names(strategy)[0]:  # GPUs have memory of their own
        check_memory(partial(plan.memory, build_backbone), machine_memory())
    return plan


STEPS_SHARE = 0.7
"""Share of the time limit that steps may take; reading, neighbours, reports and results
take the rest."""

FEWEST_STEPS = 100
"""However slow the machine, so many steps are taken."""

TIMED_STEPS = 4
"""Steps that are timed to plan a run, after as many that are not."""


def plan_steps(
    options: RunOptions,
    task: Task,
    build_backbone: Callable[[], keras.Model],
    strategy: tf.distribute.Strategy,
    *,
    minutes: float,
) -> tuple[int, float]:
    """Times a few steps and tells how many fit into a time limit.

    Args:
        options: Of the run; ``train.steps`` are enough.
        task: What is trained.
        build_backbone: Builds the backbone.
        strategy: Where the steps run.
        minutes: The time limit.

    Returns:
        Steps, a round number, and the seconds that one takes.

    Raises:
        UserError: If options and data clash, or the run needs more memory than there
            is.
    """
    few = replace(options.train, steps=2 * TIMED_STEPS, epochs=None)
    timed = replace(options, train=few, data=replace(options.data, neighbours=0))
    passes = _plan(timed, task, replicas=strategy.num_replicas_in_sync).passes
    with _reproducible(options.train.precision):
        _checked_plan(options, task, build_backbone, strategy)
        trainer = _build_trainer(timed, task, build_backbone, strategy, passes=passes)
        batches = task.batches(timed, passes, start=0)
        iterator = iter(strategy.experimental_distribute_dataset(batches))
        trainer.run(iterator, TIMED_STEPS)
        began = time.perf_counter()
        trainer.run(iterator, TIMED_STEPS)
        seconds = (time.perf_counter() - began) / TIMED_STEPS
    fit = STEPS_SHARE * 60 * minutes / seconds
    rounded = max(int(fit // FEWEST_STEPS) * FEWEST_STEPS, FEWEST_STEPS)
    return min(rounded, options.train.steps), seconds


@contextmanager
def _reproducible(precision: str) -> Iterator[None]:
    """Within it layers have a precision, and sums one order; afterwards as before."""
    policy = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy(precision)
    try:
        with sums_in_one_order():
            yield
    finally:
        keras.mixed_precision.set_global_policy(policy)


def _build_trainer(
    options: RunOptions,
    task: Task,
    build_backbone: Callable[[], keras.Model],
    strategy: tf.distribute.Strategy,
    *,
    passes: Passes,
) -> Trainer:
    # Seeds the start weights only; data and views follow from (seed, step).
    keras.utils.set_random_seed(options.seed)
    with strategy.scope():
        model = task.build(build_backbone(), options)
        if options.report.adapt:
            check_can_adapt(model)  # fail now, not after training
        goal = task.objective(options, passes)

        def make(rate: float) -> keras.optimizers.Optimizer:
            own = rate * options.train.learning_rate
            train = replace(options.train, learning_rate=own)
            return make_optimizer(train, steps=len(passes.number))

        optimizer = (
            make(1.0)
            if goal.rates is None
            else OptimizerOfParts(make, goal.rates(model))
        )
        return Trainer(model, optimizer, strategy, goal, l2=options.train.l2)


def facts_of(task: Task, strategy: tf.distribute.Strategy) -> dict[str, Any]:
    """What a run depends on besides its options, see ``manifest``."""
    return manifest(
        devices=device_names(strategy),
        origin=task.data.origin,
        images=task.data.examples,
        material=task.data.material,
    )


def store(folder: Path, options: RunOptions, facts: dict[str, Any]) -> None:
    """Writes what a run is into its folder.

    Args:
        folder: Of the run.
        options: All of them.
        facts: See ``facts_of``.
    """
    stored = as_plain(with_absolute_paths(options))
    stored |= {"resume": None, "name": folder.name}
    stored["data"] = {
        name: storable(value) if isinstance(value, str) else value
        for name, value in stored["data"].items()
    }
    write_atomically(folder / OPTIONS_FILE, yaml.safe_dump(stored, sort_keys=False))
    write_atomically(folder / MANIFEST_FILE, json.dumps(facts, indent=2) + "\n")


def _open_run(
    options: RunOptions, task: Task, trainer: Trainer, history: History, *, steps: int
) -> tuple[Path, Checkpoints]:
    """Makes the run folder, or takes up that of a resumed run; sets the start state.

    Nothing of a resumed run is touched before it is certain that it can go on.
    """
    facts = facts_of(task, trainer.strategy)
    if options.resume is None:
        prefix = run_prefix(options)
        folder = make_run_folder(Path(options.out), name=options.name, prefix=prefix)
    else:
        folder = Path(options.resume)
        known = (folder / MANIFEST_FILE).exists()
        before = read_manifest(folder) if known else facts
        require(
            before["data_fingerprint"] == facts["data_fingerprint"],
            f"the run {folder} was trained on other images ({before['data']}); the "
            "data options must select the same images",
            images=task.data.origin,
        )
    checkpoints = Checkpoints(
        folder / CHECKPOINTS,
        model=trainer.model,
        optimizer=trainer.optimizer,
        step=trainer.step,
        **{f"{name}_at_most": bound for name, bound in trainer.at_most.items()},
        history=history,
    )
    # Where the start state comes from:
    # 1. --resume: the newest readable checkpoint of that run;
    # 2. scratch, from the seed: a new run, or one without a checkpoint yet.
    if checkpoints.last_step is not None:
        taken = Path(checkpoints.restore()).name
        done = int(trainer.step.numpy())
        require(
            done <= steps,
            f"train.steps must be at least the {done} steps already done by {folder}",
            steps=steps,
        )
        for reason in checkpoints.passed_over:
            console.print(f"Damaged:  {reason}; resuming from {taken}, which is older")
    if options.resume is not None and options.name not in (None, folder.resolve().name):
        folder = make_run_folder(folder.parent, name=options.name, prefix="")
        if checkpoints.last_step is not None:
            checkpoints.move_to(folder / CHECKPOINTS)
            checkpoints.save(int(trainer.step.numpy()))
            history.write(folder / HISTORY_FILE)
    store(folder, options, facts)
    return folder, checkpoints


def _state(step: int, *, run: Run) -> str:
    """How a run stands: lowest loss since the last report, learning rate, passes."""
    shown, pending = run.trainer.shown, run.history.pending
    if shown in pending:
        loss = np.min(pending[shown]) / pending["steps"]
    else:  # a report has just taken the sums
        loss = np.min(run.history.rows[-1][shown])
    rate = float(run.trainer.optimizer.learning_rate)
    shown = f"{loss:.2f}" if abs(loss) >= 0.1 else f"{loss:.5f}"
    return f"loss {shown}, lr {rate:.1e}, pass {run.passes.done(step):.1f}"


def _what_is_kept(folder: Path, checkpoints: Checkpoints) -> str:
    if checkpoints.last_step is None:
        return "no checkpoint was saved"
    return f"resume {folder} to continue from step {checkpoints.last_step}"


def _begin(
    options: RunOptions,
    task: Task,
    build_backbone: Callable[[], keras.Model],
    strategy: tf.distribute.Strategy,
    stop: Stop,
) -> tuple[Run, Checkpoints]:
    """Plans the run, builds its network and opens its folder."""
    passes = _checked_plan(options, task, build_backbone, strategy).passes
    trainer = _build_trainer(options, task, build_backbone, strategy, passes=passes)
    history = History()
    folder, checkpoints = _open_run(
        options, task, trainer, history, steps=len(passes.number)
    )
    start = int(trainer.step.numpy())
    run = Run(options, folder, trainer, history, passes, start, Stopwatch(), stop)
    return run, checkpoints


def _events(
    run: Run, task: Task, checkpoints: Checkpoints, training: Training
) -> list[Event]:
    """All that happens every so often, in its order.

    Reports see what was done before them, what is saved includes both, and what is
    printed has been saved.
    """
    options, history = run.options, run.history
    callbacks = task.callbacks(run)
    k = "" if "k" in UNUSED[options.task] else f", k = {options.k}"
    curve = LearningCurve(
        run.folder / CURVE_FILE,
        title=f"{run.folder.name}: {options.graph.name}{k}",
        window=options.report.window == "auto",
    )
    events = EventFiles(run.folder) if options.report.tensorboard else None
    closed: list[int] = []  # when nobody read any more what is printed

    def report(step: int) -> None:
        row: Row = {
            "step": step,
            "seconds": round(history.seconds, 3),
            "passes": run.passes.done(step),
            **callbacks.report(history.take(), step),
        }
        for action in callbacks.on_report:
            action(row)
        history.rows.append(row)
        history.write(run.folder / HISTORY_FILE)
        with attempted(curve.path.name):
            curve.update(history.rows)
        if events is not None:
            rate = float(run.trainer.optimizer.learning_rate)
            with attempted(FOLDER):
                plots = {curve.path.stem: curve.path}
                events.write({**row, "learning_rate": rate}, plots, step=step)

    def say(step: int) -> None:
        training.report(step, history.rows[-1]["words"])
        if console.closed and not closed:
            closed.append(step)
            history.rows[-1]["remarks"].append({"step": step, "output": "closed"})
            history.write(run.folder / HISTORY_FILE)

    return [
        *callbacks.before_report,
        Event(options.report.every, run.watch.time("reports")(report), at_end=True),
        *callbacks.after_report,
        Event(
            options.report.checkpoint_every,
            run.watch.time("checkpoints")(checkpoints.save),
            at_end=True,
            at_stop=True,
        ),
        Event(options.report.every, say, at_end=True),
    ]


def train(
    options: RunOptions,
    task: Task,
    *,
    build_backbone: Callable[[], keras.Model],
    strategy: tf.distribute.Strategy,
    stop: Stop | None = None,
    on_start: Callable[[Path, Any, int], None] = lambda *_: None,
    on_prepared: Callable[[Path, Any], None] = lambda *_: None,
) -> Trained:
    """Trains to the end, or until told to stop.

    Args:
        options: All options of the run; ``time_limit`` has been heeded before, by
            ``plan_steps``.
        task: What is trained.
        build_backbone: Builds the backbone, called in the strategy's scope.
        strategy: Where the steps run.
        stop: Its ``received`` tells when to stop; never if None.
        on_start: Called once before the first step with the run folder, the model and
            the first step.
        on_prepared: Called with the run folder and the prepared task before the first
            step.

    Raises:
        UserError: If options and data do not fit together, or a resumed run does not
            fit them.
        RunError: If memory or the disk is full; the last checkpoint stays.
        NonFiniteLoss: If a loss or the gradient is NaN or infinite; the last checkpoint
            stays.
    """
    with _reproducible(options.train.precision):
        run, checkpoints = _begin(
            options, task, build_backbone, strategy, stop or Stop()
        )
        on_start(run.folder, run.model, run.start)
        if run.options.data.neighbours:
            with run.watch.time("neighbours"), at_work("finding neighbours"):
                task = task.prepare(run.options)
                on_prepared(run.folder, task)
        _train(run, task, checkpoints, strategy)
    step = int(run.trainer.step.numpy())
    return Trained(
        run.model,
        run.folder,
        step,
        step if run.stop.finished else run.steps,
        run.history.seconds,
        run.history.chosen,
        run.watch,
        task,
    )


def _train(
    run: Run,
    task: Task,
    checkpoints: Checkpoints,
    strategy: tf.distribute.Strategy,
) -> None:
    """Trains from the first step on, see ``train``."""
    batches = task.batches(run.options, run.passes, start=run.start)
    training = Training(
        steps=run.steps,
        start=run.start,
        images_per_step=run.passes.batch * (1 + run.options.data.repeats),
        state=partial(_state, run=run),
        report_every=run.options.report.every,
    )
    events = _events(run, task, checkpoints, training)
    try:
        with training, run.watch.time("steps"):
            train_loop(
                run.trainer,
                iter(strategy.experimental_distribute_dataset(batches)),
                run.history,
                steps=run.steps,
                steps_per_call=run.options.train.steps_per_call,
                events=events,
                on_call=training.advance,
                stop=run.stop,
            )
    except NonFiniteLoss as error:
        kept = _what_is_kept(run.folder, checkpoints)
        hint = ", for example with a lower train.learning_rate"
        hint *= checkpoints.last_step is not None
        raise NonFiniteLoss(f"{error}; {kept}{hint}") from None
    except Exception as error:
        if (words := failure_words(error)) is None:
            raise
        kept = _what_is_kept(run.folder, checkpoints)
        raise RunError(f"{words}; {kept}") from error
