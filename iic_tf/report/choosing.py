"""How many clusters: the table, the plot and the recommendation in words."""

from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from iic_tf.evaluation.choosing import AROUND, Advice, Evidence, peaks
from iic_tf.names import csv_text, drawable
from iic_tf.report.curves import AUX, ERROR, MAIN, MUTED, save_figure
from iic_tf.run_folder import write_atomically
from iic_tf.tuned import STABLE

CHOICE_TABLE, CHOICE_PLOT = "choose_k.csv", "choose_k.png"

MOST_OTHERS = 2
"""Other numbers that are named."""


class Terms(NamedTuple):
    """What evidence is called, which depends on what it was taken from.

    Attributes:
        told: What the clusters tell about.
        compared: What is compared for stability.
    """

    told: str
    compared: str


OF_GRAPH = Terms("neighbours", "graphs of random subsets of the images")
OF_NETWORK = Terms("augmented views", "auxiliary sub-heads")


def choice_lines(evidence: Evidence, advice: Advice) -> list[str]:
    """The table, a header and a line for each number of clusters."""
    header = f"{'k':>4}{'share of ln k':>15}{'stability':>11}"
    header += f"{'views':>8}" * (evidence.views is not None)
    header += f"{'eigengap':>10}" * (evidence.gaps is not None)
    lines, mark = [header], "recommended" if advice.clear else "a guess"
    for i, k in enumerate(evidence.numbers.tolist()):
        line = f"{k:4}{evidence.shares[i]:15.3f}{evidence.stability[i]:11.2f}"
        if evidence.views is not None:
            line += f"{evidence.views[i]:8.2f}"
        if evidence.gaps is not None:
            line += f"{evidence.gaps[i]:10.4f}"
        lines.append(line + f"  <- {mark}" * (k == advice.k))
    return lines


def advice_words(evidence: Evidence, advice: Advice, terms: Terms) -> str:
    """The recommendation and its reasons, in sentences.

    Args:
        evidence: What it rests on.
        advice: It.
        terms: What the evidence is called.
    """
    at = {int(k): i for i, k in enumerate(evidence.numbers)}

    def stability(k: int) -> str:
        return f"{evidence.stability[at[k]]:.2f}"

    def share(k: int) -> str:
        return f"{100 * evidence.shares[at[k]]:.1f} %"

    k, of_share = advice.k, advice.others[:MOST_OTHERS]
    if advice.clear:
        words = (
            f"{k} clusters: the largest k at which the information about {terms.told} "
            f"has a peak as a share of ln k ({share(k)}) while {terms.compared} agree "
            f"(ARI {stability(k)}, at least {STABLE})."
        )
        for other in of_share:
            words += (
                f" {other} would also be defensible: a coarser peak ({share(other)}, "
                f"ARI {stability(other)})."
            )
        return words
    words = (
        "No number stands out: the information about "
        f"{terms.told} has no peak as a share of ln k at which {terms.compared} agree "
        f"(ARI of at least {STABLE}). "
    )
    if at[k] in peaks(evidence.stability, around=AROUND):
        words += (
            f"{k} clusters if one must be named: the most stable of those that are "
            f"more stable than all within {AROUND} of them (ARI {stability(k)})."
        )
    else:
        words += (
            f"{k} clusters if one must be named: share ({share(k)}) and ARI "
            f"({stability(k)}) are largest together."
        )
    for other in of_share:
        words += (
            f" {other} would also be defensible: a peak of the share ({share(other)}), "
            f"though less stable (ARI {stability(other)})."
        )
    for other in advice.stable[: MOST_OTHERS - len(of_share)]:
        words += (
            f" {other} would also be defensible: the next peak of stability (ARI "
            f"{stability(other)})."
        )
    return words + " What you know about the images counts for more than this."


def write_choice(path: Path, evidence: Evidence, advice: Advice) -> None:
    """Writes the table as CSV.

    Args:
        path: File to write.
        evidence: A row for each number.
        advice: Which one is recommended.
    """
    columns = {
        "k": [int(k) for k in evidence.numbers],
        "share_of_ln_k": evidence.shares,
        "stability": evidence.stability,
        "views": evidence.views,
        "eigengap": evidence.gaps,
        "recommended": [int(k == advice.k) for k in evidence.numbers.tolist()],
    }
    there = {name: column for name, column in columns.items() if column is not None}
    rows = [
        [x if isinstance(x, int) else round(float(x), 5) for x in row]
        for row in zip(*there.values(), strict=True)
    ]
    write_atomically(path, csv_text([list(there), *rows]))


def draw_choice(
    path: Path, evidence: Evidence, advice: Advice, terms: Terms, *, title: str
) -> None:
    """Draws share and stability over the number of clusters.

    Args:
        path: PNG file to write.
        evidence: What is drawn.
        advice: Which number is marked.
        terms: What the evidence is called.
        title: What it is of.
    """
    gaps = evidence.gaps
    panels = 2 if gaps is None else 3
    figure = Figure(figsize=(8, 2.4 * panels), dpi=110, layout="constrained")
    axes = figure.subplots(panels, 1, sharex=True)
    numbers = evidence.numbers
    how = {"marker": "o", "markersize": 3.5, "linewidth": 1.5}
    axes[0].plot(numbers, evidence.shares, color=MAIN, **how)
    axes[0].set_ylabel("share of ln k")
    axes[0].set_title(
        f"{drawable(title)}: information about {terms.told}", loc="left", fontsize=11
    )
    axes[1].plot(
        numbers, evidence.stability, color=AUX, label=f"of {terms.compared}", **how
    )
    if evidence.views is not None:
        axes[1].plot(
            numbers,
            evidence.views,
            color=ERROR,
            label="of images and augmented views",
            **how,
        )
    axes[1].axhline(STABLE, color=MUTED, linewidth=0.9, linestyle=":")
    axes[1].set_ylabel("ARI")
    axes[1].set_ylim(top=1.02)
    axes[1].set_title("stability", loc="left", fontsize=11)
    axes[1].legend(frameon=False, fontsize=9)
    if gaps is not None:
        axes[2].bar(numbers, gaps, color=MUTED, width=0.5)
        axes[2].set_title(
            "eigengap of the neighbour graph (shown only)", loc="left", fontsize=11
        )
    for panel in axes:
        panel.axvline(advice.k, color=ERROR, linewidth=1.0, alpha=0.6, zorder=0)
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(axis="y", color="#e4e4e4", linewidth=0.7)
        panel.tick_params(colors=MUTED)
    axes[0].annotate(
        f"k = {advice.k}" + ", nothing stands out" * (not advice.clear),
        (advice.k, 1),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        xytext=(4, -10),
        color=ERROR,
        fontsize=10,
    )
    axes[-1].set_xlabel("clusters k")
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    save_figure(figure, path)
