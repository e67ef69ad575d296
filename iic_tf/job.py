"""One clustering run, from images and a backbone to a trained model in a run folder.

Knows no data set and no backbone by name: it is given images, what is done to them, and
a function that builds the backbone.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf
import yaml

from iic_tf import actions
from iic_tf.checkpoints import Checkpoints, History, manifest, write_atomically
from iic_tf.console import Stopwatch, Training, at_work, console
from iic_tf.curves import LearningCurve
from iic_tf.estimate import check_memory, machine_memory
from iic_tf.failures import RunError, failure_words
from iic_tf.folders import (
    HISTORY_FILE,
    MANIFEST_FILE,
    OPTIONS_FILE,
    make_run_folder,
    read_manifest,
)
from iic_tf.health import OFF_TRACK_SHARE
from iic_tf.inference import check_can_adapt
from iic_tf.loop import Event, StopSignal, train_loop
from iic_tf.names import plain, storable
from iic_tf.options import Options, as_plain, require, with_absolute_paths
from iic_tf.pipeline import Passes, plan_passes
from iic_tf.regroup import Regrouped
from iic_tf.train import NonFiniteLoss, Trainer, make_optimizer, make_schedule


class Task(Protocol):
    """What a run groups: images as wholes (``ClusterTask``) or pixels (``MapTask``)."""

    origin: str

    @property
    def neighbour_share(self) -> float:
        """Share of the copies that show a neighbour, if there are any."""

    @property
    def usual_steps(self) -> int:
        """Steps of a run where the user says neither steps nor passes."""

    @property
    def images(self) -> np.ndarray | Sequence[np.ndarray]:
        """Training images."""

    @property
    def words(self) -> str:
        """Which images are scored."""

    @property
    def num_evaluated(self) -> int:
        """Images that are scored."""

    @property
    def num_reported(self) -> int:
        """Of these, images scored at a report where the user does not say."""

    def check(self, options: Options) -> None:
        """Raises UserError if options and images clash."""

    def pass_sizes(self, options: Options) -> list[int]:
        """Images, or windows, that each kind of pass goes over."""

    def material(self, options: Options) -> Sequence[np.ndarray]:
        """All that training depends on, to tell it from other data."""

    def make_model(self, backbone: keras.Model, options: Options) -> Any:
        """The network of a run."""

    def memory(
        self, build_backbone: Callable[[], keras.Model], options: Options, *, batch: int
    ) -> dict[str, int]:
        """Bytes that a run needs at least, by what they are for."""

    def losses(self, options: Options) -> Callable[..., dict]:
        """Losses of a batch, for ``Trainer``."""

    def starts_from_groups(self, options: Options) -> bool:
        """Whether the first steps learn groups that were found before training."""

    def prepare(self, options: Options) -> Any:
        """What is found out about the images before training, or None."""

    def batches(
        self, options: Options, passes: Passes, *, start: int, prepared: Any
    ) -> tf.data.Dataset:
        """Training batches from a step on."""

    def regroup(self, model: Any, options: Options, *, prepared: Any) -> Regrouped:
        """Lets main sub-heads start anew from what the auxiliary ones have found."""

    def predict(self, model: Any, *, batch_statistics: bool = False) -> Callable:
        """Compiles inference, for scorers."""

    def scorer(
        self, model: Any, options: Options, *, at_most: int | None = None
    ) -> Any | None:
        """Scores the evaluation images by the protocol; None without labels."""

    def events(
        self,
        options: Options,
        folder: Path,
        model: Any,
        history: History,
        *,
        passes: Passes,
        start: int,
        watch: Stopwatch,
    ) -> list[Event]:
        """Pictures that are drawn on request while a run goes on."""


@dataclass(frozen=True)
class Trained:
    """What a run leaves in memory.

    Attributes:
        model: The network after the last step.
        folder: The run folder.
        step: Steps done.
        steps: Steps asked for; more than ``step`` if the run was stopped.
        seconds: Training time, over all resumes.
        lowest: The main sub-head with the lowest loss at the last report.
        watch: What the time since the start or the last resume went into.
        prepared: What was found out about the images before training, or None.
    """

    model: Any
    folder: Path
    step: int
    steps: int
    seconds: float
    lowest: int
    watch: Stopwatch
    prepared: Any = None


def run_prefix(options: Options) -> str:
    """What a run is named after: the user's own images, else the recipe."""
    own = options.data.folder or options.data.array or options.data.images
    name = Path(own).expanduser().resolve().stem if own else options.data.recipe
    return plain(name or "run")


def _plan(options: Options, task: Task, *, replicas: int) -> Passes:
    """The passes of the run.

    Raises:
        UserError: If options and data clash.
    """
    batch = options.data.batch_for(len(task.images))
    require(
        batch % replicas == 0,
        f"data.batch must divide by the {replicas} devices",
        batch=batch,
    )
    task.check(options)
    return plan_passes(
        task.pass_sizes(options),
        batch=batch,
        steps=options.train.steps or 0,
        epochs=options.train.epochs,
        shuffle=options.data.shuffle,
    )


STEPS_SHARE = 0.7
"""Share of the time limit that steps may take; reading, neighbours, reports and results
take the rest."""

FEWEST_STEPS = 100
"""However slow the machine, so many steps are taken."""

TIMED_STEPS = 4
"""Steps that are timed to plan a run, after as many that are not."""


def plan_steps(
    options: Options,
    task: Task,
    build_backbone: Callable[[], keras.Model],
    strategy: tf.distribute.Strategy,
) -> tuple[int, float]:
    """Times a few steps and tells how many fit into the time limit.

    Args:
        options: ``time_limit`` is read, and ``train.steps`` for how many are enough.
        task: What is grouped.
        build_backbone: Builds the backbone.
        strategy: Where the steps run.

    Returns:
        Steps, a round number, and the seconds that one takes.
    """
    enough = options.train.steps or 0
    few = replace(options.train, steps=2 * TIMED_STEPS, epochs=None)
    timed = replace(options, train=few, data=replace(options.data, neighbours=0))
    passes = _plan(timed, task, replicas=strategy.num_replicas_in_sync)
    trainer = _build_trainer(timed, task, build_backbone, strategy, passes=passes)
    batches = task.batches(timed, passes, start=0, prepared=None)
    iterator = iter(strategy.experimental_distribute_dataset(batches))
    trainer.run(iterator, TIMED_STEPS)
    began = time.perf_counter()
    trainer.run(iterator, TIMED_STEPS)
    seconds = (time.perf_counter() - began) / TIMED_STEPS
    fit = STEPS_SHARE * 60 * (options.time_limit or 0) / seconds
    rounded = max(int(fit // FEWEST_STEPS) * FEWEST_STEPS, FEWEST_STEPS)
    return min(rounded, enough), seconds


def start_steps(options: Options, task: Task, *, steps: int) -> int:
    """Steps at the beginning that learn the groups found before training."""
    if not task.starts_from_groups(options):
        return 0
    # a whole number of the steps between regroupings, so that one ends the start
    every = options.train.regroup_every or steps
    share = (options.train.start or 0) * steps
    return min(round(share / every), (steps - 1) // every) * every or round(share)


def _build_trainer(
    options: Options,
    task: Task,
    build_backbone: Callable[[], keras.Model],
    strategy: tf.distribute.Strategy,
    *,
    passes: Passes,
) -> Trainer:
    # Seeds the start weights only; data and perturbations follow from (seed, step).
    keras.utils.set_random_seed(options.seed)
    # its rewritten sums come in another order in some processes, so a resumed run
    # would not end with the very weights of an uninterrupted one; it costs no time
    tf.config.optimizer.set_experimental_options({"arithmetic_optimization": False})
    keras.mixed_precision.set_global_policy(options.train.precision)
    with strategy.scope():
        model = task.make_model(build_backbone(), options)
        if options.report.adapt:
            check_can_adapt(model)  # to be told now, not when all is trained
        return Trainer(
            model,
            make_optimizer(options.train, steps=len(passes.number)),
            strategy,
            schedule=make_schedule(
                options.train,
                kind=passes.kind,
                start_steps=start_steps(options, task, steps=len(passes.number)),
            ),
            losses=task.losses(options),
        )


def _open_run(
    options: Options, task: Task, trainer: Trainer, history: History, *, steps: int
) -> tuple[Path, Checkpoints]:
    """Makes the run folder, or takes up that of a resumed run; sets the start state.

    Nothing of a resumed run is touched before it is certain that it can go on.
    """
    facts = manifest(
        devices=list(trainer.strategy.extended.worker_devices),
        origin=task.origin,
        images=task.images,
        material=task.material(options),
    )
    if options.resume is None:
        prefix = run_prefix(options)
        folder = make_run_folder(Path(options.out), name=options.name, prefix=prefix)
    else:
        folder = Path(options.resume)
        known = (folder / MANIFEST_FILE).exists()
        before = read_manifest(folder) if known else facts
        require(
            before["data_fingerprint"] == facts["data_fingerprint"],
            f"the run {folder} was trained on other images ({before['data']}); its "
            "data options must lead to the same ones",
            images=task.origin,
        )
    checkpoints = Checkpoints(
        folder / "checkpoints",
        model=trainer.model,
        optimizer=trainer.optimizer,
        step=trainer.step,
        lamb_at_most=trainer.lamb_at_most,
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
            f"train.steps must be at least the {done} steps that {folder} has done",
            steps=steps,
        )
        for reason in checkpoints.passed_over:
            console.print(f"Damaged:  {reason}; {taken}, which is older, is taken")
    stored = as_plain(with_absolute_paths(options))
    stored |= {"resume": None, "name": folder.name}
    stored["data"] = {
        name: storable(value) if isinstance(value, str) else value
        for name, value in stored["data"].items()
    }
    write_atomically(folder / OPTIONS_FILE, yaml.safe_dump(stored, sort_keys=False))
    write_atomically(folder / MANIFEST_FILE, json.dumps(facts, indent=2) + "\n")
    return folder, checkpoints


def _report_actions(
    options: Options,
    task: Task,
    folder: Path,
    *,
    model: Any,
    history: History,
) -> list[actions.Action]:
    """What happens at each report, in order; it is printed when all is saved."""
    chain: list[actions.Action] = []
    at_most = options.report.images or task.num_reported
    if scorer := task.scorer(model, options, at_most=at_most):
        words, by_batch = task.words, None
        if at_most < task.num_evaluated:
            words = f"{at_most:,} images of {words}"
        if options.report.double:
            by_batch = task.predict(model, batch_statistics=True)
        chain.append(actions.score(scorer, scored_on=words, batch_statistics=by_batch))
    curve = LearningCurve(
        folder / "learning_curve.png",
        title=f"{folder.name}: {options.graph.name}, k = {options.k}",
        window=options.report.window == "auto",
    )
    chain.append(actions.record(history, folder / HISTORY_FILE))
    chain.append(actions.draw_curve(history, curve))
    return chain


def _state(step: int, *, history: History, trainer: Trainer, passes: Passes) -> str:
    """How a run stands: lowest loss since the last report, learning rate, passes."""
    losses = history.pending.get("main_loss")
    if losses is not None:
        loss = losses.min() / history.pending["steps"]
    else:  # a report has just taken the sums
        loss = min(history.rows[-1]["main_loss"])
    rate = float(trainer.optimizer.learning_rate)
    return f"loss {loss:.2f}, rate {rate:.1e}, pass {passes.done(step):.1f}"


def _what_is_kept(folder: Path, checkpoints: Checkpoints) -> str:
    if checkpoints.last_step is None:
        return "no checkpoint had been saved"
    return f"--resume {folder} continues from step {checkpoints.last_step}"


def train(
    options: Options,
    task: Task,
    *,
    build_backbone: Callable[[], keras.Model],
    strategy: tf.distribute.Strategy,
    on_start: Callable[[Path, Any, int], None] = lambda *_: None,
    on_plan: Callable[[int, float], None] = lambda *_: None,
    on_prepared: Callable[[Path, Any], None] = lambda *_: None,
) -> Trained:
    """Trains to the end, or until Ctrl-C or SIGTERM.

    Args:
        options: All options of the run.
        task: What is grouped.
        build_backbone: Builds the backbone, called in the strategy's scope.
        strategy: Where the steps run.
        on_start: Called once before the first step with the run folder, the model and
            the first step.
        on_plan: Where there is a time limit, called with the steps that are planned and
            the seconds that one takes.
        on_prepared: Called with the run folder and what was found out about the images
            before the first step.

    Raises:
        UserError: If options and data do not fit together, or a resumed run does not
            fit them.
        RunError: If memory or the disk is full; the last checkpoint stays.
        NonFiniteLoss: If a loss or the gradient is NaN or infinite; the last checkpoint
            stays.
    """
    # From here on none of these is None: what follows an "or" is for the type checker.
    given, usual = options.train, task.usual_steps
    options = replace(options, train=given.filled(steps=usual))
    if "CPU" in strategy.extended.worker_devices[0]:  # GPUs have memory of their own
        batch = options.data.batch_for(len(task.images))
        estimate = partial(task.memory, build_backbone, options, batch=batch)
        check_memory(estimate, machine_memory())
    if options.time_limit and given.steps is None and given.epochs is None:
        with at_work("timing steps"):
            steps, seconds = plan_steps(options, task, build_backbone, strategy)
        on_plan(steps, seconds)
        options = replace(options, train=replace(given, steps=steps).filled())
    passes = _plan(options, task, replicas=strategy.num_replicas_in_sync)
    steps = len(passes.number)
    trainer = _build_trainer(options, task, build_backbone, strategy, passes=passes)
    history = History()
    folder, checkpoints = _open_run(options, task, trainer, history, steps=steps)
    start = int(trainer.step.numpy())
    on_start(folder, trainer.model, start)

    watch = Stopwatch()
    prepared = None
    if options.data.neighbours:
        with watch.time("neighbours"), at_work("finding neighbours"):
            prepared = task.prepare(options)
            on_prepared(folder, prepared)
    batches = task.batches(options, passes, start=start, prepared=prepared)
    training = Training(
        steps=steps,
        start=start,
        images_per_step=passes.batch * (1 + options.data.repeats),
        state=partial(_state, history=history, trainer=trainer, passes=passes),
    )
    chain = _report_actions(options, task, folder, model=trainer.model, history=history)

    def start_anew(step: int) -> dict[str, Any]:
        found = task.regroup(trainer.model, options, prepared=prepared)
        return {
            "step": step,
            "regrouped": found.information.tolist(),
            "sources": found.sources.tolist(),
            "refused": found.refused,
        }

    def start_anew_as_planned(step: int) -> None:
        if options.heads.aux and first_regrouping <= step <= last_regrouping:
            history.remarks.append(start_anew(step))

    first_regrouping = start_steps(options, task, steps=steps)
    last_regrouping = (options.train.regroup_to or 0) * steps
    if last_regrouping:  # a late start ends with one, too
        last_regrouping = max(last_regrouping, first_regrouping)

    def set_right(step: int, row: dict[str, Any]) -> dict[str, Any] | None:
        """What can be done for main sub-heads that know next to nothing, or lag."""
        if not row["off_track"]:
            # Before the last regrouping another one will come, and a report with one
            # in it is of two generations of sub-heads.
            late = options.heads.aux and 0 < last_regrouping < step < steps
            fresh = any("regrouped" in remark for remark in row["remarks"])
            if row["lagging"] and late and not fresh:
                best = int(np.argmax(row["main_information"]))
                trainer.model.main.reseed(row["lagging"], best)
                return {"step": step, "reseeded": row["lagging"], "source": best}
            return None
        if trainer.lamb > 1 and options.train.lower_lamb:
            trainer.lamb_at_most.assign(1.0)
            return {"step": step, "lamb_at_most": 1.0}
        knows = options.heads.aux and (
            max(row["aux_information"]) > OFF_TRACK_SHARE * row["aux_bound"]
        )
        if knows and last_regrouping > 0 and step < steps:
            return start_anew(step)
        return None

    def report(step: int) -> None:
        row = actions.make_row(
            history,
            step=step,
            passes=passes.done(step),
            start_steps=first_regrouping,
        )
        if remark := set_right(step, row):
            row["remarks"].append(remark)
            row["words"].append(actions.remark_words(remark))
        for action in chain:
            action(row)

    def say(step: int) -> None:
        actions.say(training, history.rows[-1])
        if console.closed and not closed:
            closed.append(step)
            history.rows[-1]["remarks"].append({"step": step, "output": "closed"})
            history.write(folder / HISTORY_FILE)

    closed: list[int] = []  # when nobody read any more what is printed

    # The order matters: reports see what was regrouped, what is saved includes both,
    # and what is printed has been saved.
    events = [
        Event(
            options.train.regroup_every or steps,
            watch.time("regrouping")(start_anew_as_planned),
        ),
        Event(options.report.every, watch.time("reports")(report), at_end=True),
        *task.events(
            options,
            folder,
            trainer.model,
            history,
            passes=passes,
            start=start,
            watch=watch,
        ),
        Event(
            options.report.checkpoint_every,
            watch.time("checkpoints")(checkpoints.save),
            at_end=True,
            at_stop=True,
        ),
        Event(options.report.every, say, at_end=True),
    ]
    try:
        with training, StopSignal() as stop, watch.time("steps"):
            train_loop(
                trainer,
                iter(strategy.experimental_distribute_dataset(batches)),
                history,
                steps=steps,
                steps_per_call=options.train.steps_per_call,
                events=events,
                on_call=training.advance,
                stop=stop,
            )
    except NonFiniteLoss as error:
        kept = _what_is_kept(folder, checkpoints)
        hint = ", for example with a lower --train.learning_rate"
        hint *= checkpoints.last_step is not None
        raise NonFiniteLoss(f"{error}; {kept}{hint}") from None
    except Exception as error:
        if (words := failure_words(error)) is None:
            raise
        kept = _what_is_kept(folder, checkpoints)
        raise RunError(f"{words}; {kept}") from error
    step = int(trainer.step.numpy())
    lowest = history.chosen
    return Trained(
        *(trainer.model, folder, step, steps, history.seconds, lowest, watch, prepared)
    )
