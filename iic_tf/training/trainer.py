"""The training step and the inner loop: steps on the device, a dict comes back.

Each step forwards the originals in one pass and all perturbed copies in another, each
with batch statistics of its own as the authors do, takes the joint of every sub-head
over all copies and replicas, and follows the gradient of the mean loss of the
sub-heads (of main plus aux heads, where both train).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from iic_tf.distribute import num_replicas, sum_over_replicas
from iic_tf.models.networks import ClusterIIC, SegmentIIC
from iic_tf.options import Lambda, TrainOptions

BANKS = ("main", "aux")


class NonFiniteLoss(ArithmeticError):
    """A loss or the gradient became NaN or infinite; the message says where."""


@dataclass(frozen=True)
class Schedule:
    """What changes from step to step, one row per step of the run.

    Attributes:
        lamb: λ of the main and the aux heads, shape ``(steps, 2)``.
        weight: 1 where a bank trains and 0 where it rests, shape ``(steps, 2)``. The
            gradient of a resting bank is zero; as in the authors' code Adam's momentum
            carries it on for some tens of steps.
        start: Share of the loss that is cross-entropy with groups found before
            training, shape ``(steps,)``; the rest is that of IIC.
    """

    lamb: np.ndarray
    weight: np.ndarray
    start: np.ndarray


def make_schedule(
    options: TrainOptions, *, kind: np.ndarray, start_steps: int = 0
) -> Schedule:
    """Tabulates λ, the order of heads, and how the start gives way to IIC.

    Args:
        options: ``lamb``, ``lamb_aux`` and ``order`` are read.
        kind: For each step, which of ``order`` its pass is, shape ``(steps,)``.
        start_steps: Steps at the beginning that only learn groups found before.
    """
    steps = np.arange(len(kind))
    share = steps / len(kind)

    def course(lamb: Lambda) -> np.ndarray:
        points = lamb if isinstance(lamb, list) else [(0.0, lamb)]
        at, values = zip(*points, strict=True)
        return np.interp(share, at, values)

    trained = [[bank in heads.split("+") for bank in BANKS] for heads in options.order]
    lamb_aux = 1.0 if options.lamb_aux is None else options.lamb_aux
    return Schedule(
        lamb=np.stack([course(options.lamb), course(lamb_aux)], 1).astype("f4"),
        weight=np.asarray(trained, "f4")[kind],
        start=(steps < start_steps).astype("f4"),
    )


def make_optimizer(options: TrainOptions, *, steps: int) -> keras.optimizers.Optimizer:
    """Adam with the authors' β and ε (1e-8), and the learning rate's course.

    Args:
        options: Learning rate, warm-up, decay and drops are read.
        steps: Steps of the run, over which a cosine falls to zero.
    """
    # Always a schedule: a plain number would be a variable, and a checkpoint's number
    # would go over the one that a resumed run asks for.
    rate: keras.optimizers.schedules.LearningRateSchedule
    if options.lr_drops:
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
    return keras.optimizers.Adam(rate, epsilon=1e-8)


class Trainer:
    """The inner loop: runs steps on the devices and returns their sums.

    Create it, and everything it is given, inside ``strategy.scope()``.

    Args:
        model: The network.
        optimizer: A Keras optimiser; it is built here, because a custom step under
            ``MirroredStrategy`` fails if the first step does it.
        strategy: Where the steps run.
        schedule: λ and head weights per step.
        losses: Losses of a batch: see ``tasks.objectives``.

    Attributes:
        step: Number of steps done, an int64 variable.
        lamb_at_most: Bound on λ of the main heads, a float variable; at first infinite.
    """

    def __init__(
        self,
        model: ClusterIIC | SegmentIIC,
        optimizer: keras.optimizers.Optimizer,
        strategy: tf.distribute.Strategy,
        *,
        schedule: Schedule,
        losses: Callable[..., dict],
    ):
        self.model = model
        self.optimizer = optimizer
        self.strategy = strategy
        self._losses = losses
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
        self.lamb_at_most = tf.Variable(
            np.inf, dtype=tf.float32, trainable=False, name="lamb_at_most"
        )
        self._lamb = tf.constant(schedule.lamb)
        self._weight = tf.constant(schedule.weight)
        self._start = tf.constant(schedule.start)
        optimizer.build(model.trainable_variables)
        # A function of its own, so that the loop below traces the step only once.
        self._one_step = tf.function(self._step, autograph=False)
        self._loop = tf.function(self._run_steps, autograph=False)

    def _replica_step(
        self, batch: tuple, lamb: tf.Tensor, weight: tf.Tensor, start: tf.Tensor
    ) -> dict[str, Any]:
        with tf.GradientTape() as tape:
            results = self._losses(self.model, batch, lamb=lamb)
            parts = []
            for i, bank in enumerate(self.model.banks):
                part = weight[i] * tf.reduce_mean(results[bank]["loss"])
                if "cross_entropy" in results[bank]:
                    learned = tf.reduce_mean(results[bank].pop("cross_entropy"))
                    part = (1 - start) * part + start * learned
                parts.append(part)
            total = tf.add_n(parts) / num_replicas()
        variables = self.model.trainable_variables
        gradients = tape.gradient(total, variables)
        self.optimizer.apply(gradients, variables)
        # the norms of all replicas' parts: one that is not finite shows in the sum
        norm = sum_over_replicas(tf.linalg.global_norm(gradients))
        return {**results, "gradient_norm": norm}

    def _step(self, iterator: Iterator) -> dict[str, Any]:
        lamb_main, lamb_aux = tf.unstack(self._lamb[self.step])
        lamb = tf.stack((tf.minimum(lamb_main, self.lamb_at_most), lamb_aux))
        per_replica = self.strategy.run(
            self._replica_step,
            args=(
                *(next(iterator), lamb),
                *(self._weight[self.step], self._start[self.step]),
            ),
        )
        self.step.assign_add(1)
        # every replica holds the joint and the losses of the whole batch
        return tf.nest.map_structure(
            lambda value: self.strategy.experimental_local_results(value)[0],
            per_replica,
        )

    def _run_steps(self, iterator: Iterator, num_steps: tf.Tensor) -> dict[str, Any]:
        def add_one(done: tf.Tensor, sums: dict) -> tuple[tf.Tensor, dict]:
            results = self._one_step(iterator)
            return done + 1, tf.nest.map_structure(tf.add, sums, results)

        # Spelled out: AutoGraph cannot convert a Python loop on Python 3.13.
        _, sums = tf.while_loop(
            lambda done, _: done < num_steps,
            add_one,
            (tf.constant(1), self._one_step(iterator)),
            parallel_iterations=1,
        )
        return sums

    @property
    def lamb(self) -> float:
        """λ of the main heads in the step done last."""
        planned = self._lamb[max(int(self.step.numpy()) - 1, 0), 0]
        return float(min(planned, self.lamb_at_most))

    def run(self, iterator: Iterator, num_steps: int) -> dict[str, np.ndarray]:
        """Trains for some steps.

        Args:
            iterator: Iterator over the distributed training batches.
            num_steps: At least 1.

        Returns:
            ``main_loss`` and ``aux_loss``, the mean loss of each sub-head over the
            steps in nats, shape ``(h,)``; ``main_joint`` and ``aux_joint``, the
            unnormalised joints summed over the steps, shape ``(h, k, k)``.

        Raises:
            NonFiniteLoss: If a loss or the gradient is NaN or infinite, naming head and
                steps.
        """
        first = int(self.step.numpy())
        sums = self._loop(iterator, tf.constant(num_steps))
        last = int(self.step.numpy())
        if last - first != num_steps:
            raise RuntimeError(f"asked for {num_steps} steps, {last - first} were done")
        results = {}
        for bank in self.model.banks:
            mean_loss = sums[bank]["loss"].numpy() / num_steps
            if not np.isfinite(mean_loss).all():
                head = int(np.flatnonzero(~np.isfinite(mean_loss))[0])
                raise NonFiniteLoss(
                    f"the loss of {bank} sub-head {head} became {mean_loss[head]} "
                    f"between steps {first + 1} and {last}"
                )
            results[f"{bank}_loss"] = mean_loss
            results[f"{bank}_joint"] = sums[bank]["joint"].numpy()
        # ReLU turns NaN into 0 on CPUs, so a broken backbone can have finite losses.
        if not np.isfinite(norm := sums["gradient_norm"].numpy()):
            raise NonFiniteLoss(
                f"the gradient became {norm} between steps {first + 1} and {last}, "
                "with the losses of all sub-heads still finite"
            )
        return results
