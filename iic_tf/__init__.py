"""Invariant Information Clustering in TensorFlow and Keras (arXiv 1807.06653).

The engine: losses, layers, pipeline and training. It knows no data set and no network
by name; ``models_iic.py``, ``data.py`` and ``graphs.py`` beside it do. Importing it
tells Keras what stored networks are made of, so that ``keras.models.load_model`` reads
them; only the command line, which answers before TensorFlow is loaded, puts that off.
"""

import importlib
import itertools
import sys
from pathlib import Path
from typing import Any

_HOMES = {
    "BatchNorm": "models.blocks",
    "ClusterIIC": "models.networks",
    "CropViews": "augment.crops",
    "IICLoss": "losses.iic",
    "ImageClusterer": "estimator",
    "ImageSegmenter": "segmenter",
    "Options": "options",
    "SegmentIIC": "models.networks",
    "SubHeads": "models.heads",
    "Trainer": "training.trainer",
    "UserError": "errors",
    "Views": "augment.pairs",
    "choose_strategy": "distribute",
    "conditional_distribution": "losses.iic",
    "conditional_entropy": "losses.iic",
    "entropy": "losses.iic",
    "evaluation_batches": "augment.pairs",
    "iic_loss": "losses.iic",
    "joint_distribution": "losses.iic",
    "joint_entropy": "losses.iic",
    "loss_of_joint": "losses.iic",
    "marginal": "losses.iic",
    "mutual_information": "losses.iic",
    "segmentation_joint": "losses.iic",
    "segmentation_loss": "losses.iic",
    "symmetrise": "losses.iic",
    "training_batches": "augment.pairs",
    "training_crop_batches": "augment.crops",
    "warp": "losses.warp",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    """Imports the module of a public name when the name is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"iic_tf.{_HOMES[name]}")
    return getattr(module, name)


def _is_command_line() -> bool:
    """Whether the process is ``models_iic.py``, ``iic`` or ``python -m iic_tf``."""
    return (
        "commands" in sys.modules
        or Path(sys.argv[0] if sys.argv else "").stem == "iic"
        or ("-m", "iic_tf") in itertools.pairwise(sys.orig_argv)
    )


if not _is_command_line():
    importlib.import_module("iic_tf.models.deployed")
