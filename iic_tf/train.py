"""The training step and the inner loop: steps on the device, a dict comes back.

Each step forwards the originals in one pass and all perturbed copies in another, each
with batch statistics of its own as the authors do, takes the joint of every sub-head
over all copies and replicas, and follows the gradient of the mean loss of the
sub-heads (of main plus aux heads, where both train).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from iic_tf import losses
from iic_tf.distribute import num_replicas, sum_over_replicas
from iic_tf.models import ClusterIIC, SegmentIIC, at_features
from iic_tf.options import Lambda, TrainOptions
from iic_tf.warp import warp

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


def pair_losses(
    model: ClusterIIC,
    views: Sequence[tf.Tensor],
    *,
    lamb: tf.Tensor,
    groups: tf.Tensor | None = None,
    copies_alone: bool = False,
) -> dict[str, dict[str, tf.Tensor]]:
    """Losses and joints of all sub-heads for one batch, over all replicas.

    Args:
        model: The network.
        views: Originals, then r perturbed copies, each ``(n, height, width, c)``.
        lamb: λ of the main and the aux heads, shape ``(2,)``.
        groups: Where groups were found before training, that of each view for the main
            and for the aux heads, int32, shape ``(n, 1 + r, 2)``.
        copies_alone: Whether the groups are learned of copies, not of originals.

    Returns:
        For each bank of the model ``{"loss": (h,), "joint": (h, k, k)}``; the joint is
        unnormalised and summed over replicas. With ``groups`` also
        ``"cross_entropy"``, ``(h,)``, the mean over the views of this replica.
    """
    originals = model(views[0], training=True)
    copies = model(tf.concat(views[1:], axis=0), training=True)
    results = {}
    for i, bank in enumerate(model.banks):
        joint = losses.joint_distribution(
            originals[bank], tf.split(copies[bank], len(views) - 1)
        )
        joint = sum_over_replicas(joint)
        results[bank] = {"loss": losses.iic_loss(joint, lamb[i]), "joint": joint}
        if groups is not None:
            shown, named = copies[bank], tf.unstack(groups[..., i], axis=1)
            if copies_alone:
                named = named[1:]
            else:
                shown = tf.concat((originals[bank], shown), axis=0)
            entropy = losses.cross_entropy(shown, tf.concat(named, axis=0))
            results[bank]["cross_entropy"] = entropy
    return results


def grouped_pair_losses(
    model: ClusterIIC, batch: tuple, *, lamb: tf.Tensor, copies_alone: bool = False
) -> dict[str, dict[str, tf.Tensor]]:
    """As ``pair_losses``, of a batch of views and their groups."""
    views, groups = batch
    return pair_losses(
        model, views, lamb=lamb, groups=groups, copies_alone=copies_alone
    )


def map_losses(
    model: SegmentIIC,
    batch: tuple,
    *,
    lamb: tf.Tensor,
    reach: int,
    collapsed: bool = False,
    detached: bool = False,
    at_pixels: bool = True,
    training: bool = True,
) -> dict[str, dict[str, tf.Tensor]]:
    """Losses of all sub-heads for one batch of label maps, over all replicas.

    Args:
        model: The network.
        batch: Originals, copies, matrices and mask, as in
            ``map_pipeline.training_map_batches``.
        lamb: λ of the main and the aux heads, shape ``(2,)``.
        reach: T, the largest displacement along each axis, in pixels or features.
        collapsed: See ``losses.segmentation_joint``.
        detached: See ``losses.segmentation_loss``.
        at_pixels: Whether maps are compared pixel by pixel, as published, or at the
            coarser places of the features, which is cheaper.
        training: Whether batch normalisation uses the statistics of the batch.

    Returns:
        For each bank of the model ``{"loss": (h,), "joint": (h, k, k)}``; the joint is
        that of no displacement, or of all if collapsed, and summed over replicas.
    """
    originals, copies, matrices, mask = batch
    together = tf.concat(copies, axis=0)
    features = model.features(originals, training=training)
    features_of_copies = model.features(together, training=training)
    if not at_pixels:
        mask = at_features(mask, features)
    results = {}
    for i, (name, bank) in enumerate(model.banks.items()):
        first, second = bank(features), bank(features_of_copies)
        if at_pixels:
            first = model.to_pixels(first, originals)
            second = model.to_pixels(second, together)
        second = warp(second, tf.concat(matrices, axis=0))
        joints = losses.segmentation_joint(
            first,
            tf.add_n(tf.split(second, len(copies))),
            mask=mask,
            reach=reach,
            collapsed=collapsed,
        )
        joints = sum_over_replicas(joints)
        results[name] = {
            "loss": losses.segmentation_loss(joints, lamb[i], detached=detached),
            "joint": joints[:, joints.shape[1] // 2],
        }
    return results


class Trainer:
    """The inner loop: runs steps on the devices and returns their sums.

    Create it, and everything it is given, inside ``strategy.scope()``.

    Args:
        model: The network.
        optimizer: A Keras optimiser; it is built here, because a custom step under
            ``MirroredStrategy`` fails if the first step does it.
        strategy: Where the steps run.
        schedule: λ and head weights per step.
        losses: Losses of a batch: ``pair_losses``, or ``map_losses`` with its options.

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
        losses: Callable[..., dict] = pair_losses,
    ):
        self.model = model
        self.optimizer = optimizer
        self.strategy = strategy
        self._losses = losses
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
        self.lamb_at_most = tf.Variable(
            np.inf, dtype=schedule.lamb.dtype, trainable=False, name="lamb_at_most"
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
