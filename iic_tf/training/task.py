"""What a task is to the rest of the program: a protocol of ten members.

A task is a file under ``iic_tf/tasks``. Everything else, from the loop to the files of
a run, is the same for all of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from iic_tf.augment.pairs import Passes, plan_passes
from iic_tf.evaluation.results import Choice
from iic_tf.report.console import Stopwatch
from iic_tf.resolved import RunOptions
from iic_tf.training.checkpoints import History
from iic_tf.training.loop import Event, Stop
from iic_tf.training.trainer import Objective, Trainer

Row = dict[str, Any]
"""A report: ``step``, ``seconds``, ``passes``, ``words`` and whatever a task adds."""


@dataclass(frozen=True)
class TaskData:
    """What is trained on and evaluated.

    Attributes:
        origin: Where the examples came from, for messages.
        examples: Those that train.
        material: All that training depends on, to tell it from other data.
        shape: What the network sees of an example; None for any height and width.
        scored_on: Which examples are evaluated, for every print-out of a score.
        evaluated: How many these are.
        neighbour_share: Share of the views that show a neighbour, if there are any.
        mapped_elsewhere: Whether clusters are mapped to classes on other examples than
            those evaluated.
    """

    origin: str
    examples: Sequence[np.ndarray] | np.ndarray
    material: Sequence[np.ndarray] | np.ndarray
    shape: tuple[int | None, ...]
    scored_on: str
    evaluated: int
    neighbour_share: float = 0.0
    mapped_elsewhere: bool = False

    def scored_at_reports(self, options: RunOptions) -> tuple[int, str]:
        """How many examples are scored at a report, and which these are.

        Args:
            options: ``report.images`` is read.
        """
        number = min(options.report.images, self.evaluated)
        if number == self.evaluated:
            return number, self.scored_on
        return number, f"{number:,} images of {self.scored_on}"


@dataclass(frozen=True)
class Plan:
    """What a run will do, worked out before anything is allocated.

    Attributes:
        passes: Which examples each step sees.
        memory: Takes what builds the backbone; tells the bytes that a run needs at
            least, by what they are for.
    """

    passes: Passes
    memory: Callable[[Callable[[], keras.Model]], dict[str, int]]

    @classmethod
    def of(
        cls,
        options: RunOptions,
        sizes: Sequence[int],
        memory: Callable[..., dict[str, int]],
        *,
        batch: int,
    ) -> "Plan":
        """The plan of a run as long as the options say.

        Args:
            options: ``train`` and ``data.shuffle`` are read.
            sizes: Examples that each kind of pass goes over.
            memory: Takes what builds the backbone, ``options`` and ``batch``.
            batch: Examples per step.
        """
        passes = plan_passes(
            sizes,
            batch=batch,
            steps=options.train.steps,
            epochs=options.train.epochs,
            shuffle=options.data.shuffle,
        )
        return cls(passes, partial(memory, options=options, batch=batch))


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
        stop: Its ``finished`` ends the run.
    """

    options: RunOptions
    folder: Path
    trainer: Trainer
    history: History
    passes: Passes
    start: int
    watch: Stopwatch
    stop: Stop = field(default_factory=Stop)

    @property
    def model(self) -> Any:
        """The network."""
        return self.trainer.model

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return len(self.passes.number)

    @property
    def steps_per_pass(self) -> int:
        """Steps in a pass over the examples, on average over the kinds of passes."""
        sizes = self.passes.sizes
        return sum(sizes) // len(sizes) // self.passes.batch


@dataclass(frozen=True)
class Callbacks:
    """What a task does while a run goes on, beside training.

    Attributes:
        report: Takes the sums of what was logged since the last report and the step;
            gives a row with sentences in ``words``.
        on_report: Called with each report before it is stored; may add to it.
        before_report: Events that happen before the report of the same step.
        after_report: Events that happen after it.
    """

    report: Callable[[dict[str, np.ndarray], int], Row]
    on_report: Sequence[Callable[[Row], None]] = ()
    before_report: Sequence[Event] = ()
    after_report: Sequence[Event] = ()


@dataclass(frozen=True)
class Trained:
    """What a run leaves in memory.

    Attributes:
        model: The network after the last step.
        folder: The run folder.
        step: Steps done.
        steps: Steps of the whole run; more than ``step`` if it was stopped.
        seconds: Training time, over all resumes.
        lowest: The main sub-head with the lowest loss at the last report; None if there
            was no training.
        watch: What the time since the start or the last resume went into.
        task: What was trained, with all that was found out before the first step.
    """

    model: Any
    folder: Path
    step: int
    steps: int
    seconds: float
    lowest: int | None
    watch: Stopwatch
    task: "Task"


@dataclass(frozen=True)
class Evaluation:
    """What results are of.

    Attributes:
        model: The network.
        title: First words of every heading.
        scored_on: Which examples are evaluated.
        overlays: Whether label maps are also drawn over their images.
    """

    model: Any
    title: str
    scored_on: str
    overlays: bool = False


@dataclass(frozen=True)
class Outcome:
    """What a task wrote of its results.

    Attributes:
        summary: All numbers, plain, for summary.json.
        written: One line per file: its name and what it shows.
        tell: Prints the results.
    """

    summary: dict[str, Any]
    written: list[str] = field(default_factory=list)
    tell: Callable[[], None] = lambda: None


class Task(Protocol):
    """What can be trained: ten members."""

    @property
    def data(self) -> TaskData:
        """What is trained on and evaluated."""

    def plan(self, options: RunOptions) -> Plan:
        """Passes and memory of a run; raises UserError if options and data clash."""

    def build(self, backbone: keras.Model, options: RunOptions) -> keras.Model:
        """The network of a run on a backbone."""

    def prepare(self, options: RunOptions) -> "Task":
        """The same task with what is found out about its data before training."""

    def batches(
        self, options: RunOptions, passes: Passes, *, start: int
    ) -> tf.data.Dataset:
        """Training batches from a step on."""

    def objective(self, options: RunOptions, passes: Passes) -> Objective:
        """What is minimised."""

    def callbacks(self, run: Run) -> Callbacks:
        """Reports, and what else happens while a run goes on."""

    def evaluate(
        self,
        model: Any,
        options: RunOptions,
        *,
        choice: Choice | None = None,
        lowest: int | None = None,
        trained: bool = False,
    ) -> Any:
        """Evaluates a network; raises UserError if it does not take these examples.

        Args:
            model: The network.
            options: Of the run or of the evaluation.
            choice: The chosen sub-head, if it is chosen already.
            lowest: The sub-head with the lowest loss in training, if it is known.
            trained: Whether the run has just ended, so that the network may be mended.

        Returns:
            ``Results``, or what else ``write`` takes and has, as these do, ``mended``
            and ``degenerate``.
        """

    def write(
        self,
        folder: Path,
        results: Any,
        options: RunOptions,
        *,
        evaluation: Evaluation,
    ) -> Outcome:
        """Writes the files of results."""

    def draw_pairs(self, path: Path, options: RunOptions) -> None:
        """Draws examples beside what they are paired with at first."""
