"""Optimisers, and courses of the learning rate, by the names of their Keras classes.

Whatever Keras has can be used, but for what wraps other optimisers or needs other
weights for evaluation than for training.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from iic_tf.errors import NOISE, UserError, first_line, require, require_known
from iic_tf.options import TrainOptions, is_like

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

LISTS = {"boundaries": [100, 200], "values": [0.1, 0.01, 0.001]}
"""Arguments that are lists, with examples."""


def _classes(module: Any, base: type) -> dict[str, Callable[..., Any]]:
    """Public classes of a module of Keras that derive from one."""
    found = {name: getattr(module, name) for name in dir(module)}
    return {
        name: kind
        for name, kind in found.items()
        if inspect.isclass(kind) and issubclass(kind, base) and kind is not base
    }


def optimizer_classes() -> dict[str, Callable[..., Any]]:
    """Keras's optimisers by name."""
    found = _classes(keras.optimizers, keras.optimizers.Optimizer)
    return {name: kind for name, kind in found.items() if name not in UNFIT}


def schedule_classes() -> dict[str, Callable[..., Any]]:
    """Keras's courses of the learning rate by name."""
    schedules = keras.optimizers.schedules
    return _classes(schedules, schedules.LearningRateSchedule)


def _make(
    make: Callable[..., Any],
    given: Mapping[str, Any],
    *,
    option: str,
    ours: Mapping[str, Any],
    hidden: tuple[str, ...] = OURS,
) -> Any:
    """Makes an object of a Keras class.

    Args:
        make: The class.
        given: Keyword arguments of the user's.
        option: Name of the option that holds them.
        ours: Keyword arguments where the user gives none.
        hidden: Arguments that the user may not give.

    Raises:
        UserError: If an argument is unknown or missing, or the class refuses one.
    """
    kind = make.__name__
    taken = inspect.signature(make).parameters
    known = [name for name in taken if name not in hidden]
    for name, value in given.items():
        require_known(known, f"{option} must be arguments of {kind}", argument=name)
        default = taken[name].default
        require(
            is_like(value, default, taken[name].annotation)
            if type(default) in (int, float, bool)
            else isinstance(value, list | tuple) or name not in LISTS,
            f"{option}.{name} must be a value like {LISTS.get(name, default)!r}",
            **{name: value},
        )
    values = {name: x for name, x in {**ours, **given}.items() if name in taken}
    missing = [
        name
        for name, parameter in taken.items()
        if parameter.default is parameter.empty
        and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        and name not in values
    ]
    told = {option.split(".")[-1]: dict(given)}
    require(not missing, f"{option} of {kind} must have {', '.join(missing)}", **told)
    try:
        return make(**values)
    except (TypeError, ValueError, AttributeError) as error:
        raise _refused(option, kind, error) from None


def _refused(option: str, kind: str, error: Exception) -> UserError:
    """What Keras says of arguments, as one sentence."""
    return UserError(f"{option} of {kind}: {NOISE.sub('', first_line(error))}")


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
    """
    known = schedule_classes()
    expected = "train.schedule must be a class of keras.optimizers.schedules"
    require_known(known, expected, schedule=name)
    schedule = _make(
        known[name],
        {key: _in_floats(value, key=key) for key, value in given.items()},
        option="train.schedule_args",
        ours={"initial_learning_rate": learning_rate, "decay_steps": steps},
    )
    try:
        at = sorted({0, steps // 2, steps - 1})
        rates = [float(schedule(tf.constant(step, tf.int64))) for step in at]
    except (TypeError, ValueError, tf.errors.OpError) as error:
        raise _refused("train.schedule_args", name, error) from None
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
    return _make(
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
        raise _refused("train.optimizer_args", options.optimizer, error) from None
    require(
        all(np.isfinite(weight.numpy()).all() for weight in weights),
        f"train.optimizer_args must let {options.optimizer} take finite steps",
        optimizer_args=options.optimizer_args,
    )
