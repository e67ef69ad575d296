"""Segmentation: the pixels of images are grouped."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from iic_tf.augment.crops import CropViews, crops_per_pass, training_crop_batches
from iic_tf.augment.pairs import Passes
from iic_tf.datasets.splits import Protocol, Split, evenly
from iic_tf.errors import require
from iic_tf.evaluation.health import Health, measure
from iic_tf.evaluation.inference import adapt
from iic_tf.evaluation.results import Choice, Results, Scorer
from iic_tf.evaluation.segment_inference import (
    clusters_of,
    compile_segments,
    pixel_tables,
)
from iic_tf.models.networks import SegmentIIC
from iic_tf.names import written_stems
from iic_tf.neighbours.similar_patches import SimilarPatches, find_similar_patches
from iic_tf.options import SegmentOptions
from iic_tf.report.console import attempted, console
from iic_tf.report.plots import label_map_rows, pair_grid
from iic_tf.report.results import summarise, tell
from iic_tf.report.segment_plots import (
    NUM_SHOWN,
    draw_segments,
    iou_lines,
    iou_of_classes,
)
from iic_tf.resolved import RunOptions
from iic_tf.tasks import iic
from iic_tf.tasks.objectives import segment_losses
from iic_tf.tasks.regroup import Regrouped, regroup, sample_pixels
from iic_tf.training.estimate import memory_of_run, network_size
from iic_tf.training.loop import Event
from iic_tf.training.stored import require_network, tell_if_unlike
from iic_tf.training.task import (
    Callbacks,
    Evaluation,
    Outcome,
    Plan,
    Run,
    TaskData,
)
from iic_tf.training.trainer import Objective

PAIR_STEPS = 40
"""Batches of pairs that regroupings and the health of a network count at most."""


@lru_cache(maxsize=1)
def _compile_joint(model: SegmentIIC, margin: int) -> Callable:
    """Compiles once the joint of the main sub-heads for a batch of pairs.

    Args:
        model: The network.
        margin: Pixels along the sides of crops that do not count: there a network
            finds what it never finds in an image, which has its mirror image around.
    """

    @tf.function(autograph=False)
    def count(*batch: Any) -> tf.Tensor:
        *pairs, mask = batch
        height, width = mask.shape[1:]
        inner = tf.ones((height - 2 * margin, width - 2 * margin))
        mask *= tf.pad(inner, ((margin, margin), (margin, margin)))
        results = segment_losses(
            model,
            (*pairs, mask),
            lamb=tf.ones(2),
            displacement=0,
            at_pixels=False,
            training=False,
        )
        return results["main"]["joint"]

    return count


@dataclass(frozen=True)
class SegmentTask:
    """Images whose pixels are to be grouped.

    Attributes:
        protocol: Training images, whose label maps are used only where ``masked`` is,
            and evaluation images.
        views: What is done to them.
        origin: Where they came from, as text.
        class_names: Names of the classes, or None.
        scenes: Whether images are of scenes, see ``find_similar_patches``.
        masked: Whether pixels without a class do not train.
        cells: Patches that look alike, found by ``prepare``, or None.
    """

    protocol: Protocol
    views: CropViews
    origin: str
    class_names: tuple[str, ...] | None = None
    scenes: bool = False
    masked: bool = False
    cells: SimilarPatches | None = None

    @cached_property
    def data(self) -> TaskData:
        """What is trained on and evaluated."""
        masks = self.protocol.train.labels if self.masked else None
        return TaskData(
            origin=self.origin,
            examples=self.images,
            material=[*self.images, *(masks or ())],
            shape=self.seen_shape,
            scored_on=self.protocol.words,
            evaluated=len(self.protocol.evaluate.images),
            neighbour_share=1.0,
            mapped_elsewhere=self.protocol.mapping is not None,
        )

    @property
    def images(self) -> Sequence[np.ndarray]:
        """Training images."""
        return self.protocol.train.images

    @property
    def seen_shape(self) -> tuple[int | None, int | None, int]:
        """Height and width, which may be any, and channels that the network sees."""
        shape = (1, 8, 8, self.images[0].shape[2])
        seen = self.views.finish(tf.zeros(shape), tf.constant((0, 0)))
        return None, None, seen.shape[3]

    @property
    def num_classes(self) -> int:
        """Classes that are told apart by the label maps."""
        if self.class_names is not None:
            return len(self.class_names)
        known = filter(None, (self.protocol.evaluate, self.protocol.mapping))
        maps = [labels for part in known for labels in part.labels or ()]
        return 1 + max(int(labels[labels < 255].max(initial=0)) for labels in maps)

    @property
    def names(self) -> Sequence[str] | None:
        """A name of each class, where there are label maps."""
        if self.protocol.evaluate.labels is None:
            return None
        return self.class_names or [str(i) for i in range(self.num_classes)]

    # ---------------------------------------------------------------- before training

    def plan(self, options: RunOptions) -> Plan:
        """Passes and memory of a run; raises UserError if options and images clash."""
        self.check(options)
        number = len(self.images)
        batch = options.data.batch
        sizes = [crops_per_pass(number, batch)] * len(options.train.order)
        return Plan.of(options, sizes, self._memory, batch=batch)

    def check(self, options: RunOptions) -> None:
        """Raises UserError if options and images clash."""
        held_out = options.data.protocol == "holdout"  # that chooses nothing
        train, evaluated = self.protocol.train, self.protocol.evaluate
        known = self.protocol.mapping or (train if held_out else evaluated)
        require(
            options.report.choose == "loss"
            or (known.labels is not None and evaluated.labels is not None),
            "report.choose label needs "
            + "training " * held_out
            + "images with label maps",
            choose=options.report.choose,
        )
        require(
            not self.masked or train.labels is not None,
            "segment.masked needs images with label maps",
            masked=self.masked,
        )
        require(options.k <= 255, "k must be at most 255 for segmentation", k=options.k)
        written_stems(evaluated.paths or ())  # what is wrong with them is told now
        require(
            options.report.progression is None,
            "report.progression is for whole images, not for segmentation",
            progression=options.report.progression,
        )

    def _memory(
        self, build_backbone: Callable[[], keras.Model], options: RunOptions, batch: int
    ) -> dict[str, int]:
        """Bytes that a run needs at least, see ``memory_of_run``."""
        _, _, channels = self.seen_shape
        shape = (self.views.side, self.views.side, channels)
        network, features = network_size(build_backbone, shape)
        return memory_of_run(
            options,
            network=network,
            shape=shape,
            features=features,
            batch=batch,
            displacements=(2 * options.segment.displacement + 1) ** 2,
        )

    def build(self, backbone: keras.Model, options: RunOptions) -> SegmentIIC:
        """The network of a run.

        Raises:
            UserError: If crops have no whole number of its strides.
        """
        model = SegmentIIC.create(backbone, **options.banks)
        side, stride = self.views.side, model.stride
        require(
            side % stride == 0 and side >= model.least,
            f"data.augment.side must be a multiple of {stride} and at least "
            f"{model.least} for this network",
            side=side,
        )
        displacement = options.segment.displacement
        places = side if options.segment.at == "pixels" else side // stride
        require(
            displacement < places or displacement <= SegmentOptions().displacement,
            f"segment.displacement must be less than the {places} positions along the "
            "side of a crop",
            displacement=displacement,
        )
        return model

    def prepare(self, options: RunOptions) -> "SegmentTask":
        """The same with patches that look alike."""
        if not options.data.neighbours:
            return self
        cells = find_similar_patches(
            self.images,
            number=options.data.neighbours,
            seed=options.seed,
            scenes=self.scenes,
        )
        return replace(self, cells=cells)

    # ----------------------------------------------------------------------- training

    def batches(
        self, options: RunOptions, passes: Passes, *, start: int
    ) -> tf.data.Dataset:
        """Training batches from a step on."""
        return training_crop_batches(
            self.images,
            self.views,
            repeats=options.data.repeats,
            batch=passes.batch,
            seed=options.seed,
            start=start,
            steps=len(passes.number),
            passes=passes,
            labels=self.protocol.train.labels if self.masked else None,
            shuffle=options.data.shuffle,
            cells=self.cells,
        )

    def objective(self, options: RunOptions, passes: Passes) -> Objective:
        """Mutual information between label maps of crops and of their views."""
        segment = options.segment
        losses = partial(
            segment_losses,
            displacement=segment.displacement,
            collapsed=segment.collapsed,
            detached=segment.detached,
            at_pixels=segment.at == "pixels",
        )
        return iic.objective(options.train, passes, losses)

    def callbacks(self, run: Run) -> Callbacks:
        """Regrouping, scores, what puts right, and plots that were asked for."""
        model, options, score = run.model, run.options, None
        number, described = self.data.scored_at_reports(options)
        if scorer := self.scorer(model, options, at_most=number):
            by_batch = None
            if options.report.double:
                by_batch = self.predict(model, batch_statistics=True)
            score = iic.scoring(scorer, scored_on=described, batch_statistics=by_batch)
        return iic.callbacks(
            run,
            regroup=lambda: self.regroup(model, options),
            score=score,
            plots=self._plots(run),
        )

    def _plots(self, run: Run) -> list[Event]:
        """Plots that are drawn on request while a run goes on."""
        if not run.options.report.display:
            return []
        predict = self.predict(run.model)
        shown = evenly(self.protocol.evaluate, NUM_SHOWN)

        @run.watch.time("plots")
        def draw(step: int) -> None:
            clusters = [
                found[..., run.history.chosen]
                for found in clusters_of(predict, shown.images, self.views.finish)
            ]
            name = f"display/step_{step:06}.png"
            with attempted(name):
                (run.folder / "display").mkdir(exist_ok=True)
                label_map_rows(
                    run.folder / name,
                    shown.images,
                    clusters,
                    num_clusters=run.options.k,
                    title=f"{run.folder.name}: segmentation, step {step:,}",
                )

        often = run.options.report.display * run.steps_per_pass
        return [Event(often, draw, at_end=True)]

    def _pairs(
        self,
        options: RunOptions,
        *,
        alike: bool = False,
        images: Split | None = None,
    ) -> tf.data.Dataset:
        """Some pairs of crops, the same at each call.

        Args:
            options: ``data`` and ``seed`` are read.
            alike: Whether patches are paired with others that look alike, of the
                images that train.
            images: Where crops come from; the images that train if None.
        """
        images = images or self.protocol.train
        number = len(images.images)
        batch = options.data.batch
        return training_crop_batches(
            images.images,
            self.views,
            repeats=1,
            batch=batch,
            seed=options.seed,
            start=0,
            steps=min(PAIR_STEPS, crops_per_pass(number, batch) // batch),
            labels=images.labels if self.masked else None,
            cells=self.cells if alike else None,
        )

    def regroup(self, model: SegmentIIC, options: RunOptions) -> Regrouped:
        """Lets main sub-heads restart from what the auxiliary ones have found."""
        places = options.segment.displacement
        if options.segment.at == "pixels":
            places = -(-places // model.stride)
        pairs = self._pairs(options, alike=True)
        sample = sample_pixels(model, pairs, displacement=places)
        lamb = iic.grouping_lamb(options.train.lamb)
        return regroup(model, sample, lamb=lamb, seed=options.seed)

    # --------------------------------------------------------------------- evaluation

    def health(self, model: SegmentIIC, options: RunOptions) -> Health:
        """State of the main sub-heads of a trained network, over some pairs."""
        stride = model.stride
        room = (self.views.side - stride) // 2
        margin = min(self.views.margin, room) // stride * stride
        count = _compile_joint(model, margin)
        joints = [count(*batch).numpy() for batch in self._pairs(options)]
        return measure(np.sum(joints, axis=0))

    def _evaluation_views(self, options: RunOptions) -> Iterator[tf.Tensor]:
        """Batches of crops of the evaluation images, in random order."""
        for crops, *_ in self._pairs(options, images=self.protocol.evaluate):
            yield crops

    def predict(self, model: SegmentIIC, **how: Any) -> Callable:
        """Compiles inference, see ``compile_segments``."""
        return compile_segments(model, margin=self.views.margin, **how)

    def scorer(
        self, model: SegmentIIC, options: RunOptions, *, at_most: int | None = None
    ) -> Scorer | None:
        """Scores the evaluation images by the protocol; None without label maps.

        Args:
            model: The network.
            options: ``k`` and ``report.match`` are read.
            at_most: Images scored at most, and mapped on at most; all if None.
        """
        scored, mapping = self.protocol.evaluate, self.protocol.mapping
        if scored.labels is None:
            return None
        if at_most is not None:
            scored = evenly(scored, at_most)
            mapping = mapping and evenly(mapping, at_most)

        def count(part: Split, predict: Callable) -> np.ndarray:
            return pixel_tables(
                predict,
                part,
                self.views.finish,
                num_clusters=options.k,
                num_classes=self.num_classes,
            )

        return Scorer(
            count, self.predict(model), scored, mapping, match=options.report.match
        )

    def evaluate(
        self,
        model: SegmentIIC,
        options: RunOptions,
        *,
        choice: Choice | None = None,
        lowest: int | None = None,
        trained: bool = False,
    ) -> Results:
        """Groups the pixels of all evaluation images and, with label maps, scores them.

        Args:
            model: The network; once its health is known it is adapted to the evaluation
                images where that is asked.
            options: ``report`` is read.
            choice: The chosen sub-head, if it is chosen already.
            lowest: The sub-head with the lowest loss in training; if None the one that
                knows most about some pairs.
            trained: Whether the run has just ended.
        """
        self._check_takes(model)
        if not trained or options.data.protocol == "holdout":
            views = partial(self._evaluation_views, options)
            tell_if_unlike(model, views, self.data, options)
        health = self.health(model, options)
        scorer = self.scorer(model, options)
        mapping = None if scorer is None else scorer.mapping_counts()
        if options.report.adapt:
            adapt(model, self._evaluation_views(options))
        return Results(
            health,
            self.data.evaluated,
            unit="pixels",
            match=options.report.match,
            counts=None if scorer is None else scorer.counts(),
            mapping_counts=mapping,
        ).choosing(choice, lowest=lowest, by_label=options.report.choose == "label")

    def draw_pairs(self, path: Path, options: RunOptions) -> None:
        """Draws crops of images above what they are paired with at first.

        Args:
            path: PNG file to write.
            options: ``data`` and ``seed`` are read.
        """
        cells = self.prepare(options).cells
        [(originals, augmented, _, _)] = training_crop_batches(
            self.images,
            self.views,
            repeats=options.data.repeats,
            batch=min(10, len(self.images)),
            seed=options.seed,
            start=0,
            steps=1,
            cells=cells,
        )
        about = " of a patch similar to their centre" if cells else ""
        pair_grid(
            path,
            [view.numpy() for view in (originals, *augmented)],
            title=f"{options.data.recipe}: crops and augmented views{about}",
        )

    # ------------------------------------------------------------------------ results

    def _check_takes(self, model: Any) -> None:
        """Raises UserError if a model does not take these images."""
        require_network(model, SegmentIIC)
        channels = model.backbone.input_shape[-1]
        require(
            self.seen_shape[-1] == channels,
            f"the model expects {channels} channels; the images must match",
            channels=self.seen_shape[-1],
        )

    def write(
        self,
        folder: Path,
        results: Results,
        options: RunOptions,
        *,
        evaluation: Evaluation,
    ) -> Outcome:
        """Writes label maps and plots of results.

        Args:
            folder: Where they go.
            results: Of all evaluation images.
            options: Of the run.
            evaluation: What they are of.
        """
        names, scored_on = self.names, evaluation.scored_on
        written = draw_segments(
            folder,
            results,
            self.protocol.evaluate,
            self.predict(evaluation.model, head=results.chosen),
            self.views.finish,
            names=names,
            title=evaluation.title,
            overlays=evaluation.overlays,
        )
        summary = summarise(results, names=names, scored_on=scored_on)

        def tell_all() -> None:
            tell(results, names=names, scored_on=scored_on)
            for line in lines:
                console.print(line)

        ious = iou_of_classes(results, names)
        lines = [] if results.table is None else iou_lines(ious, results.table)
        # of unnamed classes only those that pixels have
        summary["IoU"] = {
            name: value
            for name, value in ious.items()
            if self.class_names or value is not None
        }
        return Outcome(summary, written, tell_all)
