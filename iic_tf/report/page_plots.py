"""Where things stand in the plots of the report's page: curves, tree, map.

All results are plain numbers and texts that the template writes as SVG, so that the
plots take the colours of the page, light or dark.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from iic_tf.evaluation.confidence import Reliability
from iic_tf.neighbours.grouping import Merge

WIDTH, HEIGHT = 640, 260
"""Of a chart, in units of its SVG."""

LEFT, RIGHT, TOP, BOTTOM = 52, 14, 16, 40
"""Margins of a chart."""

ERROR_TICKS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)

MOST_LEAVES = 60
"""Leaves that a tree is drawn with at most; below them branches are whole."""

ROW, TREE_LEFT, TREE_WIDTH, TREE_TOP = 24, 176, 700, 8
"""Height of a leaf, where branches begin and end, and where the first leaf is."""

MAP_WIDTH, MAP_HEIGHT, MAP_EDGE = 640, 520, 14
"""Of the map, and what stays free around it."""


def _dots(x: np.ndarray, y: np.ndarray) -> str:
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))


# ------------------------------------------------------------------------------ curves


@dataclass(frozen=True)
class Curve:
    """A line with a band around it.

    Attributes:
        style: Name of its colour in the style sheet: ``main``, ``aux`` or ``error``.
        label: What it shows.
        line: Points of the line.
        band: Outline of the band, empty without one.
        marks: Points, for courses of a few reports.
    """

    style: str
    label: str
    line: str
    band: str
    marks: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Chart:
    """A chart, mostly over training steps.

    Attributes:
        title: What is on its vertical axis.
        text: What it shows, for those who cannot see it.
        curves: Its lines.
        bounds: Style, height and label of horizontal lines.
        x_ticks: Place and label of each tick.
        y_ticks: Likewise.
        moments: Places of moments below the lines, such as regroupings.
        across: What is on its horizontal axis.
    """

    title: str
    text: str
    curves: Sequence[Curve]
    bounds: Sequence[tuple[str, float, str]]
    x_ticks: Sequence[tuple[float, str]]
    y_ticks: Sequence[tuple[float, str]]
    moments: Sequence[float] = ()
    across: str = "training step"


def _along(steps: np.ndarray) -> tuple[Any, list[tuple[float, str]]]:
    """Steps to places on the horizontal axis, and its ticks."""
    low, high = 0.0, float(max(steps.max(), 1))

    def place(values: Any) -> Any:
        share = (np.asarray(values, float) - low) / (high - low)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    ticks = MaxNLocator(nbins=5, integer=True).tick_values(low, high)
    return place, [(float(place(t)), f"{t:,.0f}") for t in ticks if low <= t <= high]


def _curve(x: np.ndarray, values: np.ndarray, up: Any, style: str, label: str) -> Curve:
    """A curve of the mean of sub-heads, values ``(reports, h)``, and their range."""
    mean = up(values.mean(axis=1))
    low, high = up(values.min(axis=1)), up(values.max(axis=1))
    band = ""
    if values.shape[1] > 1:
        band = f"{_dots(x, high)} {_dots(x[::-1], low[::-1])}"
    few = len(x) <= 40
    marks = list(zip(x.tolist(), mean.tolist(), strict=True)) if few else []
    return Curve(style, label, _dots(x, mean), band, marks)


def _height(share: Any) -> Any:
    return HEIGHT - BOTTOM - np.asarray(share, float) * (HEIGHT - TOP - BOTTOM)


def charts(rows: Sequence[dict[str, Any]]) -> list[Chart]:
    """Charts of mutual information, and of errors where there are labels.

    Args:
        rows: Reports, as ``history.jsonl`` has them.
    """
    last = rows[-1]
    if "main_bound" not in last:
        return []
    place, x_ticks = _along(np.array([row["step"] for row in rows]))
    banks = [bank for bank in ("main", "aux") if f"{bank}_bound" in last]
    top = 1.1 * max(last[f"{bank}_bound"] for bank in banks)

    def up(nats: Any) -> Any:
        return _height(np.asarray(nats, float) / top)

    x = np.asarray(place([row["step"] for row in rows]))
    curves, bounds, told = [], [], []
    for bank in banks:
        nats = np.array([row[f"{bank}_information"] for row in rows])
        bound = last[f"{bank}_bound"]
        k, kind = round(float(np.exp(bound))), "main" if bank == "main" else "auxiliary"
        heads = f"{nats.shape[1]} {kind} sub-head{'s' * (nats.shape[1] != 1)}"
        label = f"{heads}, {k} clusters each"
        curves.append(_curve(x, nats, up, bank, label))
        bounds.append((bank, float(up(bound)), f"ln {k} = {bound:.2f}"))
        told.append(f"{label}: {nats[0].mean():.2f} to {nats[-1].mean():.2f} nats")
    remarks = [remark for row in rows for remark in row.get("remarks", ())]
    moments = [float(place(r["step"])) for r in remarks if "regrouped" in r]
    nats_ticks = MaxNLocator(nbins=5).tick_values(0, top)
    found = [
        Chart(
            "mutual information (nats)",
            f"Mutual information over {last['step']:,} steps. {'; '.join(told)}.",
            curves,
            bounds,
            x_ticks,
            [(float(up(t)), f"{t:g}") for t in nats_ticks if 0 <= t <= top],
            moments,
        )
    ]
    scored = [row for row in rows if row.get("errors")]
    if scored:
        found.append(_errors(scored, place, x_ticks))
    return found


def _errors(scored: Sequence[dict[str, Any]], place: Any, x_ticks: Any) -> Chart:
    """A chart of errors, on a logarithmic axis."""
    errors = np.array([row["errors"] for row in scored])
    least = ERROR_TICKS[0]
    low = max(t for t in ERROR_TICKS if t <= max(errors.min(), least))
    high = min(t for t in ERROR_TICKS if t >= min(errors.max(), 1.0))
    low = low if low < high else high / 2

    def up(error: Any) -> Any:
        kept = np.clip(np.asarray(error, float), low, high)
        return _height(np.log(kept / low) / np.log(high / low))

    x = np.asarray(place([row["step"] for row in scored]))
    label = f"{errors.shape[1]} main sub-heads on {scored[-1]['scored_on']}"
    ticks = [t for t in ERROR_TICKS if low <= t <= high]
    return Chart(
        "error",
        f"Error of the main sub-heads, from {errors[0].mean():.4f} to "
        f"{errors[-1].mean():.4f} on average.",
        [_curve(x, errors, up, "error", label)],
        (),
        x_ticks,
        [(float(up(t)), f"{t:g}") for t in ticks],
    )


def reliability_chart(found: Reliability) -> Chart:
    """A chart of accuracy against confidence.

    Args:
        found: The bins.
    """

    def along(share: Any) -> Any:
        return LEFT + np.asarray(share, float) * (WIDTH - LEFT - RIGHT)

    x, y = along(found.confidence), _height(found.accuracy)
    ends = np.array((0.0, 1.0))
    marks = list(zip(x.tolist(), y.tolist(), strict=True))
    told = ", ".join(
        f"{accuracy:.2f} at {confidence:.2f} ({number:,} images)"
        for number, confidence, accuracy in zip(*found, strict=True)
    )
    ticks = np.linspace(0, 1, 6)
    return Chart(
        "accuracy",
        f"Accuracy against confidence: {told}.",
        [
            Curve("main", f"images in {len(x)} bins", _dots(x, y), "", marks),
            Curve(
                "aux",
                "as sure as right; below it too sure",
                _dots(along(ends), _height(ends)),
                "",
                (),
            ),
        ],
        (),
        [(float(along(t)), f"{t:.1f}") for t in ticks],
        [(float(_height(t)), f"{t:.1f}") for t in ticks],
        across="confidence",
    )


# -------------------------------------------------------------------------------- tree


@dataclass(frozen=True)
class Leaf:
    """A branch that is not drawn further.

    Attributes:
        members: Overclusters in it.
        y: Its height.
    """

    members: tuple[int, ...]
    y: float


@dataclass(frozen=True)
class Branch:
    """A merger of two branches.

    Attributes:
        path: The line that joins them, as the ``d`` of an SVG path.
        members: Overclusters in it.
    """

    path: str
    members: tuple[int, ...]


@dataclass(frozen=True)
class Tree:
    """How overclusters join.

    Attributes:
        leaves: From top to bottom.
        branches: Mergers, in their order.
        height: Of the drawing.
        ticks: Place and label of ticks of information.
        cut: Where k branches are left, or None.
        whole: Information of all overclusters, in nats.
    """

    leaves: Sequence[Leaf]
    branches: Sequence[Branch]
    height: int
    ticks: Sequence[tuple[float, str]]
    cut: float | None
    whole: float


def lay_out_tree(whole: float, merges: Sequence[Merge], *, k: int) -> Tree:
    """Places of leaves and branches, the leaves at the left.

    Args:
        whole: Information of all overclusters, in nats.
        merges: See ``grouping.merge_tree``; at least one.
        k: Clusters, where the tree is cut.
    """
    number = len(merges) + 1
    hidden = max(number - MOST_LEAVES, 0)
    members: dict[int, tuple[int, ...]] = {i: (i,) for i in range(number)}
    for merge in merges[:hidden]:
        members[merge.kept] += members.pop(merge.merged)
    # from the root down: what is merged stands below what it is merged into
    order = [merges[-1].kept]
    for merge in reversed(merges[hidden:]):
        order.insert(order.index(merge.kept) + 1, merge.merged)
    top = whole if whole > 0 else 1.0

    def x(nats: float) -> float:
        return TREE_LEFT + (1 - nats / top) * (TREE_WIDTH - TREE_LEFT - 12)

    leaves = [
        Leaf(members[one], TREE_TOP + ROW * (i + 0.5)) for i, one in enumerate(order)
    ]
    at = {
        one: (float(TREE_LEFT), leaf.y) for one, leaf in zip(order, leaves, strict=True)
    }
    branches = []
    for merge in merges[hidden:]:
        (x0, y0), (x1, y1) = at[merge.kept], at.pop(merge.merged)
        joined = x(merge.information)
        members[merge.kept] += members.pop(merge.merged)
        path = f"M{x0:.1f} {y0:.1f}H{joined:.1f}V{y1:.1f}H{x1:.1f}"
        branches.append(Branch(path, members[merge.kept]))
        at[merge.kept] = (joined, (y0 + y1) / 2)
    cut = None
    if 1 < k < number:
        before = merges[number - k - 1].information
        cut = (x(before) + x(merges[number - k].information)) / 2
    ticks = [
        (x(t), f"{t:g}")
        for t in np.asarray(MaxNLocator(nbins=5).tick_values(0, top)).tolist()
        if 0 <= t <= top
    ]
    height = TREE_TOP + ROW * len(leaves) + 44
    return Tree(leaves, branches, height, ticks, cut, whole)


def cut_tree(merges: Sequence[Merge], k: int) -> np.ndarray:
    """The branch that each overcluster is in when k are left, shape ``(K,)``."""
    groups = np.arange(len(merges) + 1)
    for merge in merges[: max(len(groups) - k, 0)]:
        groups[groups == merge.merged] = merge.kept
    return np.unique(groups, return_inverse=True)[1]


# --------------------------------------------------------------------------------- map


def lay_out_map(places: np.ndarray) -> np.ndarray:
    """Places in the plane brought into the map, one scale for both axes.

    Args:
        places: Shape ``(n, 2)``.

    Returns:
        Whole numbers, shape ``(n, 2)``.
    """
    low, high = places.min(axis=0), places.max(axis=0)
    room = np.array([MAP_WIDTH, MAP_HEIGHT]) - 2 * MAP_EDGE
    scale = float((room / np.maximum(high - low, 1e-9)).min())
    middle = np.array([MAP_WIDTH, MAP_HEIGHT]) / 2
    return np.rint(middle + (places - (low + high) / 2) * scale).astype(int)


def map_labels(places: np.ndarray, clusters: np.ndarray) -> dict[int, tuple[int, int]]:
    """Where the number of each cluster stands: the image nearest to their median."""
    found = {}
    for cluster in np.unique(clusters).tolist():
        mine = places[clusters == cluster]
        apart = np.linalg.norm(mine - np.median(mine, axis=0), axis=1)
        x, y = mine[apart.argmin()].tolist()
        found[cluster] = (x, y)
    return found
