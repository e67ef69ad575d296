"""Segmentation: pixels of pictures are grouped. What a run needs of its pictures."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from iic_tf.augment.crops import MapViews, training_map_batches, windows_per_pass
from iic_tf.augment.pairs import Passes
from iic_tf.datasets.masks import MapSource, Pictures, all_of
from iic_tf.errors import require
from iic_tf.evaluation.health import Health, measure
from iic_tf.evaluation.inference import kept_statistics
from iic_tf.evaluation.segment_inference import MapScorer, clusters_of
from iic_tf.models.networks import SegmentIIC
from iic_tf.names import written_stems
from iic_tf.neighbours.similar_patches import Cells, find_cells
from iic_tf.options import Options, SegmentOptions
from iic_tf.report.console import Stopwatch, attempted
from iic_tf.report.plots import map_rows
from iic_tf.tasks.objectives import map_losses
from iic_tf.tasks.regroup import Regrouped, regroup_maps
from iic_tf.training.checkpoints import History
from iic_tf.training.estimate import memory_of_run, network_size
from iic_tf.training.loop import Event

PAIR_STEPS = 40
"""Batches of pairs that regroupings and the health of a network count at most."""

NUM_SHOWN = 6
"""Pictures drawn while a run goes on."""


def some_of(pictures: Pictures, at_most: int) -> Pictures:
    """At most so many pictures, evenly spaced."""
    number = len(pictures.images)
    index = np.linspace(0, number - 1, min(at_most, number)).astype(int)
    labels = pictures.labels
    return Pictures(
        [pictures.images[i] for i in index],
        None if labels is None else [labels[i] for i in index],
        tuple(pictures.names[i] for i in index),
        tuple(pictures.sizes[i] for i in index),
    )


def compile_maps(
    model: SegmentIIC,
    *,
    margin: int = 0,
    batch_statistics: bool = False,
    head: int | None = None,
) -> Callable:
    """Compiles the main sub-heads' inference once, for pictures of any size.

    Args:
        model: The network; later changes of its weights are seen.
        margin: Pixels of their mirror image around pictures, so that the network finds
            at their borders what it finds within.
        batch_statistics: Whether batch normalisation uses the statistics of the
            pictures that are given; its running ones stay as they are.
        head: The only sub-head wanted, for less work and memory; all if None.

    Returns:
        Function of images ``(n, height, width, channels)`` to soft maps ``(n, height,
        width, h, k)``.
    """
    channels = model.backbone.input_shape[-1]
    shape = tf.TensorSpec((None, None, None, channels), tf.float32)

    @tf.function(input_signature=[shape], autograph=False)
    def predict(images: tf.Tensor) -> tf.Tensor:
        height, width = tf.shape(images)[1], tf.shape(images)[2]
        around = tf.minimum(margin, (height, width))[:, None]
        none = ((0, 0),)
        padding = tf.concat((none, tf.tile(around, (1, 2)), none), axis=0)
        larger = tf.pad(images, padding, "SYMMETRIC")
        larger = tf.ensure_shape(larger, (None, None, None, channels))
        features = model.features(larger, training=batch_statistics)
        found = model.main(features)
        if head is not None:
            found = found[..., head : head + 1, :]
        pixels = model.to_pixels(found, larger)
        top, left = around[0, 0], around[1, 0]
        return pixels[:, top : top + height, left : left + width]

    if not batch_statistics:
        return predict

    def predict_and_restore(images: tf.Tensor) -> tf.Tensor:
        with kept_statistics(model):
            return predict(images)

    return predict_and_restore


def apply_map_protocol(
    source: MapSource, protocol: str
) -> tuple[Pictures, Pictures, str, Pictures | None]:
    """Chooses the training and the evaluation pictures.

    Args:
        source: All splits.
        protocol: ``"all"`` trains on all pictures and evaluates all that are labelled,
            or if none is all; ``"holdout"`` keeps the split test, or labelled_test,
            for evaluation, with clusters mapped to classes on the other labelled ones.

    Returns:
        Pictures that train, those evaluated, which these are in words, and those on
        which clusters are mapped if they are others.

    Raises:
        UserError: If a holdout is asked of a source without a test split.
    """
    splits = source.splits
    labelled = {name: part for name, part in splits.items() if part.labels is not None}
    everything = all_of(list(splits.values()))
    if protocol == "all":
        if not labelled:
            return everything, everything, "all pictures, which also trained", None
        words = f"{' + '.join(labelled)}, which also trained"
        return everything, all_of(list(labelled.values())), words, None
    test = {name: part for name, part in splits.items() if "test" in name.split("_")}
    require(
        0 < len(test) < len(splits),
        "data.protocol holdout needs a train and a test split",
        splits=list(splits),
    )
    train = [part for name, part in splits.items() if name not in test]
    mapped = [part for name, part in labelled.items() if name not in test]
    words = f"{' + '.join(test)}, which did not train"
    if mapped:
        words += ", with clusters mapped to classes on the training pictures"
    return (
        all_of(train),
        all_of(list(test.values())),
        words,
        all_of(mapped) if mapped else None,
    )


@lru_cache(maxsize=1)
def _compile_joint(model: SegmentIIC, margin: int) -> Callable:
    """Compiles once the joint of the main sub-heads for a batch of pairs.

    Args:
        model: The network.
        margin: Pixels along the sides of windows that do not count: there a network
            finds what it never finds in a picture, which has its mirror image around.
    """

    @tf.function(autograph=False)
    def count(*batch: Any) -> tf.Tensor:
        *pairs, mask = batch
        height, width = mask.shape[1:]
        inner = tf.ones((height - 2 * margin, width - 2 * margin))
        mask *= tf.pad(inner, ((margin, margin), (margin, margin)))
        results = map_losses(
            model,
            (*pairs, mask),
            lamb=tf.ones(2),
            reach=0,
            at_pixels=False,
            training=False,
        )
        return results["main"]["joint"]

    return count


@dataclass(frozen=True)
class MapTask:
    """Pictures whose pixels are to be grouped.

    Attributes:
        train: Training pictures; their label maps are used only where ``masked`` is.
        evaluate: Pictures whose label maps are predicted and, where there are any,
            scored.
        views: What is done to them.
        origin: Where they came from, in words.
        words: Which pictures are scored, for every print-out of a score.
        class_names: Names of the classes, or None.
        mapping: Pictures on which clusters are mapped to classes; None if these are
            the ones evaluated.
        scenes: Whether pictures are of scenes, see ``find_cells``.
    """

    train: Pictures
    evaluate: Pictures
    views: MapViews
    origin: str
    words: str
    class_names: tuple[str, ...] | None = None
    mapping: Pictures | None = None
    scenes: bool = False

    num_reported = 200
    """Pictures scored at a report where the user does not say."""

    @property
    def seen_shape(self) -> tuple[int | None, int | None, int]:
        """Height and width, which may be any, and channels that the network sees."""
        shape = (1, 8, 8, self.images[0].shape[2])
        seen = self.views.finish(tf.zeros(shape), tf.constant((0, 0)))
        return None, None, seen.shape[3]

    @property
    def neighbour_share(self) -> float:
        """Share of the copies that show another place, if places are compared."""
        return 1.0

    @property
    def images(self) -> Sequence[np.ndarray]:
        """Training pictures."""
        return self.train.images

    @property
    def num_evaluated(self) -> int:
        """Pictures that are scored."""
        return len(self.evaluate.images)

    @property
    def num_classes(self) -> int:
        """Classes that are told apart by the label maps."""
        if self.class_names is not None:
            return len(self.class_names)
        known = [self.evaluate, *([self.mapping] if self.mapping else [])]
        maps = [labels for part in known for labels in part.labels or ()]
        return 1 + max(int(labels[labels < 255].max(initial=0)) for labels in maps)

    def check(self, options: Options) -> None:
        """Raises UserError if options and pictures clash."""
        held_out = options.data.protocol == "holdout"  # that chooses nothing
        known = self.mapping or (self.train if held_out else self.evaluate)
        require(
            options.report.choose == "loss"
            or (known.labels is not None and self.evaluate.labels is not None),
            "report.choose label needs pictures with label maps"
            + " among those that train" * held_out,
            choose=options.report.choose,
        )
        require(
            not options.segment.masked or self.train.labels is not None,
            "segment.masked needs pictures with label maps",
            masked=options.segment.masked,
        )
        require(options.k <= 255, "k must be at most 255 for label maps", k=options.k)
        written_stems(self.evaluate.names)  # what is wrong with them is told now
        require(
            options.report.progression is None,
            "report.progression is for images, not for label maps",
            progression=options.report.progression,
        )

    def pass_sizes(self, options: Options) -> list[int]:
        """Windows that each kind of pass goes over."""
        number = len(self.images)
        size = windows_per_pass(number, options.data.batch_for(number))
        return [size] * len(options.train.order)

    def material(self, options: Options) -> list[np.ndarray]:
        """The training pictures, and what tells which pixels train."""
        masks = self.train.labels if options.segment.masked else None
        return [*self.images, *(masks or ())]

    def make_model(self, backbone: keras.Model, options: Options) -> SegmentIIC:
        """The network of a run.

        Raises:
            UserError: If windows have no whole number of its strides.
        """
        model = SegmentIIC.create(backbone, **options.banks)
        side, stride = self.views.side, model.stride
        require(
            side % stride == 0 and side >= model.least,
            f"data.perturb.window must be a multiple of {stride}, at least "
            f"{model.least}, for this network",
            window=side,
        )
        reach = options.segment.reach
        places = side if options.segment.at == "pixels" else side // stride
        require(
            reach < places or reach <= SegmentOptions().reach,
            f"segment.reach must be less than the {places} places along the side of a "
            "window",
            reach=reach,
        )
        return model

    def memory(
        self, build_backbone: Callable[[], keras.Model], options: Options, *, batch: int
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
            displacements=(2 * options.segment.reach + 1) ** 2,
        )

    def losses(self, options: Options) -> Callable[..., dict]:
        """Losses of a batch, for ``Trainer``."""
        segment = options.segment
        return partial(
            map_losses,
            reach=segment.reach,
            collapsed=segment.collapsed,
            detached=segment.detached,
            at_pixels=segment.at == "pixels",
        )

    usual_steps = 1600
    """Steps of a run where neither the user nor the recipe says any."""

    def starts_from_groups(self, options: Options) -> bool:
        """Pixels have no groups before training."""
        return False

    def prepare(self, options: Options) -> Cells | None:
        """What is found out about pictures before training: places that look alike."""
        if not options.data.neighbours:
            return None
        return find_cells(
            self.images,
            number=options.data.neighbours,
            seed=options.seed,
            scenes=self.scenes,
        )

    def batches(
        self, options: Options, passes: Passes, *, start: int, prepared: Any = None
    ) -> tf.data.Dataset:
        """Training batches from a step on."""
        return training_map_batches(
            self.images,
            self.views,
            repeats=options.data.repeats,
            batch=passes.batch,
            seed=options.seed,
            start=start,
            steps=len(passes.number),
            passes=passes,
            labels=self.train.labels if options.segment.masked else None,
            shuffle=options.data.shuffle,
            cells=prepared,
        )

    def _pairs(
        self,
        options: Options,
        *,
        prepared: Any = None,
        pictures: Pictures | None = None,
    ) -> tf.data.Dataset:
        """Some pairs of windows, the same at each call.

        Args:
            options: ``data``, ``seed`` and ``segment.masked`` are read.
            prepared: Places that look alike, of the pictures that train.
            pictures: Where windows come from; the pictures that train if None.
        """
        pictures = pictures or self.train
        number = len(pictures.images)
        batch = options.data.batch_for(number)
        return training_map_batches(
            pictures.images,
            self.views,
            repeats=1,
            batch=batch,
            seed=options.seed,
            start=0,
            steps=min(PAIR_STEPS, windows_per_pass(number, batch) // batch),
            labels=pictures.labels if options.segment.masked else None,
            cells=prepared,
        )

    def regroup(
        self, model: SegmentIIC, options: Options, *, prepared: Any = None
    ) -> Regrouped:
        """Lets main sub-heads start anew from what the auxiliary ones have found."""
        places = options.segment.reach
        if options.segment.at == "pixels":
            places = -(-places // model.stride)
        return regroup_maps(
            model, self._pairs(options, prepared=prepared), reach=places
        )

    def health(self, model: SegmentIIC, options: Options) -> Health:
        """State of the main sub-heads of a trained network, over some pairs."""
        stride = model.stride
        room = (self.views.side - stride) // 2
        margin = min(self.views.margin, room) // stride * stride
        count = _compile_joint(model, margin)
        joints = [count(*batch).numpy() for batch in self._pairs(options)]
        return measure(np.sum(joints, axis=0))

    def evaluation_views(self, options: Options) -> Iterator[tf.Tensor]:
        """Batches of windows of the evaluation pictures, in random order."""
        for windows, *_ in self._pairs(options, pictures=self.evaluate):
            yield windows

    def predict(self, model: SegmentIIC, **how: Any) -> Callable:
        """Compiles inference, see ``compile_maps``."""
        return compile_maps(model, margin=self.views.margin, **how)

    def scorer(
        self, model: SegmentIIC, options: Options, *, at_most: int | None = None
    ) -> MapScorer | None:
        """Scores the evaluation pictures by the protocol; None without label maps.

        Args:
            model: The network.
            options: ``k`` and ``report.match`` are read.
            at_most: Pictures scored at most, and mapped on at most; all if None.
        """
        if self.evaluate.labels is None:
            return None
        scored, mapping = self.evaluate, self.mapping
        if at_most is not None:
            scored, mapping = (
                some_of(scored, at_most),
                mapping and some_of(mapping, at_most),
            )
        return MapScorer(
            self.predict(model),
            scored,
            self.views.finish,
            mapping=mapping,
            num_clusters=options.k,
            num_classes=self.num_classes,
            match=options.report.match,
        )

    def events(
        self,
        options: Options,
        folder: Path,
        model: SegmentIIC,
        history: History,
        *,
        passes: Passes,
        start: int,
        watch: Stopwatch,
    ) -> list[Event]:
        """Pictures that are drawn on request while a run goes on."""
        if not options.report.display:
            return []
        predict = self.predict(model)
        shown = some_of(self.evaluate, NUM_SHOWN)

        @watch.time("pictures")
        def draw(step: int) -> None:
            clusters = [
                found[..., history.chosen]
                for found in clusters_of(predict, shown.images, self.views.finish)
            ]
            name = f"display/step_{step:06}.png"
            with attempted(name):
                (folder / "display").mkdir(exist_ok=True)
                map_rows(
                    folder / name,
                    shown.images,
                    clusters,
                    num_clusters=options.k,
                    title=f"{folder.name}: clusters of pixels, step {step:,}",
                )

        per_pass = sum(passes.sizes) // len(passes.sizes) // passes.batch
        return [Event(options.report.display * per_pass, draw, at_end=True)]
