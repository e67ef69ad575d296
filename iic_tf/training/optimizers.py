"""Optimisers, and courses of the learning rate, by the names of their Keras classes.

Whatever Keras has can be used, but for what wraps other optimisers or needs other
weights for evaluation than for training.
"""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from iic_tf.errors import require, require_known
from iic_tf.keras_classes import classes_of, make_object, refused
from iic_tf.options import TrainOptions

UNFIT = ("LossScaleOptimizer", "MultiOptimizer", "Optimizer", "ScheduleFreeAdamW")
"""Optimisers that the trainer does not work with: they wrap others, or average the
weights that are evaluated."""

OURS = ("learning_rate", "weight_decay", "name", "kwargs")
"""Arguments that other options set."""

NEED_FIT = ("use_ema", "ema_momentum", "ema_overwrite_frequency", "loss_scale_factor")
"""Arguments that do nothing, or harm, outside of ``keras.Model.fit``."""

OF_ONE_REPLICA = (
    *("clipnorm", "clipvalue", "global_clipnorm"),
    "gradient_accumulation_steps",
)
"""Arguments that work on each replica's part of a gradient, which is not what one
device would compute."""


def optimizer_classes() -> dict[str, Callable[..., Any]]:
    """Keras's optimisers by name.

    Examples:
        >>> from iic_tf.training.optimizers import optimizer_classes
        >>> optimizer_classes()["Adam"] is keras.optimizers.Adam
        True
    """
    found = classes_of(keras.optimizers, keras.optimizers.Optimizer)
    return {name: kind for name, kind in found.items() if name not in UNFIT}


def schedule_classes() -> dict[str, Callable[..., Any]]:
    """Keras's courses of the learning rate by name.

    Examples:
        >>> from iic_tf.training.optimizers import schedule_classes
        >>> "CosineDecay" in schedule_classes()
        True
    """
    schedules = keras.optimizers.schedules
    return classes_of(schedules, schedules.LearningRateSchedule)


def make_schedule(
    name: str, given: Mapping[str, Any], *, learning_rate: float, steps: int
) -> Any:
    """A course of the learning rate.

    Args:
        name: Class of ``keras.optimizers.schedules``.
        given: Its keyword arguments.
        learning_rate: ``initial_learning_rate`` where it is not given.
        steps: Steps of the run: ``decay_steps`` where these are not given.

    Raises:
        UserError: For an unknown name or argument, and for rates that are none.

    Examples:
        >>> from iic_tf.training.optimizers import make_schedule
        >>> schedule = make_schedule("CosineDecay", {}, learning_rate=0.1, steps=100)
        >>> [round(float(schedule(step)), 4) for step in (0, 50, 100)]
        [0.1, 0.05, 0.0]
    """
    known = schedule_classes()
    expected = "train.schedule must be a class of keras.optimizers.schedules"
    require_known(known, expected, schedule=name)
    schedule = make_object(
        known[name],
        {key: _in_floats(value, key=key) for key, value in given.items()},
        option="train.schedule_args",
        ours={"initial_learning_rate": learning_rate, "decay_steps": steps},
    )
    try:
        at = sorted({0, steps // 2, steps - 1})
        rates = [float(schedule(tf.constant(step, tf.int64))) for step in at]
    except (TypeError, ValueError, tf.errors.OpError) as error:
        raise refused("train.schedule_args", name, error) from None
    require(
        all(0 <= rate < np.inf for rate in rates),
        f"train.schedule must give learning rates of at least 0 at steps {at}",
        rates=rates,
    )
    return schedule


def _in_floats(value: Any, *, key: str) -> Any:
    """Rates as floats: Keras takes the type of a whole number for that of all rates."""
    if key == "values" and isinstance(value, list | tuple):
        return [float(x) if isinstance(x, int) else x for x in value]
    return float(value) if type(value) is int and not key.endswith("steps") else value


def make_optimizer_by_name(options: TrainOptions, rate: Any) -> Any:
    """The optimiser that the options name.

    Args:
        options: ``optimizer``, ``optimizer_args``, ``weight_decay`` and
            ``weight_decay_as`` are read. A decay as l2 is left to the trainer.
        rate: Course of the learning rate.

    Raises:
        UserError: For an unknown name or argument, or a value that it does not take.

    Examples:
        >>> from iic_tf.options import TrainOptions
        >>> from iic_tf.training.optimizers import make_optimizer_by_name
        >>> options = TrainOptions(optimizer="SGD", optimizer_args={"momentum": 0.9})
        >>> make_optimizer_by_name(options, 0.1).momentum
        0.9
    """
    known, name, given = optimizer_classes(), options.optimizer, options.optimizer_args
    expected = "train.optimizer must be a class of keras.optimizers"
    require_known(known, expected, optimizer=name)
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    alone = [key for key in OF_ONE_REPLICA if given.get(key) is not None]
    require(
        replicas == 1 or not alone,
        f"train.optimizer_args {', '.join(alone)} needs a single device",
        devices=replicas,
    )
    ours = {"learning_rate": rate} | ({"epsilon": 1e-8} if name == "Adam" else {})
    decay = options.weight_decay
    if decay is not None:
        ours["weight_decay"] = decay if options.weight_decay_as == "decoupled" else 0.0
    return make_object(
        known[name],
        given,
        option="train.optimizer_args",
        ours=ours,
        hidden=OURS + NEED_FIT,
    )


def check_optimizer(options: TrainOptions, *, steps: int) -> None:
    """Finds mistakes in optimiser and schedule before images are read.

    Keras takes some values as they are given, so three steps are taken with a matrix
    and a vector.

    Args:
        options: See ``make_optimizer_by_name``; ``schedule`` and its arguments too.
        steps: Steps of the run, as far as they are known.

    Raises:
        UserError: If there are any.

    Examples:
        >>> from iic_tf.options import TrainOptions
        >>> from iic_tf.training.optimizers import check_optimizer
        >>> check_optimizer(TrainOptions(optimizer="AdamW"), steps=100)
        >>> check_optimizer(TrainOptions(optimizer="Adm"), steps=100)
        Traceback (most recent call last):
            ...
        iic_tf.errors.UserError: train.optimizer must be a class of ...
    """
    if options.schedule is not None:
        make_schedule(
            options.schedule,
            options.schedule_args,
            learning_rate=options.learning_rate,
            steps=steps,
        )
    optimizer = make_optimizer_by_name(options, 1e-3)
    require(
        options.optimizer != "Ftrl" or options.schedule is not None
        or options.warmup_steps == 0,
        "train.warmup_steps must be 0 for Ftrl, which divides by the learning rate",
        warmup_steps=options.warmup_steps,
    )  # fmt: skip
    if not options.optimizer_args:
        return
    weights = [keras.Variable(np.ones(shape, np.float32)) for shape in ((2, 2), (2,))]
    try:
        for _ in range(3):
            optimizer.apply([tf.ones(weight.shape) for weight in weights], weights)
    except Exception as error:  # of whatever kind: the values are the user's
        raise refused("train.optimizer_args", options.optimizer, error) from None
    require(
        all(np.isfinite(weight.numpy()).all() for weight in weights),
        f"train.optimizer_args must let {options.optimizer} take finite steps",
        optimizer_args=options.optimizer_args,
    )
