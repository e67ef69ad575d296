"""Devices and replicas: choose a strategy, sum over replicas, scale the loss.

The joint distribution is a statistic over the *whole* batch, so it is summed over
replicas before the logarithm. The full loss is then computed on every replica, and
Keras adds up the gradients of the replicas when it applies them: the loss is divided by
the number of replicas so that the sum is the gradient of one device, no more.
"""

from pathlib import Path

import keras
import tensorflow as tf

from iic_tf.errors import UserError, require
from iic_tf.resolved import Precision

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        "iic_tf needs Keras on TensorFlow: set the environment variable "
        f"KERAS_BACKEND=tensorflow. Received: {keras.backend.backend()!r}"
    )


MAX_CPUS = 64
"""The CPU is split into so many logical devices at most."""


def sum_over_replicas(value: tf.Tensor) -> tf.Tensor:
    """Sums a tensor over all replicas; differentiable, and free on one device.

    Args:
        value: Tensor of any shape, called in a replica context (or outside of any
            strategy).
    """
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return value
    return context.all_reduce(tf.distribute.ReduceOp.SUM, value)


def num_replicas() -> int:
    """Number of replicas that train in step with the current one."""
    context = tf.distribute.get_replica_context()
    return 1 if context is None else context.num_replicas_in_sync


def device_names(strategy: tf.distribute.Strategy) -> list[str]:
    """Names of the devices that a strategy trains on, also TensorFlow's default one."""
    try:
        return list(strategy.extended.worker_devices)
    except RuntimeError:  # the default strategy has one, which it does not name
        kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
        return [f"/device:{kind}:0"]


def choose_strategy(devices: str = "auto") -> tf.distribute.Strategy:
    """Picks the devices of a run. Call it before TensorFlow computes anything.

    GPUs that are not chosen are left alone: TensorFlow does not see them.

    Args:
        devices: ``"auto"`` takes all GPUs, else the CPU. A number takes that many
            GPUs, or without GPUs splits the CPU into that many logical devices (for
            tests). ``"cpu"`` takes the CPU. Otherwise comma-separated GPUs, such as
            ``"GPU:0,GPU:2"``.

    Returns:
        ``MirroredStrategy`` over several devices, ``OneDeviceStrategy`` over one.

    Raises:
        UserError: If the devices do not exist on this machine.

    Examples:
        >>> from iic_tf import choose_strategy
        >>> strategy = choose_strategy()  # all GPUs, or the CPU
        >>> strategy.num_replicas_in_sync >= 1
        True
        >>> choose_strategy("0")
        Traceback (most recent call last):
            ...
        iic_tf.errors.UserError: devices must be at least 1. Received: devices='0'
    """
    gpus = tf.config.list_physical_devices("GPU")
    chosen = _choose_gpus(devices, len(gpus))
    if chosen:
        # ten bits of a mantissa are too few for joints; mixed_bfloat16 is as quick
        tf.config.experimental.enable_tensor_float_32_execution(False)
        # the visible ones are numbered anew, from 0
        tf.config.set_visible_devices([gpus[i] for i in chosen], "GPU")
        names = [f"GPU:{i}" for i in range(len(chosen))]
    else:
        if gpus:
            tf.config.set_visible_devices([], "GPU")
        count = int(devices) if devices.isdecimal() else 1
        if count > 1:
            split_cpu(count)
        names = [f"CPU:{i}" for i in range(count)]
    if len(names) == 1:
        return tf.distribute.OneDeviceStrategy(names[0])
    return tf.distribute.MirroredStrategy(names)


def _choose_gpus(devices: str, num_gpus: int) -> list[int]:
    """Numbers of the GPUs to use; none for the CPU."""
    if devices == "auto":
        return list(range(num_gpus))
    if devices.lower() in ("cpu", "cpu:0"):
        return []
    if devices.isdecimal():
        require(
            1 <= int(devices[:9]) and int(devices) <= max(num_gpus, MAX_CPUS),
            "devices must be at least 1"
            if not int(devices)
            else f"devices must be at most {max(num_gpus, MAX_CPUS)}",
            devices=devices,
        )
        require(
            num_gpus == 0 or int(devices) <= num_gpus,
            f"devices must not exceed the {num_gpus} GPUs of this machine",
            devices=devices,
        )
        return list(range(min(int(devices), num_gpus)))
    known = {f"GPU:{i}": i for i in range(num_gpus)}
    names = [name.strip().upper() for name in devices.split(",")]
    require(
        all(name in known for name in names) and len(set(names)) == len(names),
        "devices must be auto, cpu, a number, or different GPUs among "
        f"{', '.join(known) or 'none (this machine has no GPU)'}",
        devices=devices,
    )
    return [known[name] for name in names]


def split_cpu(count: int) -> None:
    """Splits the CPU into logical devices, before TensorFlow has used it.

    Raises:
        UserError: If TensorFlow has started already with fewer devices.
    """
    cpu = tf.config.list_physical_devices("CPU")[0]
    try:
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * count
        )
    except RuntimeError:
        if len(tf.config.list_logical_devices("CPU")) < count:
            raise UserError(
                "the CPU can only be split before TensorFlow is used. "
                f"Received: devices={count}"
            ) from None


def choose_precision(strategy: tf.distribute.Strategy) -> Precision:
    """The faster precision of a backbone that costs no accuracy.

    Returns:
        ``"mixed_bfloat16"`` on processors that multiply bfloat16 natively, elsewhere
        ``"float32"``.
    """
    on_cpu = all("CPU" in name for name in strategy.extended.worker_devices)
    return "mixed_bfloat16" if on_cpu and multiplies_bfloat16() else "float32"


def multiplies_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 natively."""
    try:
        flags = Path("/proc/cpuinfo").read_text().split()
    except OSError:
        return False
    return not {"amx_bf16", "avx512_bf16"}.isdisjoint(flags)
