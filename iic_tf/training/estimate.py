"""An estimate of the memory that a run needs, before any of it is allocated.

The estimate leaves out whatever is not certain, so that a run that would fit is never
refused; one that does not fit is refused by its numbers, not by the kernel after
minutes.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import keras
import psutil

from iic_tf.errors import UserError
from iic_tf.resolved import RunOptions

LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Files that tell how much memory a container may use."""

COPIES = 4
"""A trained weight is kept with its gradient and Adam's two moments."""


class Network(NamedTuple):
    """Size of a backbone.

    Attributes:
        weights: Their number.
        kept: Numbers that training keeps of an image, at least.
        places: Places of features of an image; 1 for a vector.
    """

    weights: int
    kept: int
    places: int


def machine_memory() -> int:
    """Bytes of memory of this machine, or of the container that this runs in."""
    total = psutil.virtual_memory().total
    for place in LIMITS:
        try:
            total = min(total, int(Path(place).read_text()))
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return total


def network_size(
    build_backbone: Callable[[], keras.Model], shape: tuple[int, ...]
) -> tuple[Network, int]:
    """Size of a backbone, of which no weight is allocated.

    Args:
        build_backbone: Builds it.
        shape: Height, width and channels of what it sees.

    Returns:
        The network, and the features that sub-heads see of an image or a place of it.
    """
    # Keras has no public way to forget variables; without it nothing is estimated
    from keras.src.backend.common import global_state

    kept = []

    def look_into(model: keras.Model, seen: tuple[int, ...]) -> keras.Model:
        return keras.models.clone_model(
            model,
            input_tensors=keras.Input(seen),
            clone_function=lambda layer: layer,
            call_function=count,
        )

    def count(layer: Any, *args: Any, **kwargs: Any) -> Any:
        result = layer(*args, **kwargs)
        if isinstance(layer, keras.Model):
            look_into(layer, args[0].shape[1:])
        elif getattr(layer, "weights", ()):
            kept.append(math.prod(result.shape[1:]))
        return result

    try:
        with keras.StatelessScope(initialize_variables=False):
            backbone = build_backbone()
            weights = backbone.count_params()
            *places, features = look_into(backbone, shape).output_shape[1:]
    finally:  # these variables will never be needed
        global_state.set_global_attribute("uninitialized_variables", [])
    return Network(weights, sum(kept), math.prod(places)), features


def memory_of_run(
    options: RunOptions,
    *,
    network: Network,
    shape: tuple[int, ...],
    features: int,
    batch: int,
    evaluated: int = 0,
    displacements: int = 1,
    search: int = 0,
) -> dict[str, int]:
    """Bytes that a run needs, at least, by what they are for.

    Neighbours are found before the first step, so of the search and of all that steps
    and results take only the larger one counts.

    Args:
        options: Sub-heads, repeats and precision are read.
        network: See ``network_size``.
        shape: Height, width and channels of what the network sees.
        features: Features of an image, or of one place of a label map.
        batch: Images, or crops, per step.
        evaluated: Images whose soft assignments are kept at the end.
        displacements: Of label maps that are compared.
        search: Bytes that the search for neighbours takes.
    """
    heads = options.heads
    widths = heads.main * options.k + heads.aux * options.heads.k_aux
    joint = heads.main * options.k**2 + heads.aux * options.heads.k_aux**2
    seen = batch * (1 + options.data.repeats)
    bytes_of_one = 2 if options.train.precision == "mixed_bfloat16" else 4
    kept = {
        "the network": COPIES * 4 * network.weights,
        "the sub-heads": COPIES * 4 * features * widths,
    }
    trained = {
        "the images of one step": 4 * seen * math.prod(shape),
        "activations of the network": bytes_of_one * seen * network.kept,
        "soft assignments": 2 * 4 * seen * network.places * widths,
        "joint distributions": 2 * 4 * displacements * joint,
        "the assignments of all images": 4 * evaluated * heads.main * options.k,
    }
    if search > sum(trained.values()):
        return kept | {"the neighbour search": search}
    return kept | trained


def check_memory(estimate: Callable[[], dict[str, int]], available: int) -> None:
    """Refuses a run that cannot fit.

    Args:
        estimate: Tells the bytes that are needed, by what they are for.
        available: Bytes that there are.

    Raises:
        UserError: If they are fewer, or for what ``estimate`` finds to be wrong.
    """
    try:
        needed = estimate()
    except UserError:
        raise
    except Exception:  # of a network that cannot be looked at so: it is just built
        return
    total = sum(needed.values())
    if total <= available:
        return
    largest = max(needed, key=lambda name: needed[name])
    raise UserError(
        f"the run needs at least {_gigabytes(total)} of memory, "
        f"{_gigabytes(needed[largest])} of it for {largest}; this machine has "
        f"{_gigabytes(available)}. {WHAT_HELPS[largest]}"
    )


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:,.1f} GB"


WHAT_HELPS = {
    "the network": "Use smaller graph.args or another graph.name",
    "the sub-heads": "Lower heads.main, heads.k_aux or graph.args",
    "the images of one step": "Lower data.batch, data.repeats or the image size",
    "activations of the network": "Lower data.batch, data.repeats or graph.args",
    "soft assignments": "Lower data.batch, heads.main or heads.k_aux",
    "joint distributions": "Lower heads.k_aux, k or segment.displacement",
    "the assignments of all images": "Lower heads.main or k",
    "the neighbour search": "Set data.neighbours to 0, or use fewer images",
}
