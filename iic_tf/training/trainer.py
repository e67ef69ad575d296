"""The inner loop: steps on the devices; whatever a task logs comes back, summed.

The trainer knows no task. A task gives it an ``Objective``: a loss of a batch for each
kind of pass, and scalars that change from step to step.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from iic_tf.distribute import num_replicas, sum_over_replicas
from iic_tf.options import TrainOptions
from iic_tf.training.optimizers import make_optimizer_by_name, make_schedule

Loss = Callable[[Any, Any, Mapping[str, tf.Tensor]], tuple[tf.Tensor, dict[str, Any]]]
"""Takes the model, a batch and the scheduled scalars of the step; gives the loss, a
scalar, and what is logged: tensors by name that hold the same on every replica."""


class NonFiniteLoss(ArithmeticError):
    """A loss or the gradient became NaN or infinite; the message says where."""


@dataclass(frozen=True)
class Objective:
    """What is minimised.

    Attributes:
        losses: For each kind of pass, the loss of a batch. All log the same.
        scheduled: Scalars by name, one value per step, float32, each ``(steps,)``.
        bounded: Names of those that can be bounded from above while a run goes on.
        kind: For each step which of ``losses`` it is of, ``(steps,)``; None for the
            first throughout.
        shown: Name of the log, a loss, that progress lines show the least of.
        rates: Takes the model; gives for each of its trainable variables the learning
            rate as a multiple of the run's. None where that is 1 for all.
    """

    losses: tuple[Loss, ...]
    scheduled: dict[str, np.ndarray] = field(default_factory=dict)
    bounded: tuple[str, ...] = ()
    kind: np.ndarray | None = None
    shown: str = "loss"
    rates: Callable[[Any], list[float]] | None = None


def make_optimizer(options: TrainOptions, *, steps: int) -> keras.optimizers.Optimizer:
    """The optimiser with its learning rate's course; Adam with the authors' β and ε.

    Args:
        options: Optimiser, weight decay, learning rate, warm-up, decay, drops and
            schedule are read.
        steps: Steps of the run, over which a cosine falls to zero.

    Raises:
        UserError: If the optimiser or the schedule is none of Keras's, or does not take
            its arguments.

    Examples:
        >>> from iic_tf.options import TrainOptions
        >>> from iic_tf.training.trainer import make_optimizer
        >>> options = TrainOptions(learning_rate=0.1, warmup_steps=10)
        >>> optimizer = make_optimizer(options, steps=100)
        >>> type(optimizer).__name__, optimizer.epsilon
        ('Adam', 1e-08)
        >>> float(optimizer.learning_rate)  # it has yet to warm up
        0.0
    """
    # Always a schedule: a plain number would be a variable, and a checkpoint's number
    # would go over the one that a resumed run asks for.
    rate: keras.optimizers.schedules.LearningRateSchedule
    if options.schedule is not None:
        rate = make_schedule(
            options.schedule,
            options.schedule_args,
            learning_rate=options.learning_rate,
            steps=steps,
        )
    elif options.lr_drops:
        values = [
            options.learning_rate * options.lr_drop_factor**i
            for i in range(len(options.lr_drops) + 1)
        ]
        rate = keras.optimizers.schedules.PiecewiseConstantDecay(
            options.lr_drops, values
        )
    else:
        warmup = min(options.warmup_steps, steps - 1)
        rate = keras.optimizers.schedules.CosineDecay(
            0.0 if warmup else options.learning_rate,
            steps - warmup,
            alpha=0.0 if options.decay == "cosine" else 1.0,
            warmup_target=options.learning_rate if warmup else None,
            warmup_steps=warmup,
        )
    return make_optimizer_by_name(options, rate)


class OptimizerOfParts(tf.Module):
    """An optimiser for each learning rate, where parts of a network have their own.

    Args:
        make: Takes a multiple of the run's learning rate; gives an optimiser.
        rates: The multiple of each variable, in their order.

    Attributes:
        optimizers: One for each multiple, the largest first.
    """

    def __init__(
        self, make: Callable[[float], keras.optimizers.Optimizer], rates: list[float]
    ):
        super().__init__()
        distinct = sorted(set(rates), reverse=True)
        self._which = [distinct.index(rate) for rate in rates]
        self.optimizers = [make(rate) for rate in distinct]

    @property
    def learning_rate(self) -> Any:
        """The largest one."""
        return self.optimizers[0].learning_rate

    def _parts(self, values: Sequence[Any]) -> list[list[Any]]:
        """What belongs to each optimiser."""
        return [
            [
                value
                for value, mine in zip(values, self._which, strict=True)
                if mine == i
            ]
            for i in range(len(self.optimizers))
        ]

    def build(self, variables: Sequence[Any]) -> None:
        """Makes the moments of all variables."""
        for optimizer, part in zip(
            self.optimizers, self._parts(variables), strict=True
        ):
            optimizer.build(part)

    def apply(self, gradients: Sequence[Any], variables: Sequence[Any]) -> None:
        """Takes a step."""
        for optimizer, slopes, part in zip(
            self.optimizers,
            self._parts(gradients),
            self._parts(variables),
            strict=True,
        ):
            optimizer.apply(slopes, part)


def _in_words(name: str) -> str:
    """What a log is called in messages: "main sub-head" of ``main_loss``."""
    bank = name.removesuffix("_loss")
    return "" if bank in ("loss", "") else f" of {bank} sub-head"


class Trainer:
    """Runs steps on the devices and returns the sums of what is logged.

    Create it, and everything it is given, inside ``strategy.scope()``.

    Args:
        model: The network.
        optimizer: A Keras optimiser; it is built here, because a custom step under
            ``MirroredStrategy`` fails if the first step does it.
        strategy: Where the steps run.
        objective: What is minimised.
        l2: What is added to the gradient of each weight, times that weight.

    Attributes:
        step: Number of steps done, an int64 variable.
        at_most: Bounds of scheduled scalars, float variables by name; at first
            infinite.
        shown: See ``Objective``.

    Examples:
        >>> from iic_tf import Trainer
        >>> from iic_tf.training.trainer import Objective
        >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        >>> def squares(model, batch, scalars):
        ...     loss = tf.reduce_mean((model(batch) - scalars["target"]) ** 2)
        ...     return loss, {"loss": loss}
        >>> targets = np.full(20, 3.0, np.float32)
        >>> objective = Objective((squares,), scheduled={"target": targets})
        >>> strategy = tf.distribute.OneDeviceStrategy("CPU:0")
        >>> with strategy.scope():
        ...     trainer = Trainer(model, keras.optimizers.SGD(0.2), strategy, objective)
        >>> batches = iter(tf.data.Dataset.from_tensors(tf.ones((4, 1))).repeat())
        >>> sums = trainer.run(batches, 20)
        >>> int(trainer.step), trainer.scheduled("target"), list(sums)
        (20, 3.0, ['loss'])
        >>> print(model(tf.ones((1, 1))).numpy().round(2))
        [[3.]]
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer | OptimizerOfParts,
        strategy: tf.distribute.Strategy,
        objective: Objective,
        *,
        l2: float = 0.0,
    ):
        self.model = model
        self._l2 = l2
        self.optimizer = optimizer
        self.strategy = strategy
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
        self.at_most = {
            name: tf.Variable(
                np.inf,
                dtype=objective.scheduled[name].dtype,
                trainable=False,
                name=f"{name}_at_most",
            )
            for name in objective.bounded
        }
        self._scheduled = {
            name: tf.constant(values) for name, values in objective.scheduled.items()
        }
        self._kind, self.shown = objective.kind, objective.shown
        optimizer.build(model.trainable_variables)
        # Functions of their own, so that a loop traces its step only once.
        steps = [
            tf.function(partial(self._step, loss), autograph=False)
            for loss in objective.losses
        ]
        self._loops = [
            tf.function(partial(self._run_steps, step), autograph=False)
            for step in steps
        ]

    def _replica_step(
        self, loss: Loss, batch: Any, scalars: dict[str, tf.Tensor]
    ) -> dict[str, Any]:
        with tf.GradientTape() as tape:
            value, logs = loss(self.model, batch, scalars)
            value /= num_replicas()
        variables = self.model.trainable_variables
        # what rests has a gradient of zero; as in the authors' code Adam's momentum
        # carries it on for some tens of steps
        gradients = [
            tf.zeros_like(variable) if gradient is None else gradient
            for gradient, variable in zip(
                tape.gradient(value, variables), variables, strict=True
            )
        ]
        if self._l2:
            share = self._l2 / num_replicas()  # replicas add up their gradients
            pairs = zip(gradients, variables, strict=True)
            gradients = [gradient + share * weight for gradient, weight in pairs]
        self.optimizer.apply(gradients, variables)
        # the norms of all replicas' parts: one that is not finite shows in the sum
        norm = sum_over_replicas(tf.linalg.global_norm(gradients))
        return {**logs, "gradient_norm": norm}

    def _step(self, loss: Loss, iterator: Iterator) -> dict[str, Any]:
        scalars = {name: row[self.step] for name, row in self._scheduled.items()}
        for name, bound in self.at_most.items():
            scalars[name] = tf.minimum(scalars[name], bound)
        per_replica = self.strategy.run(
            partial(self._replica_step, loss), args=(next(iterator), scalars)
        )
        self.step.assign_add(1)
        # every replica logs what holds for the whole batch
        return tf.nest.map_structure(
            lambda value: self.strategy.experimental_local_results(value)[0],
            per_replica,
        )

    def _run_steps(
        self, one_step: Callable, iterator: Iterator, num_steps: tf.Tensor
    ) -> dict[str, Any]:
        def add_one(done: tf.Tensor, sums: dict) -> tuple[tf.Tensor, dict]:
            results = one_step(iterator)
            return done + 1, tf.nest.map_structure(tf.add, sums, results)

        # Spelled out: AutoGraph cannot convert a Python loop on Python 3.13.
        _, sums = tf.while_loop(
            lambda done, _: done < num_steps,
            add_one,
            (tf.constant(1), one_step(iterator)),
            parallel_iterations=1,
        )
        return sums

    def scheduled(self, name: str) -> float:
        """A scheduled scalar as it was in the step done last."""
        planned = self._scheduled[name][max(int(self.step.numpy()) - 1, 0)]
        bound = self.at_most.get(name)
        return float(planned if bound is None else min(planned, bound))

    def _parts(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Runs of steps of one kind: the kind and how many, from a step on."""
        if self._kind is None:
            yield 0, last - first
            return
        kinds = self._kind[first:last]
        cuts = np.flatnonzero(np.diff(kinds)) + 1
        for part in np.split(kinds, cuts):
            yield int(part[0]), len(part)

    def run(self, iterator: Iterator, num_steps: int) -> dict[str, np.ndarray]:
        """Trains for some steps.

        Args:
            iterator: Iterator over the distributed training batches.
            num_steps: At least 1.

        Returns:
            What the objective logs by name, summed over the steps, float64.

        Raises:
            NonFiniteLoss: If a loss or the gradient is NaN or infinite, naming head and
                steps.
        """
        first = int(self.step.numpy())
        sums: dict[str, np.ndarray] = {}
        for kind, number in self._parts(first, first + num_steps):
            found = self._loops[kind](iterator, tf.constant(number))
            for name, value in found.items():
                sums[name] = sums.get(name, 0.0) + value.numpy().astype(np.float64)
        last = int(self.step.numpy())
        if last - first != num_steps:
            raise RuntimeError(f"asked for {num_steps} steps, {last - first} were done")
        for name, value in sums.items():
            if name.endswith("loss") and not np.isfinite(value).all():
                of_heads = np.atleast_1d(value) / num_steps
                head = int(np.flatnonzero(~np.isfinite(of_heads))[0])
                whose = _in_words(name)
                raise NonFiniteLoss(
                    f"the loss{whose}{f' {head}' if whose else ''} became "
                    f"{of_heads[head]} between steps {first + 1} and {last}"
                )
        # ReLU turns NaN into 0 on CPUs, so a broken backbone can have finite losses.
        if not np.isfinite(norm := sums.pop("gradient_norm")):
            raise NonFiniteLoss(
                f"the gradient became {norm} between steps {first + 1} and {last}, "
                "with the losses of all sub-heads still finite"
            )
        return sums
