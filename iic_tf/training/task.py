"""What a task is to the rest of the program: a protocol of eight members.

A task is a file under ``iic_tf/tasks``. Everything else, from the loop to the files of
a run, is the same for all of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from iic_tf.augment.pairs import Passes
from iic_tf.options import Options
from iic_tf.report.console import Stopwatch
from iic_tf.training.checkpoints import History
from iic_tf.training.loop import Event
from iic_tf.training.trainer import Objective, Trainer

Row = dict[str, Any]
"""A report: ``step``, ``seconds``, ``passes``, ``words`` and whatever a task adds."""


@dataclass(frozen=True)
class TaskData:
    """What is trained on and evaluated, for messages, manifests and batch sizes.

    Attributes:
        origin: Where the examples came from, as text.
        examples: Those that train.
        scored_on: Which examples are evaluated, as text.
        evaluated: How many these are.
    """

    origin: str
    examples: Sequence[np.ndarray] | np.ndarray
    scored_on: str
    evaluated: int


@dataclass(frozen=True)
class Run:
    """A run that is going on, as a task's callbacks see it.

    Attributes:
        options: All options.
        folder: The run folder.
        trainer: The inner loop; its ``model`` is the network.
        history: Reports so far.
        passes: The passes of the run.
        start: The first step, not 0 after a resume.
        watch: Times what callbacks do.
    """

    options: Options
    folder: Path
    trainer: Trainer
    history: History
    passes: Passes
    start: int
    watch: Stopwatch

    @property
    def model(self) -> Any:
        """The network."""
        return self.trainer.model

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return len(self.passes.number)


@dataclass(frozen=True)
class Callbacks:
    """What a task does while a run goes on, beside training.

    Attributes:
        before_report: Events that happen before the report of the same step.
        on_report: Called with each report before it is stored; may add to it.
        after_report: Events that happen after it.
    """

    before_report: Sequence[Event] = ()
    on_report: Sequence[Callable[[Row], None]] = ()
    after_report: Sequence[Event] = ()


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
        task: What was trained, with all that was found out before the first step.
    """

    model: Any
    folder: Path
    step: int
    steps: int
    seconds: float
    lowest: int
    watch: Stopwatch
    task: "Task"


@dataclass(frozen=True)
class Outcome:
    """What a task made of a trained network.

    Attributes:
        summary: All numbers, plain, for summary.json.
        written: One line per file: its name and what it shows.
        tell: Prints the results.
        degenerate: Whether even the best sub-head found no useful clusters.
    """

    summary: dict[str, Any]
    written: list[str] = field(default_factory=list)
    tell: Callable[[], None] = lambda: None
    degenerate: bool = False


class Task(Protocol):
    """What can be trained."""

    @property
    def data(self) -> TaskData:
        """What is trained on and evaluated."""

    def plan(self, options: Options) -> Passes:
        """The passes of a run; raises UserError if options and data clash."""

    def material(self, options: Options) -> Sequence[np.ndarray] | np.ndarray:
        """All that training depends on, to tell it from other data."""

    def memory(
        self, build_backbone: Callable[[], keras.Model], options: Options, *, batch: int
    ) -> dict[str, int]:
        """Bytes that a run needs at least, by what they are for."""

    def build(self, backbone: keras.Model, options: Options) -> keras.Model:
        """The network of a run on a backbone."""

    def prepare(self, options: Options) -> Any:
        """The same task with what is found out about its data before training."""

    def batches(
        self, options: Options, passes: Passes, *, start: int
    ) -> tf.data.Dataset:
        """Training batches from a step on."""

    def objective(self, options: Options, passes: Passes) -> Objective:
        """What is minimised."""

    def callbacks(self, run: Run) -> Callbacks:
        """What happens while a run goes on, beside training."""

    def report(self, run: Run, sums: dict[str, np.ndarray], *, step: int) -> Row:
        """A row of what was logged since the last report, with sentences."""

    def finish(self, trained: Trained, options: Options) -> Outcome:
        """Evaluates the network and writes the files of the results."""
