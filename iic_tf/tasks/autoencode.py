"""Autoencoding: a network learns to give images back through a narrow latent."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from iic_tf.augment.pairs import (
    Passes,
    Views,
    evaluation_batches,
    training_batches,
)
from iic_tf.datasets.splits import Protocol
from iic_tf.distribute import num_replicas, sum_over_replicas
from iic_tf.errors import require
from iic_tf.evaluation.results import Choice
from iic_tf.report.console import attempted, console
from iic_tf.report.plots import latent_grid, pair_grid
from iic_tf.report.views import draw_views
from iic_tf.resolved import RunOptions
from iic_tf.training.estimate import memory_of_run, network_size
from iic_tf.training.task import (
    Callbacks,
    Evaluation,
    Outcome,
    Plan,
    Row,
    Run,
    TaskData,
)
from iic_tf.training.trainer import Objective

EVALUATION_BATCH = 200
"""Images reconstructed at a time."""

NUM_DRAWN = 20
"""Images whose reconstruction is drawn."""

Reconstruct = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]
"""Takes images ``(n, height, width, channels)``; gives their latent and themselves."""


def compile_reconstruct(model: keras.Model) -> Reconstruct:
    """Compiles inference once, for batches of any size.

    Args:
        model: An autoencoder, with a layer called ``latent``.
    """
    latent = model.get_layer("latent").output
    both = keras.Model(model.input, [latent, model.output])
    shape = tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)

    @tf.function(input_signature=[shape], autograph=False)
    def reconstruct(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        latent, again = both(images, training=False)
        return tf.cast(latent, tf.float32), again

    return reconstruct


@dataclass(frozen=True)
class Reconstruction:
    """What a network gives back of the evaluation images.

    Attributes:
        error: Mean squared error over images, pixels and channels, of values in [0, 1].
        spread: The same of the mean image, which knows nothing of an image.
        number: Images evaluated.
        shown: Some of them, evenly spaced, as the network sees them, float32.
        again: Their reconstructions, same shape.
        latent: Their latents, ``(n, height, width, channels)`` or ``(n, d)``.
        mended: Always None: nothing is mended.
    """

    error: float
    spread: float
    number: int
    shown: np.ndarray
    again: np.ndarray
    latent: np.ndarray
    mended: None = None

    @property
    def explained(self) -> float:
        """Share of the spread that is gone, at most 1."""
        return 1 - self.error / self.spread if self.spread else 0.0

    def degenerate(self, *, steps: int) -> bool:
        """Never: the error says it all."""
        return False


@dataclass(frozen=True)
class AutoencodeTask:
    """Images that are reconstructed; labels are of no use.

    Attributes:
        protocol: Training and evaluation images.
        views: What is done to them.
        origin: Where they came from, as text.
    """

    protocol: Protocol
    views: Views
    origin: str

    @cached_property
    def data(self) -> TaskData:
        """What is trained on and evaluated."""
        return TaskData(
            origin=self.origin,
            examples=self.protocol.train.images,
            material=self.protocol.train.images,
            shape=self.seen_shape,
            scored_on=self.protocol.words,
            evaluated=len(self.protocol.evaluate.images),
        )

    @cached_property
    def seen_shape(self) -> tuple[int, ...]:
        """Height, width and channels that the network sees."""
        return self.views.seen_shape(self.protocol.evaluate.images.shape[1:])

    # ---------------------------------------------------------------- before training

    def plan(self, options: RunOptions) -> Plan:
        """Passes and memory of a run."""
        number = len(self.protocol.train.images)
        batch = options.data.batch
        return Plan.of(options, [number], self._memory, batch=batch)

    def _memory(
        self, build_backbone: Callable[[], keras.Model], options: RunOptions, batch: int
    ) -> dict[str, int]:
        """Bytes that a run needs at least, see ``memory_of_run``."""
        network, _ = network_size(build_backbone, self.seen_shape)
        return memory_of_run(
            replace(options, heads=replace(options.heads, main=1, aux=0)),
            network=network._replace(places=0),  # no heads look at any
            shape=self.seen_shape,
            features=0,
            batch=batch,
        )

    def build(self, backbone: keras.Model, options: RunOptions) -> keras.Model:
        """The network itself; raises UserError if it does not give images back."""
        self._check_takes(backbone)
        return backbone

    def _check_takes(self, model: keras.Model) -> None:
        require(
            any(layer.name == "latent" for layer in model.layers),
            "an autoencoder must have a layer called latent",
            model=model.name,
        )
        require(
            model.input_shape[1:] == model.output_shape[1:] == self.seen_shape,
            f"the model takes images of shape {model.input_shape[1:]} and gives some "
            f"of shape {model.output_shape[1:]}; both must be that of the images",
            shape=self.seen_shape,
        )

    def prepare(self, options: RunOptions) -> "AutoencodeTask":
        """The same: nothing is found out before training."""
        return self

    # ----------------------------------------------------------------------- training

    def batches(
        self, options: RunOptions, passes: Passes, *, start: int
    ) -> tf.data.Dataset:
        """Training batches from a step on: originals and augmented views."""
        return training_batches(
            self.protocol.train.images,
            self.views,
            repeats=options.data.repeats,
            batch=passes.batch,
            seed=options.seed,
            start=start,
            steps=len(passes.number),
            passes=passes,
            shuffle=options.data.shuffle,
        )

    def objective(self, options: RunOptions, passes: Passes) -> Objective:
        """Mean squared error of originals and augmented views, each given back."""

        def loss(
            model: keras.Model, batch: tuple, scalars: Mapping[str, tf.Tensor]
        ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
            images = tf.concat(batch, axis=0)
            value = tf.reduce_mean(tf.square(model(images, training=True) - images))
            return value, {"loss": sum_over_replicas(value) / num_replicas()}

        return Objective((loss,))

    def callbacks(self, run: Run) -> Callbacks:
        """Reports of the loss, with the error of some images and plots of a few."""
        number, words = self.data.scored_at_reports(run.options)
        some = np.linspace(0, self.data.evaluated - 1, number).astype(np.int64)
        reconstruct = compile_reconstruct(run.model)

        def look(row: Row) -> None:
            found = self._reconstruct(reconstruct, numbers=some)
            row["reconstruction_error"], row["scored_on"] = found.error, words
            row["words"].append(f"{_error_words(found)}, on {words}.")
            _draw(run.folder, found, f"{run.folder.name}, step {row['step']:,}")

        def report(sums: dict[str, np.ndarray], step: int) -> Row:
            loss = float(sums["loss"] / sums["steps"])
            sentence = f"Mean squared error of originals and views {loss:.5f}."
            return {"loss": loss, "chosen": 0, "remarks": [], "words": [sentence]}

        return Callbacks(report, [look])

    # --------------------------------------------------------------------- evaluation

    def _reconstruct(
        self, reconstruct: Reconstruct, *, numbers: np.ndarray | None = None
    ) -> Reconstruction:
        """Reconstructs evaluation images.

        Args:
            reconstruct: From ``compile_reconstruct``.
            numbers: Which of them, shape ``(m,)``; all if None.
        """
        images = self.protocol.evaluate.images
        batches = evaluation_batches(
            images, self.views, numbers=numbers, batch=EVALUATION_BATCH
        )
        count = len(images) if numbers is None else len(numbers)
        drawn = np.linspace(0, count - 1, min(NUM_DRAWN, count)).astype(np.int64)
        kept: list[tuple[np.ndarray, ...]] = []
        total, squares, first = 0.0, 0.0, 0
        sums = np.zeros(self.seen_shape)
        for [shown] in batches:
            latent, again = reconstruct(shown)
            seen, given = shown.numpy().astype(np.float64), again.numpy()
            total += np.square(given - seen).sum()
            squares += np.square(seen).sum()
            sums += seen.sum(axis=0)
            here = drawn[(drawn >= first) & (drawn < first + len(seen))] - first
            kept.append((shown.numpy()[here], given[here], latent.numpy()[here]))
            first += len(seen)
        shown, again, latents = (np.concatenate(x) for x in zip(*kept, strict=True))
        values = count * sums.size
        spread = (squares - np.square(sums).sum() / count) / values
        return Reconstruction(total / values, spread, count, shown, again, latents)

    def evaluate(
        self,
        model: keras.Model,
        options: RunOptions,
        *,
        choice: Choice | None = None,
        lowest: int | None = None,
        trained: bool = False,
    ) -> Reconstruction:
        """Reconstructs all evaluation images.

        Args:
            model: The network.
            options: Of the run.
            choice: Of no use to a network without heads, as all below.
            lowest: See ``choice``.
            trained: See ``choice``.
        """
        self._check_takes(model)
        return self._reconstruct(compile_reconstruct(model))

    # ------------------------------------------------------------------------ results

    def draw_pairs(self, path: Path, options: RunOptions) -> None:
        """Draws twenty training images above their augmented views."""
        draw_views(path, self.protocol.train.images, self.views, options)

    def write(
        self,
        folder: Path,
        results: Reconstruction,
        options: RunOptions,
        *,
        evaluation: Evaluation,
    ) -> Outcome:
        """Draws reconstructions and latents.

        Args:
            folder: Where they go.
            results: Of all evaluation images.
            options: Of the run.
            evaluation: What they are of.
        """
        _draw(folder, results, evaluation.title)
        scored_on = evaluation.scored_on

        def tell() -> None:
            told = f"all {results.number:,} images of {scored_on}"
            console.print(f"{_error_words(results)}, on {told}.")

        summary = {
            "reconstruction_error": results.error,
            "mean_image_error": results.spread,
            "explained": results.explained,
            "images": results.number,
            "scored_on": scored_on,
        }
        written = [
            "reconstructions.png some images above their reconstructions",
            "latent.png          channels of the latent of a few images",
        ]
        return Outcome(summary, written, tell)


def _error_words(found: Reconstruction) -> str:
    """How well images are given back, as text."""
    share = f"{100 * found.explained:.1f} % explained"
    return (
        f"Reconstruction error {found.error:.5f}; the mean image has "
        f"{found.spread:.5f} ({share if found.explained >= 0 else 'which is better'})"
    )


def _draw(folder: Path, found: Reconstruction, title: str) -> None:
    """Draws reconstructions and latents: reconstructions.png and latent.png."""
    names = ("original", "reconstruction")
    with attempted("reconstructions.png"):
        pair_grid(
            folder / "reconstructions.png",
            [found.shown, found.again],
            names=names,
            title=f"{title}: originals and their reconstructions",
        )
    with attempted("latent.png"):
        latent_grid(
            folder / "latent.png",
            found.shown,
            found.latent,
            title=f"{title}: the latent of some images",
        )
