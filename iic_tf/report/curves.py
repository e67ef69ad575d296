"""The live learning curve: information of both banks, and errors where labels exist."""

import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from iic_tf.errors import naming
from iic_tf.names import drawable
from iic_tf.report.console import console
from iic_tf.report.notebook import Output

MAIN, AUX, ERROR, MUTED = "#2460a7", "#d08a1d", "#a23b3b", "#6b6b6b"
_ERROR_TICKS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


def has_display() -> bool:
    """Whether a window can be opened here."""
    if sys.platform in ("darwin", "win32"):
        return not os.environ.get("CI")
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _band(
    axes: Axes, steps: np.ndarray, values: np.ndarray, *, colour: str, label: str
) -> None:
    axes.fill_between(
        steps, values.min(1), values.max(1), color=colour, alpha=0.22, linewidth=0
    )
    axes.plot(steps, values.mean(1), color=colour, linewidth=1.8, label=label)


def _mark(axes: Axes, rows: Sequence[dict[str, Any]]) -> None:
    """Ticks where main sub-heads restarted; crosses and words where off track."""
    remarks = [remark for row in rows for remark in row.get("remarks", ())]
    regrouped = [
        remark["step"]
        for remark in remarks
        if "regrouped" in remark and not remark.get("refused")
    ]
    for step in regrouped:
        axes.axvline(step, color=MUTED, linewidth=0.8, ymax=0.04)
    if regrouped:
        axes.plot([], [], color=MUTED, marker="|", linestyle="", label="regrouping")
    reseeded = [remark["step"] for remark in remarks if "reseeded" in remark]
    if reseeded:
        axes.plot(
            reseeded,
            np.zeros(len(reseeded)),
            color=MAIN,
            marker="^",
            linestyle="",
            clip_on=False,
            label="lagging sub-heads restarted",
        )
    for remark in remarks:
        if "lamb_at_most" in remark:
            axes.axvline(remark["step"], color=ERROR, linewidth=0.9, linestyle=":")
            axes.annotate(
                f"λ lowered to {remark['lamb_at_most']:g}",
                (remark["step"], 0.62),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                xytext=(4, 0),
                color=ERROR,
                fontsize=8,
            )
    if lost := [row["step"] for row in rows if row.get("off_track")]:
        low = np.zeros(len(lost))
        axes.plot(
            lost,
            low,
            color=ERROR,
            marker="x",
            linestyle="",
            clip_on=False,
            label="off track",
        )


def _draw_loss(figure: Figure, rows: Sequence[dict[str, Any]], *, title: str) -> None:
    """Draws the loss of a network without sub-heads, and what it is scored by."""
    scored = [row for row in rows if row.get("errors")]
    panels = figure.subplots(2 if scored else 1, 1, sharex=True, squeeze=False)[:, 0]
    steps = [row["step"] for row in rows]
    panels[0].plot(steps, [row["loss"] for row in rows], color=MAIN, linewidth=1.8)
    if "reconstruction_error" in rows[-1]:
        panels[0].lines[0].set_label("originals and augmented views, in training")
        given_back = [row["reconstruction_error"] for row in rows]
        label = rows[-1]["scored_on"]
        panels[0].plot(steps, given_back, color=ERROR, linewidth=1.8, label=label)
        panels[0].legend(frameon=False, fontsize=9)
    panels[0].set_ylim(bottom=0)
    of_pixels = "reconstruction_error" in rows[-1]
    panels[0].set_ylabel("mean squared error" if of_pixels else "loss (nats)")
    panels[0].set_title(drawable(title), loc="left", fontsize=11)
    if scored:
        errors = [max(row["errors"][0], _ERROR_TICKS[0]) for row in scored]
        at = [row["step"] for row in scored]
        panels[1].plot(at, errors, color=ERROR, linewidth=1.8)
        panels[1].set_yscale("log")
        _plain_ticks(panels[1])
        panels[1].set_ylabel("error")
        panels[1].set_title(
            drawable(f"scored on {scored[-1]['scored_on']}"),
            loc="left", fontsize=9, color=MUTED,
        )  # fmt: skip
    _finish(panels, rows)


def _finish(panels: np.ndarray, rows: Sequence[dict[str, Any]]) -> None:
    """Labels the steps and quietens the frame."""
    panels[-1].set_xlabel(
        f"training step ({rows[-1]['passes']:.1f} passes over the images so far)"
    )
    panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#e4e4e4", linewidth=0.7)
        axes.set_axisbelow(True)
        axes.tick_params(colors=MUTED)


def draw(figure: Figure, rows: Sequence[dict[str, Any]], *, title: str) -> None:
    """Draws the learning curve into a figure, which is cleared first.

    Args:
        figure: Any matplotlib figure.
        rows: History rows with ``step``, ``passes``, ``main_information`` (nats, one
            number per sub-head), ``main_bound``, the same for ``aux`` if there is such
            a bank, and where labels exist ``errors`` (one per main sub-head),
            ``chosen``, ``scored_on`` and ``match``.
        title: Heading.
    """
    figure.clear()
    if "main_bound" not in rows[-1]:
        _draw_loss(figure, rows, title=title)
        return
    scored = [row for row in rows if row.get("errors")]
    panels = figure.subplots(2 if scored else 1, 1, sharex=True, squeeze=False)[:, 0]
    steps = np.array([row["step"] for row in rows])

    top = panels[0]
    banks = {
        bank: colour
        for bank, colour in (("main", MAIN), ("aux", AUX))
        if f"{bank}_bound" in rows[-1]
    }
    for bank, colour in banks.items():
        bound = rows[-1][f"{bank}_bound"]
        nats = np.array([row[f"{bank}_information"] for row in rows])
        k = round(float(np.exp(bound)))
        label = f"{bank} heads, {k} clusters ({nats[-1].mean():.2f} nats)"
        _band(top, steps, nats, colour=colour, label=label)
        top.axhline(bound, color=colour, linestyle=(0, (4, 3)), linewidth=0.9)
        top.annotate(
            f"ln {k} = {bound:.2f}",
            (steps[0], bound),
            textcoords="offset points",
            xytext=(2, 3),
            color=colour,
            fontsize=8,
        )
    _mark(top, rows)
    top.set_ylim(0, max(rows[-1][f"{bank}_bound"] for bank in banks) * 1.12)
    top.set_ylabel("mutual information (nats)")
    top.legend(loc="best", frameon=False, fontsize=9)
    top.set_title(drawable(title), loc="left", fontsize=11)

    if scored:
        bottom = panels[1]
        at = np.array([row["step"] for row in scored])
        errors = np.array([row["errors"] for row in scored])
        chosen = np.array([row["errors"][row["chosen"]] for row in scored])
        label = f"mean of {errors.shape[1]} sub-heads, band from best to worst"
        _band(bottom, at, errors, colour=ERROR, label=label)
        bottom.plot(
            at,
            chosen,
            color="black",
            linestyle=":",
            linewidth=1.3,
            label=f"lowest-loss sub-head ({chosen[-1]:.4f})",
        )
        bottom.set_yscale("log")
        # from the last of these below all errors to the first above
        low = max(t for t in _ERROR_TICKS if t <= max(errors.min(), _ERROR_TICKS[0]))
        high = min(t for t in _ERROR_TICKS if t >= errors.max())
        ticks = [t for t in _ERROR_TICKS if low <= t <= high]
        bottom.set_ylim(low * 0.95, high * 1.05)
        bottom.set_yticks(ticks, [f"{t:g}" for t in ticks])
        bottom.minorticks_off()
        bottom.set_ylabel(f"error ({scored[-1].get('match', 'one-to-one')})")
        bottom.set_title(
            drawable(f"scored on {scored[-1]['scored_on']}"),
            loc="left", fontsize=9, color=MUTED,
        )  # fmt: skip
        bottom.legend(loc="upper right", frameon=False, fontsize=9)
    _finish(panels, rows)


def draw_comparison(courses: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """Draws information, and errors where there are labels, of several runs.

    Args:
        courses: History rows by the name of the run.
        path: PNG file to write.
    """
    scored = any(row.get("errors") for rows in courses.values() for row in rows)
    figure = Figure(figsize=(8, 6.4 if scored else 4), dpi=110, layout="constrained")
    panels = figure.subplots(2 if scored else 1, 1, squeeze=False)[:, 0]
    for name, rows in courses.items():
        minutes = np.array([row["seconds"] / 60 for row in rows])
        nats = [
            row["main_information"][row["chosen"]]
            if "main_information" in row
            else np.nan
            for row in rows
        ]
        [line] = panels[0].plot(minutes, nats, label=drawable(name), linewidth=1.5)
        known = [row for row in rows if row.get("errors")]
        if known:
            panels[1].plot(
                [row["seconds"] / 60 for row in known],
                [row["errors"][row["chosen"]] for row in known],
                color=line.get_color(),
                linewidth=1.5,
            )
    panels[0].set_ylabel("mutual information (nats)")
    panels[0].set_title("lowest-loss sub-head of each run", loc="left", fontsize=11)
    panels[0].legend(frameon=False, fontsize=9)
    if scored:
        panels[1].set_yscale("log")
        panels[1].set_ylabel("error")
        _plain_ticks(panels[1])
    panels[-1].set_xlabel("training time (minutes)")
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#e4e4e4", linewidth=0.7)
        axes.tick_params(colors=MUTED)
    save_figure(figure, path)


def _plain_ticks(axes: Axes) -> None:
    """Errors as plain numbers on a logarithmic axis, from the tick below to above."""
    low, high = axes.get_ylim()
    low = max((t for t in _ERROR_TICKS if t <= low), default=_ERROR_TICKS[0])
    high = min((t for t in _ERROR_TICKS if t >= high), default=_ERROR_TICKS[-1])
    ticks = [t for t in _ERROR_TICKS if low <= t <= high]
    axes.set_ylim(low * 0.95, high * 1.05)
    axes.set_yticks(ticks, [f"{t:g}" for t in ticks])
    axes.minorticks_off()


class LearningCurve:
    """Keeps the learning curve on disk, and in a window or the cell of a notebook.

    Args:
        path: PNG file, replaced at each update.
        title: Heading of the figure.
        window: Whether a window may be opened, if there is a display.
    """

    def __init__(self, path: Path, *, title: str, window: bool):
        self.path = path
        self.title = title
        self._window = None
        self._notebook = Output() if window and console.is_jupyter else None
        if window and has_display() and self._notebook is None:
            self._window = _open_window()

    def update(self, rows: Sequence[dict[str, Any]]) -> None:
        """Draws the rows so far."""
        if not rows:
            return
        figure = Figure(figsize=(8, 6.4 if rows[-1].get("errors") else 4), dpi=110)
        figure.set_layout_engine("constrained")
        draw(figure, rows, title=self.title)
        save_figure(figure, self.path)
        if self._notebook is not None:
            self._notebook.plot(self.path)
        if self._window is not None:
            draw(self._window, rows, title=self.title)
            self._window.canvas.draw_idle()
            self._window.canvas.flush_events()


def _open_window() -> Figure | None:
    import matplotlib.pyplot as plt

    try:
        with warnings.catch_warnings():  # of a display that is no longer there
            warnings.simplefilter("ignore")
            plt.ion()
            figure = plt.figure("iic_tf", figsize=(8, 6.4), layout="constrained")
            figure.show()
    except Exception:  # each toolkit fails in a way of its own without a display
        return None
    return figure if matplotlib.get_backend().lower() != "agg" else None


def save_figure(figure: Figure, path: Path) -> None:
    """Writes a figure as PNG in one step, so that viewers never see half of it."""
    temporary = path.with_name(f".{path.name}")
    with naming(path):
        try:
            figure.savefig(temporary, format="png")
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
