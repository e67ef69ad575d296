"""What came out of a network: of images as wholes, or of their pixels; all scores.

The currency is contingency tables ``(h, k, classes)``: whoever evaluates counts, and
everything that labels can tell follows from the counts, for images and pixels alike.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from iic_tf.evaluation.confidence import Calibration, Reliability, reliability
from iic_tf.evaluation.health import Health, is_degenerate
from iic_tf.evaluation.metrics import (
    BY_CLASS,
    MAPPINGS,
    class_iou,
    clustering_scores,
    matched_errors,
)

BY_GRAPH = "neighbour graph"
BY_LOSS = "lowest loss"
BY_VIEWS = "highest mutual information of augmented views"
BY_LABEL = "lowest error, using labels"


class Choice(NamedTuple):
    """The chosen sub-head, why it was chosen, and how sure it is, where that is known.

    A calibration belongs to a sub-head, and is kept with it for other images.
    """

    head: int
    by: str
    calibration: Calibration | None = None


FIRST = Choice(0, BY_VIEWS)


@dataclass(frozen=True)
class Scorer:
    """Errors of all main sub-heads on labelled images, by one protocol.

    Attributes:
        count: Takes a part, labelled, and what predicts; gives contingency tables
            ``(h, k, classes)``.
        predict: The usual inference.
        scored: What is scored, as ``count`` takes it.
        mapping: What clusters are mapped to classes on; None if it is what is scored.
        match: One of ``metrics.MATCHES``.
    """

    count: Callable[[Any, Callable], np.ndarray]
    predict: Callable
    scored: Any
    mapping: Any | None
    match: str

    def counts(self) -> np.ndarray:
        """Tables of what is scored."""
        return self.count(self.scored, self.predict)

    def mapping_counts(self, predict: Callable | None = None) -> np.ndarray | None:
        """Tables of what clusters are mapped on; None if it is what is scored.

        Args:
            predict: Takes the place of the usual inference.
        """
        if self.mapping is None:
            return None
        return self.count(self.mapping, predict or self.predict)

    def errors(self, predict: Callable | None = None) -> np.ndarray:
        """Errors after the match, shape ``(h,)``; 0 to 1, lower better.

        Args:
            predict: Takes the place of the usual inference.
        """
        predict = predict or self.predict
        tables, mapping = self.count(self.scored, predict), self.mapping_counts(predict)
        return matched_errors(tables, match=self.match, mapping=mapping)


@dataclass(frozen=True)
class Results:
    """What a network makes of the evaluation images.

    Attributes:
        health: Of the main sub-heads, over pairs.
        number: Images evaluated.
        unit: What is counted: ``images`` or ``pixels``.
        match: How clusters are mapped to classes, one of ``metrics.MAPPINGS``.
        choice: The chosen sub-head.
        counts: Images, or pixels, per sub-head, cluster and class, ``(h, k,
            classes)``; None without labels.
        mapping_counts: The same of what clusters are mapped to classes on; None where
            it is what is scored.
        soft: Soft assignments of whole images, float32, ``(n, h, k)``, or None.
        confidence: Of each image in its cluster, calibrated, ``(n,)``; None where it is
            the probability by the chosen sub-head.
        labels: Class of each image, ``(n,)``, or None.
        errors_batch_statistics: Errors with the statistics of batches, ``(h,)``, where
            they were asked for.
        mended: Why the network is not what training has left, if it was mended.
    """

    health: Health
    number: int
    unit: str = "images"
    match: str = "one-to-one"
    choice: Choice = FIRST
    counts: np.ndarray | None = None
    mapping_counts: np.ndarray | None = None
    soft: np.ndarray | None = None
    confidence: np.ndarray | None = None
    labels: np.ndarray | None = None
    errors_batch_statistics: np.ndarray | None = None
    mended: str | None = None

    def degenerate(self, *, steps: int) -> bool:
        """Whether there are no clusters worth keeping after so many steps.

        Never of classes that were taught: their error says it all.
        """
        return self.match != BY_CLASS and is_degenerate(self.health, steps=steps)

    @property
    def chosen(self) -> int:
        """Number of the chosen sub-head."""
        return self.choice.head

    @cached_property
    def clusters(self) -> np.ndarray | None:
        """Cluster of each image in each sub-head, ``(n, h)``; None of pixels."""
        return None if self.soft is None else self.soft.argmax(-1)

    @cached_property
    def sure(self) -> np.ndarray | None:
        """Confidence of each image in its cluster, ``(n,)``; None of pixels."""
        if self.soft is None or self.confidence is not None:
            return self.confidence
        return self.soft[:, self.chosen].max(axis=-1)

    @cached_property
    def reliability(self) -> Reliability | None:
        """How often images of like confidence are right; None without labels."""
        if self.labels is None or self.classes is None:
            return None
        if self.clusters is None or self.sure is None:
            return None
        right = self.classes[self.clusters[:, self.chosen]] == self.labels
        return reliability(self.sure, right)

    @cached_property
    def mappings(self) -> np.ndarray | None:
        """Class of each cluster of each sub-head, ``(h, k)``, -1 for none."""
        known = self.counts if self.mapping_counts is None else self.mapping_counts
        if known is None:
            return None
        return np.stack([MAPPINGS[self.match](table) for table in known])

    @cached_property
    def scores(self) -> dict[str, np.ndarray] | None:
        """Scores by name, each ``(h,)``, higher better; of pixels also the mean IoU."""
        if self.counts is None or self.mappings is None:
            return None
        scores = clustering_scores(self.counts, mapping=self.mapping_counts)
        if self.unit == "pixels":
            pairs = zip(self.counts, self.mappings, strict=True)
            scores["mean IoU"] = np.array([np.nanmean(class_iou(*p)) for p in pairs])
        return scores

    @property
    def errors(self) -> np.ndarray | None:
        """Error of every sub-head after the match, ``(h,)``."""
        if self.counts is None:
            return None
        return matched_errors(
            self.counts, match=self.match, mapping=self.mapping_counts
        )

    @property
    def mapping_errors(self) -> np.ndarray | None:
        """The same of what clusters are mapped on, where that is something else."""
        if self.mapping_counts is None:
            return None
        return matched_errors(self.mapping_counts, match=self.match)

    @property
    def classes(self) -> np.ndarray | None:
        """Class of each cluster of the chosen sub-head, ``(k,)``, -1 for none."""
        return None if self.mappings is None else self.mappings[self.chosen]

    @property
    def table(self) -> np.ndarray | None:
        """Contingency table of the chosen sub-head, ``(k, classes)``."""
        return None if self.counts is None else self.counts[self.chosen]

    def choosing(
        self, choice: Choice | None, *, lowest: int | None, by_label: bool
    ) -> "Results":
        """The same with a sub-head chosen.

        Args:
            choice: The chosen sub-head, if it is chosen already.
            lowest: The sub-head with the lowest loss in training; if None the one that
                has the most mutual information of augmented views.
            by_label: Whether labels choose, where there are any; what is held out
                chooses nothing.
        """
        found = Choice(self.health.best, BY_VIEWS)
        if lowest is not None:
            found = Choice(lowest, BY_LOSS)
        if by_label and self.errors is not None:
            mapping = self.mapping_errors
            judged = self.errors if mapping is None else mapping
            found = Choice(int(np.argmin(judged)), BY_LABEL)
        return replace(self, choice=choice or found)
