"""Which convolutions of small maps are quicker as one matrix product?

``python benchmarks/small_maps.py`` times forward and backward pass of a layer with a
5×5 kernel, as Keras convolves and as a product with all pixels
(``iic_tf.models.blocks.Conv2D``), on maps of some sides, alternating. It also says
which of the two a network takes.
"""

import argparse
import math
import os
import sys
import time
from pathlib import Path
from unittest.mock import patch

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[1]))

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.table import Table
from train_step import differentiated

from iic_tf.models import blocks

KERNEL = 5
CHANNELS = ((32, 64), (64, 128), (128, 256))


def seconds(way, images: tf.Tensor) -> float:
    """Time of one pass."""
    started = time.perf_counter()
    way(images)[1].numpy()
    return time.perf_counter() - started


def main() -> None:
    """Times and prints."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    table = Table("precision", "map", "channels", "convolution\nms", "product\nms",
                  "ratio", "taken", title=f"{given.images} images")  # fmt: skip
    for precision in ("float32", "mixed_bfloat16"):
        keras.config.set_dtype_policy(precision)
        for side in (3, 4, 5, 6):
            for channels, filters in CHANNELS:
                ways = []
                for small in (False, True):
                    layer = blocks.Conv2D(
                        filters, KERNEL, padding="same", use_bias=False
                    )
                    kind = layer.compute_dtype
                    images = tf.cast(
                        tf.random.uniform((given.images, side, side, channels)), kind
                    )
                    with (
                        patch.object(blocks, "is_small", lambda *_, s=small, **__: s),
                        patch.object(blocks, "MAX_ENTRIES", math.inf),
                    ):
                        way = differentiated(layer, of_inputs=True)
                        way(images)
                    ways.append((way, images))
                times = np.median(
                    [[seconds(*way) for way in ways] for _ in range(given.rounds)],
                    axis=0,
                )
                sides, kernel = (side, side), (KERNEL, KERNEL)
                taken = blocks.is_small(sides, kernel, dtype=tf.as_dtype(kind))
                taken &= side**4 * channels * filters <= blocks.MAX_ENTRIES
                table.add_row(
                    precision, f"{side}×{side}", f"{channels} to {filters}",
                    *(f"{1e3 * value:.1f}" for value in times),
                    f"{times[0] / times[1]:.2f}",
                    "product" if taken else "convolution",
                )  # fmt: skip
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
