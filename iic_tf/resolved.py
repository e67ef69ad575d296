"""The options of a run with nothing left open, and how they come about.

What a person asks for (``Options``) may leave values open, as None or "auto".
``resolve`` fills them in, once, before anything is trained; from there on the engine
knows only the complete form, which is also what a run folder keeps. In it None means
"not used", as in a display that is off, never "to be chosen".
"""

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from iic_tf.errors import UserError
from iic_tf.options import (
    DataOptions,
    GraphOptions,
    HeadOptions,
    Lambda,
    Options,
    ReportOptions,
    TaskName,
    TrainOptions,
)
from iic_tf.tuned import REGROUP_TO, START

Precision = Literal["float32", "mixed_bfloat16"]

Part = TypeVar("Part")


def usual_batch(number: int, *, most: int = 500) -> int:
    """Images per step where nothing is said: a quarter of all, within bounds.

    Args:
        number: Training images.
        most: Where there are at least four times as many.
    """
    few = number // 4 // 8 * 8  # a number that several devices share
    least = min(8, max(number // 2 * 2, 2))  # fewer tell too little
    return most if number >= 4 * most else max(few, least)


@dataclass(frozen=True)
class Usual:
    """What stands where options are left open; it depends on recipe and images.

    Attributes:
        task: Name of the task.
        recipe: Name of the recipe; runs without a name are called after it.
        size: Side that images are brought to; None for those used as they are.
        channels: Channels that they are brought to, likewise.
        range: Values that are black and white; None for images of 8 bits.
        resize: Factor by which images are resized before segmentation.
        batch: Images, or crops, per step.
        neighbours: Nearest neighbours of each image; 0 is plain IIC.
        middle: Whether the middle of an image counts most where they are looked for.
        graph: Name of the backbone.
        least_k_aux: Clusters of each auxiliary sub-head are 5 k, at least these.
        steps: Training steps.
        regroup_every: Steps between regroupings; None for an eighth of the steps, at
            least 50.
        regroup_to: Fraction of the run after which regrouping ends.
        start: Fraction of the run that learns the clusters of the neighbour graph.
        lamb_aux: Weight of the marginal entropies in the loss of auxiliary heads.
        precision: Precision of the backbone.
        images: Images evaluated at each report.
        time_limit: Minutes that a run without a given length may take, or None.
    """

    task: TaskName = "cluster"
    recipe: str = "run"
    size: int | None = None
    channels: int | None = None
    range: tuple[float, float] | None = None
    resize: float = 1.0
    batch: int = 500
    neighbours: int = 0
    middle: bool = False
    graph: str = "own"
    least_k_aux: int = 0
    steps: int = 1600
    regroup_every: int | None = None
    regroup_to: float = REGROUP_TO
    start: float = START
    lamb_aux: Lambda = 1.0
    precision: Precision = "float32"
    images: int = 10_000
    time_limit: float | None = None


# field(), since a bare annotation would keep the default None of the class above


@dataclass(frozen=True, kw_only=True)
class RunData(DataOptions):
    """Data of a run. Places, sizes and the range are None where they do not apply."""

    recipe: str = field()
    resize: float = field()
    batch: int = field()
    neighbours: int = field()
    middle: bool = field()


@dataclass(frozen=True, kw_only=True)
class RunGraph(GraphOptions):
    """The backbone of a run."""

    name: str = field()


@dataclass(frozen=True, kw_only=True)
class RunHeads(HeadOptions):
    """The sub-heads of a run."""

    k_aux: int = field()


@dataclass(frozen=True, kw_only=True)
class RunTrain(TrainOptions):
    """How a run is trained. ``epochs`` is None where ``steps`` tells how long."""

    steps: int = field()
    regroup_every: int = field()
    regroup_to: float = field()
    start: float = field()
    lamb_aux: Lambda = field()
    precision: Precision = field()


@dataclass(frozen=True, kw_only=True)
class RunReport(ReportOptions):
    """Reports of a run. ``display`` and ``progression`` are None where they are off."""

    images: int = field()


@dataclass(frozen=True, kw_only=True)
class RunOptions(Options):
    """All options of a run, complete.

    ``name`` is None for the next free number, ``time_limit`` where there is none,
    ``resume`` for a new run.
    """

    task: TaskName = field()
    k: int = field()
    data: RunData = field()
    graph: RunGraph = field()
    heads: RunHeads = field()
    train: RunTrain = field()
    report: RunReport = field()

    @property
    def banks(self) -> dict[str, Any]:
        """Sizes of both banks of sub-heads, as a network's ``create`` takes them."""
        return {
            "k": self.k,
            "k_aux": self.heads.k_aux,
            "num_main": self.heads.main,
            "num_aux": self.heads.aux,
            "bias": self.heads.bias,
            "initializer": self.heads.start or "he_normal",
        }


def _filled(kind: type[Part], given: Any, **usual: Any) -> Part:
    """Options of a complete kind: as given, the usual value where one is left open."""
    values = {f.name: getattr(given, f.name) for f in dataclasses.fields(given)}
    for name, value in usual.items():
        if values[name] is None or values[name] == "auto":
            values[name] = value
    return kind(**values)


def resolve(options: Options, usual: Usual | None = None) -> RunOptions:
    """Options with nothing left open.

    Args:
        options: As given; what is stored of a run of an earlier version counts as
            given, too.
        usual: What stands where they are left open. Without it that of a run of whole
            images on a backbone of your own.

    Raises:
        UserError: If what was given clashes with what was not.
    """
    k = options.k
    if k == "auto":
        raise UserError("k must be a number here. Received: k='auto'")
    usual = usual or Usual()
    train = options.train
    steps = train.steps or usual.steps
    limit = options.time_limit or usual.time_limit
    parts: dict[str, Any] = {
        "task": options.task or usual.task,
        "k": k,
        # an explicit length needs no plan
        "time_limit": None if train.steps or train.epochs else limit,
        "data": _filled(
            RunData,
            options.data,
            recipe=usual.recipe,
            size=usual.size,
            channels=usual.channels,
            range=usual.range,
            resize=usual.resize,
            batch=usual.batch,
            neighbours=usual.neighbours,
            middle=usual.middle,
        ),
        "graph": _filled(RunGraph, options.graph, name=usual.graph),
        "heads": _filled(RunHeads, options.heads, k_aux=max(usual.least_k_aux, 5 * k)),
        "train": _filled(
            RunTrain,
            train,
            steps=steps,
            regroup_every=usual.regroup_every or max(steps // 8, 50),
            regroup_to=usual.regroup_to,
            start=usual.start,
            lamb_aux=usual.lamb_aux,
            precision=usual.precision,
        ),
        "report": _filled(RunReport, options.report, images=usual.images),
    }
    return RunOptions(**{**vars(options), **parts})
