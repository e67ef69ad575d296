"""What you do with a trained run from a notebook: load it, assign clusters, look.

    import utils

    run = utils.load("runs/photos-1")
    run.assign(images)            # cluster and confidence of each image
    run.summary["information"]    # nats of each sub-head
    utils.show(images[:20])       # any images, side by side

Everything here is a thin layer over ``iic_tf``.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from PIL import Image

from commands.loading import load as load_images
from commands.parsing import parse_words
from iic_tf.errors import require
from iic_tf.evaluation.inference import compile_predict, soft_assignments
from iic_tf.models.networks import ClusterIIC
from iic_tf.options import Options
from iic_tf.report.image_grid import image_grid
from iic_tf.run_folder import OPTIONS_FILE, find_run, read_history, read_summary
from iic_tf.training.stored import load_model


@dataclass(frozen=True)
class StoredRun:
    """A finished run.

    Attributes:
        folder: Its folder.
        options: All its options.
        model: Its network.
        summary: What is in summary.json.

    Examples:
        >>> import utils
        >>> run = utils.load("runs/first")  # a finished run of digits
        >>> views = np.zeros((3, 24, 24, 1), np.float32)
        >>> run.probabilities(views).shape
        (3, 10)
        >>> clusters, confidence = run.assign(views)
        >>> clusters.shape, bool((confidence >= 0.1).all())  # the largest of ten
        ((3,), True)
        >>> [row["step"] for row in run.history]
        [4, 8]
    """

    folder: Path
    options: Options
    model: keras.Model
    summary: dict[str, Any]

    @property
    def history(self) -> list[dict[str, Any]]:
        """Its reports, one row each."""
        return read_history(self.folder)

    def probabilities(self, views: np.ndarray, *, batch: int = 1000) -> np.ndarray:
        """Soft assignments of the chosen sub-head.

        Args:
            views: What the network sees: float32 in [0, 1], of the shape
                ``(n, *model.backbone.input_shape[1:])``.
            batch: Images at a time.

        Returns:
            float32, shape ``(n, k)``.

        Raises:
            UserError: If the run groups pixels, or the views have another shape.
        """
        seen = tuple(self.model.backbone.input_shape[1:])
        require(
            isinstance(self.model, ClusterIIC) and views.shape[1:] == seen,
            f"views must have shape (n, {', '.join(map(str, seen))}), and the run must "
            "cluster whole images",
            shape=views.shape,
        )
        parts = np.array_split(views, -(-len(views) // batch))
        predict = compile_predict(self.model)
        found = soft_assignments(predict, [(part,) for part in parts])
        return found[:, self.summary["chosen"]]

    def assign(self, views: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Cluster of each image and its probability, shapes ``(n,)``.

        The probability is that of the chosen sub-head, which is surer than the
        confidence in ``assignments.csv``, for which images are augmented, too.

        Args:
            views: See ``probabilities``.
        """
        soft = self.probabilities(views)
        return soft.argmax(-1), soft.max(-1)


def load(run: str | Path) -> StoredRun:
    """A finished run.

    Args:
        run: Its folder, or ``latest``.

    Raises:
        UserError: If there is none, or it is not finished.

    Examples:
        >>> import utils
        >>> run = utils.load("runs/first")  # a finished run
        >>> run.options.k, run.options.train.steps, run.summary["k"]
        (10, 8, 10)
    """
    folder = find_run(str(run), out=Path(Options().out), what="load")
    options = parse_words(["--config", str(folder / OPTIONS_FILE)])
    return StoredRun(folder, options, load_model(folder), read_summary(folder) or {})


def images_of(run: StoredRun) -> Any:
    """The task of a run with the images that it trained on and was evaluated on.

    Examples:
        >>> import utils
        >>> run = utils.load("runs/first")  # a finished run of digits
        >>> task = utils.images_of(run)
        Images:   240, from npz file ...
        >>> task.protocol.evaluate.images.shape
        (240, 28, 28, 1)
    """
    return load_images(run.options, train=False).task


def show(images: Any, *, columns: int | None = None, least: int = 64) -> Image.Image:
    """Images side by side, which a notebook displays; ``save`` writes them to a file.

    Args:
        images: One or several, see ``iic_tf.report.image_grid.image_grid``.
        columns: Images per row; about as many as rows if None.
        least: Smaller images are enlarged to at least so many pixels.

    Examples:
        >>> import utils
        >>> image = utils.show(np.zeros((6, 28, 28), np.uint8), columns=3)
        >>> image.size  # each 84×84, with two white pixels in between
        (256, 170)
    """
    return Image.fromarray(image_grid(images, columns=columns, least=least))
