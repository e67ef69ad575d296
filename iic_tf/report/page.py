"""The report of a run as one HTML file that needs nothing else.

Everything that came from outside, such as names of files, passes Jinja's escaping, and
a content security policy lets the page run its own script only and load nothing.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from iic_tf.names import escaped
from iic_tf.report.page_plots import (
    MAP_HEIGHT,
    MAP_WIDTH,
    ROW,
    TREE_LEFT,
    TREE_TOP,
    TREE_WIDTH,
    Chart,
    Tree,
)
from iic_tf.report.page_words import count, percent
from iic_tf.report.plots import map_colours, summed_up

PAGE_FILE = "report.html"
DUPLICATES_FILE = "duplicates.csv"
OUTLIERS_FILE = "outliers.csv"

NEARLY_ALL = 0.9
"""Share of a branch's images in one cluster from which it has the cluster's colour."""

SHADES = 10
"""Depths of colour of a table's cells."""


@dataclass(frozen=True)
class Shown:
    """An image on the page.

    Attributes:
        src: Data URI.
        alt: What it is, for those who cannot see it.
        note: What stands below it, or nothing.
    """

    src: str
    alt: str
    note: str = ""


@dataclass(frozen=True)
class Row:
    """Images of a cluster that were picked in one way.

    Attributes:
        title: What they are: typical, borderline, random.
        shown: They.
        nothing: What stands in their place where there are none.
    """

    title: str
    shown: Sequence[Shown]
    nothing: str = ""


@dataclass(frozen=True)
class Cluster:
    """A cluster on the page.

    Attributes:
        number: Its number.
        size: Images in it, or pixels.
        share: Of all.
        confidence: Mean probability of its images in it, or None.
        alike: The cluster it shares most with and the share, or None.
        matched: Class that it is matched with, where there are labels.
        rows: Images of it; none where there are too many clusters.
    """

    number: int
    size: int
    share: float
    confidence: float | None = None
    alike: tuple[int, float] | None = None
    matched: str | None = None
    rows: Sequence[Row] = ()


@dataclass(frozen=True)
class Map:
    """Images in the plane.

    Attributes:
        points: Place of each, whole numbers, shape ``(n, 2)``.
        clusters: Cluster of each.
        names: Name of each.
        confidence: Of each in its cluster.
        labels: Place of each cluster's number.
        sprite: All of them in one image, as a data URI.
        square: Side of each in it, in pixels.
        columns: Images in its rows.
        how: How they were laid out, as text.
    """

    points: np.ndarray
    clusters: np.ndarray
    names: Sequence[str]
    confidence: np.ndarray
    labels: Mapping[int, tuple[int, int]]
    sprite: str
    square: int
    columns: int
    how: str

    @property
    def data(self) -> dict[str, Any]:
        """What the script of the page needs."""
        return {
            "points": self.points.tolist(),
            "clusters": self.clusters.tolist(),
            "names": [escaped(name) for name in self.names],
            "confidence": np.round(self.confidence, 2).tolist(),
            "square": self.square,
            "columns": self.columns,
        }


@dataclass(frozen=True)
class MergeTree:
    """The tree of overclusters, and what its leaves show.

    Attributes:
        tree: Where all of it stands.
        table: Images looked at in each overcluster and cluster, shape ``(K, k)``.
        shown: Typical images of each leaf.
        text: What it tells, as sentences.
        kind: ``overclusters`` or ``clusters``.
    """

    tree: Tree
    table: np.ndarray
    shown: Sequence[Sequence[Shown]]
    text: Sequence[str]
    kind: str

    def counts_of(self, members: Sequence[int]) -> np.ndarray:
        """Images of a branch in each cluster, shape ``(k,)``."""
        return self.table[list(members)].sum(axis=0)

    def main_of(self, members: Sequence[int]) -> int | None:
        """The cluster that nearly all images of a branch are in; None if none is."""
        counts = self.counts_of(members)
        main = int(counts.argmax())
        return main if counts[main] >= NEARLY_ALL * counts.sum() else None


@dataclass(frozen=True)
class Pair:
    """Two images side by side, or an outlier and what is nearest to it."""

    first: Shown
    second: Shown
    note: str


@dataclass(frozen=True)
class Unusual:
    """Near-duplicates and outliers.

    Attributes:
        duplicates: The nearest pairs.
        duplicates_text: How many there are, and how they were found.
        outliers: The images that are farthest from all others.
        outliers_text: Likewise.
    """

    duplicates: Sequence[Pair]
    duplicates_text: str
    outliers: Sequence[Pair]
    outliers_text: str


@dataclass(frozen=True)
class Table:
    """A table of shares with shaded cells.

    Attributes:
        caption: What it shows.
        columns: Their headings.
        rows: Heading and shares, 0 to 1, of each row.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[float]]]

    @classmethod
    def of_classes(
        cls, table: np.ndarray, names: Sequence[str], *, unit: str
    ) -> "Table":
        """The clusters of each class.

        Args:
            table: Contingency table, shape ``(k, classes)``.
            names: Names of the classes.
            unit: ``images`` or ``pixels``.
        """
        counts, shown = summed_up(table, names)
        by_class, columns = summed_up(counts.T, [str(i) for i in range(len(table))])
        shares = by_class / np.maximum(by_class.sum(axis=1, keepdims=True), 1)
        rows = list(zip(shown, shares.tolist(), strict=True))
        caption = f"Of the {unit} of each class (row), percent in each cluster (column)"
        return cls(caption, columns, rows)


@dataclass(frozen=True)
class Overlay:
    """An image of a segmentation and its clusters over it."""

    name: str
    image: Shown
    overlay: Shown
    shares: str


@dataclass(frozen=True)
class Page:
    """All that is on the page.

    Attributes:
        title: Name of the run.
        heading: What it did, in a line.
        unit: What is counted: ``images`` or ``pixels``.
        tiles: Figures in a row: value, and what it is.
        summary: What was found, as sentences.
        advice: What to do next.
        clusters: All clusters.
        clusters_text: What is said about all of them, or nothing.
        charts: Learning curves.
        about: Facts about the run: what, and the fact.
        options: The options, as text.
        files: Other files of the run, and what they hold.
        repeat: Command that repeats the run.
        naming: Command that reads ``names.json``; None where there is none.
        names: Names that clusters have already.
        key: Tells pages of different runs apart.
        pixelated: Whether images are so small that they are enlarged with hard edges.
        labels_note: What labels had a part in.
        map: Images in the plane, or None.
        tree: How clusters join, or None.
        unusual: Near-duplicates and outliers, or None.
        scores: Scores of the chosen sub-head, mean, best and worst, where there are
            labels.
        scored: What is scored and how, as text.
        confusion: Where the classes are.
        overlays: Of a segmentation.
        unsure: Images whose confidence is low, or None.
        reliability: Accuracy against confidence, where there are labels.
    """

    title: str
    heading: str
    unit: str
    tiles: Sequence[tuple[str, str]]
    summary: Sequence[str]
    advice: Sequence[str]
    clusters: Sequence[Cluster]
    charts: Sequence[Chart]
    about: Sequence[tuple[str, str]]
    options: str
    files: Sequence[tuple[str, str]]
    repeat: str
    key: str
    labels_note: str = ""
    pixelated: bool = False
    clusters_text: str = ""
    naming: str | None = None
    names: Mapping[int, str] = field(default_factory=dict)
    map: Map | None = None
    tree: MergeTree | None = None
    unusual: Unusual | None = None
    scores: Sequence[tuple[str, Sequence[float]]] = ()
    scored: str = ""
    confusion: Table | None = None
    overlays: Sequence[Overlay] = ()
    unsure: Row | None = None
    reliability: Chart | None = None


def _clean(value: Any) -> Any:
    """Text without what could turn or break a line; anything else as it is."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return escaped(value, keep="\n")


def _hash(text: str) -> str:
    """A source of a content security policy that allows just this text."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def render(page: Page) -> str:
    """The page as HTML.

    Args:
        page: What is on it.
    """
    here = Path(__file__).parent
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(here),
        autoescape=True,
        finalize=_clean,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "count": count}
    style, script = (
        (here / f"page.{kind}").read_text(encoding="utf-8") for kind in ("css", "js")
    )
    colours = map_colours(len(page.clusters))
    policy = (
        "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; "
        f"style-src {_hash(style)}; script-src {_hash(script)}"
    )
    return environment.get_template("page.html").render(
        page=page,
        policy=policy,
        style=Markup(style),
        script=Markup(script),
        colours=["#{:02x}{:02x}{:02x}".format(*rgb) for rgb in colours.tolist()],
        shade=lambda share: min(round(share * SHADES), SHADES),
        largest=max((cluster.share for cluster in page.clusters), default=1.0) or 1.0,
        map_size=(MAP_WIDTH, MAP_HEIGHT),
        tree_size=(TREE_LEFT, TREE_WIDTH, TREE_TOP, ROW),
        script_data={
            "key": page.key,
            "names": {str(i): name for i, name in page.names.items()},
            "map": page.map.data if page.map else None,
        },
    )
