"""Features that a frozen network has of images: computed once, then kept in a file."""

import hashlib
import os
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from iic_tf.augment.pairs import Views, evaluation_batches
from iic_tf.errors import naming
from iic_tf.report.console import console, counted
from iic_tf.training.checkpoints import fingerprint

BATCH = 100
"""Images that go through the network at a time."""

PROBE = 8
"""Images whose features tell networks apart."""


def _as_it_is(x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """A batch as it is."""
    return x


AS_THEY_ARE = Views(_as_it_is, _as_it_is, _as_it_is)


def cache_of(out: str) -> Path:
    """Folder where the features of runs in a folder are kept."""
    return Path(out) / "features"


def embed(
    trunk: keras.Model, images: np.ndarray, *, cache: Path | None, keep: bool
) -> np.ndarray:
    """Features of all images, from a file if they are known.

    Files are called after the images and after what the network makes of the first of
    them, so that another network, or the same with other weights, never takes them.

    Args:
        trunk: Network from images to features.
        images: uint8, shape ``(n, height, width, channels)``.
        cache: Folder of the files; None to know of none.
        keep: Whether features that were computed are stored there.

    Returns:
        float32, shape ``(n, d)``.
    """

    @tf.function(autograph=False, reduce_retracing=True)
    def describe(batch: tf.Tensor) -> tf.Tensor:
        return tf.cast(trunk(batch, training=False), tf.float32)

    first = describe(tf.constant(images[:PROBE] / np.float32(255))).numpy()
    key = fingerprint(images) + fingerprint(first.round(3) + 0.0)
    path = (cache or Path()) / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.npy"
    if cache is not None and path.is_file():
        console.print(f"Features: {first.shape[1]:,} of each image, from {path}")
        return np.load(path)
    features = np.empty((len(images), first.shape[1]), np.float32)
    with counted("computing features") as progress:
        done = 0
        for [batch] in evaluation_batches(images, AS_THEY_ARE, batch=BATCH):
            features[done : done + len(batch)] = describe(batch)
            done += len(batch)
            progress(done, len(images))
    if keep:
        _store(path, features)
    kept = f"; kept in {path}" if keep else ""
    console.print(f"Features: {first.shape[1]:,} of each image{kept}")
    return features


def _store(path: Path, features: np.ndarray) -> None:
    """Writes features, whole or not at all."""
    unfinished = path.with_name(f".unfinished.{os.getpid()}.{path.name}")
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            np.save(unfinished, features)
            os.replace(unfinished, path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
