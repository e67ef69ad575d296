"""Invariant Information Clustering in TensorFlow and Keras (arXiv 1807.06653).

The engine: losses, layers, pipeline and training. It knows no data set and no network
by name; ``models_iic.py``, ``data.py`` and ``graphs.py`` beside it do. The names below
are loaded when they are first used, so importing the package costs nothing.
"""

import importlib
from typing import Any

_HOMES = {
    "BatchNorm": "blocks",
    "ClusterIIC": "models",
    "MapViews": "map_pipeline",
    "Options": "options",
    "SegmentIIC": "models",
    "SubHeads": "heads",
    "Trainer": "train",
    "UserError": "options",
    "Views": "pipeline",
    "choose_strategy": "distribute",
    "conditional_entropy": "losses",
    "entropy": "losses",
    "evaluation_batches": "pipeline",
    "iic_loss": "losses",
    "joint_distribution": "losses",
    "joint_entropy": "losses",
    "marginal": "losses",
    "mutual_information": "losses",
    "segmentation_joint": "losses",
    "segmentation_loss": "losses",
    "symmetrise": "losses",
    "training_batches": "pipeline",
    "training_map_batches": "map_pipeline",
    "warp": "warp",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    """Imports the module of a public name when the name is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"iic_tf.{_HOMES[name]}")
    return getattr(module, name)
