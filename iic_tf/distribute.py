"""Devices and replicas: choose a strategy, sum over replicas, scale the loss.

The joint distribution is a statistic over the *whole* batch, so it is summed over
replicas before the logarithm. The full loss is then computed on every replica, and
Keras adds up the gradients of the replicas when it applies them: the loss is divided by
the number of replicas so that the sum is the gradient of one device, no more.
"""

from collections.abc import Sequence
from typing import cast

import keras
import tensorflow as tf

from iic_tf.options import UserError

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        "iic_tf needs Keras on TensorFlow: set the environment variable "
        f"KERAS_BACKEND=tensorflow. Received: {keras.backend.backend()!r}"
    )


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


def choose_strategy(devices: str | int = "auto") -> tf.distribute.Strategy:
    """Picks the devices of a run. Call it before TensorFlow computes anything.

    Args:
        devices: ``"auto"`` takes all GPUs, else the CPU. A number takes that many
            GPUs, or without GPUs splits the CPU into that many logical devices (for
            tests). ``"cpu"`` leaves GPUs alone. Otherwise a comma-separated list of
            device names, such as ``"GPU:0,GPU:2"``.

    Returns:
        ``MirroredStrategy`` over several devices, ``OneDeviceStrategy`` over one.

    Raises:
        UserError: If the devices do not exist on this machine.
    """
    names = _device_names(devices)
    if len(names) == 1:
        return tf.distribute.OneDeviceStrategy(names[0])
    return tf.distribute.MirroredStrategy(names)


def _device_names(devices: str | int) -> Sequence[str]:
    gpus = tf.config.list_physical_devices("GPU")
    if isinstance(devices, str) and devices.isdecimal():
        devices = int(devices)
    if devices == "auto":
        return [f"GPU:{i}" for i in range(len(gpus))] or ["CPU:0"]
    if devices == "cpu":
        return ["CPU:0"]
    if isinstance(devices, int):
        if devices < 1:
            raise UserError(f"devices must be at least 1. Received: devices={devices}")
        if gpus and devices > len(gpus):
            raise UserError(
                f"devices must not exceed the {len(gpus)} GPUs of this machine. "
                f"Received: devices={devices}"
            )
        if not gpus and devices > 1:
            split_cpu(devices)
        return [f"{'GPU' if gpus else 'CPU'}:{i}" for i in range(devices)]
    names = [name.strip().upper() for name in devices.split(",")]
    known = [device.name.split(":", 1)[1] for device in _logical_devices()]
    if unknown := [name for name in names if name not in known]:
        raise UserError(
            f"devices must be auto, cpu, a number or names among {', '.join(known)}. "
            f"Received: devices={', '.join(unknown)}"
        )
    return names


def _logical_devices() -> list[tf.config.LogicalDevice]:
    # "/device:CPU:0" without its first slash-separated part
    return cast(list, tf.config.list_logical_devices())


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
                "the CPU can only be split before TensorFlow computes anything. "
                f"Received: devices={count}"
            ) from None
