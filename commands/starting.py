"""What must hold before TensorFlow is loaded, and how it is kept quiet."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from iic_tf.errors import require
from iic_tf.report.console import console


@contextmanager
def quiet_start() -> Iterator[None]:
    """Holds back what TensorFlow's libraries print on standard error when loaded.

    Says first what is loaded, since that takes longest of all where the disk is cold.
    """
    if "tensorflow" not in sys.modules:
        console.print("Loading:  TensorFlow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept, sink = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(sink)


def check_backend() -> None:
    """Raises UserError if Keras is told to run on anything but TensorFlow."""
    backend = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    require(
        backend == "tensorflow",
        "the environment variable KERAS_BACKEND must be tensorflow or unset",
        KERAS_BACKEND=backend,
    )
