"""What happens at each report: callables that take the report's row of the history.

A row is a dict of plain numbers and lists that is passed on from action to action, so
an action may add to it (scores) or use it (pictures, words, files). The loop knows none
of them.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from iic_tf.evaluation.health import describe, is_degenerate, measure
from iic_tf.evaluation.inference import Scorer
from iic_tf.report.console import Training, attempted
from iic_tf.report.curves import LearningCurve
from iic_tf.training.checkpoints import History

Action = Callable[[dict[str, Any]], None]


def make_row(
    history: History, *, step: int, passes: float, start_steps: int = 0
) -> dict[str, Any]:
    """Closes the sums since the last report and returns a row with health and words.

    Args:
        history: Its sums are taken.
        step: Steps trained so far.
        passes: Passes over the images so far.
        start_steps: Steps at the beginning that learn groups found before; a run is
            off track only after as many others.

    Returns:
        Row with ``step``, ``seconds``, ``passes``; per bank the losses, information,
        entropies and bound; ``chosen``, the main sub-head with the lowest loss;
        ``off_track``, whether even the best main sub-head knows next to nothing;
        ``lagging``, the main sub-heads clearly behind the best; and ``words``.
    """
    sums = history.take()
    row: dict[str, Any] = {
        "step": step,
        "seconds": round(history.seconds, 3),
        "passes": passes,
    }
    for bank in ("main", "aux"):
        if f"{bank}_joint" not in sums:
            continue
        health = measure(sums[f"{bank}_joint"])
        row[f"{bank}_loss"] = sums[f"{bank}_loss"].tolist()
        row[f"{bank}_information"] = health.information.tolist()
        row[f"{bank}_entropy"] = health.entropy.tolist()
        row[f"{bank}_conditional"] = health.conditional.tolist()
        row[f"{bank}_bound"] = health.bound
        if bank == "main":
            row["chosen"] = int(sums["main_loss"].argmin())
            judged = max(step - start_steps, 0)
            row["words"] = describe(health, steps=judged)
            if step <= start_steps:
                row["words"].append(
                    f"Up to step {start_steps:,} the network learns the groups of the "
                    "neighbour graph."
                )
            row["off_track"] = is_degenerate(health, steps=judged)
            row["lagging"] = health.lagging.tolist()
    row["remarks"], history.remarks = history.remarks, []
    row["words"] += [remark_words(remark) for remark in row["remarks"]]
    return row


def remark_words(remark: dict[str, Any]) -> str:
    """What was done in a run beside training, in words.

    Args:
        remark: ``step``, and ``regrouped``, the information of each grouping, perhaps
            ``refused``, or ``reseeded``, sub-heads, with their ``source``, or
            ``lamb_at_most``, or ``output``, which was closed.
    """
    if "output" in remark:
        return f"At step {remark['step']:,} the output was closed; the run went on."
    if "reseeded" in remark:
        heads = ", ".join(map(str, remark["reseeded"]))
        return (
            f"At step {remark['step']:,} what lagged started anew from sub-head "
            f"{remark['source']}: {heads}."
        )
    if remark.get("refused"):
        return (
            f"At step {remark['step']:,} no regrouping knew more about neighbours than "
            "the main sub-heads, which stay as they are."
        )
    if "regrouped" in remark:
        return (
            f"At step {remark['step']:,} all main sub-heads started anew from the best "
            f"grouping ({max(remark['regrouped']):.2f} nats)."
        )
    return (
        f"At step {remark['step']:,} lambda was lowered to {remark['lamb_at_most']:g} "
        "for the rest of the run: more holds the main sub-heads at uniform."
    )


def score(
    scorer: Scorer, *, scored_on: str, batch_statistics: Callable | None = None
) -> Action:
    """Adds the error of every main sub-head; the only action that sees labels.

    Args:
        scorer: Has the images and their classes.
        scored_on: Which images these are, in words.
        batch_statistics: Predicts with the statistics of batches; adds a second set of
            errors.
    """

    def act(row: dict[str, Any]) -> None:
        row["errors"] = scorer.errors().tolist()
        row["scored_on"], row["match"] = scored_on, scorer.match
        if batch_statistics is not None:
            row["errors_batch_statistics"] = scorer.errors(batch_statistics).tolist()

    return act


def record(history: History, path: Path) -> Action:
    """Appends the row to the history and rewrites its file."""

    def act(row: dict[str, Any]) -> None:
        history.rows.append(row)
        history.write(path)

    return act


def draw_curve(history: History, curve: LearningCurve) -> Action:
    """Redraws the learning curve from all rows so far."""

    def act(row: dict[str, Any]) -> None:
        with attempted(curve.path.name):
            curve.update(history.rows)

    return act


HEADS_PER_LINE = 10
"""Errors of so many sub-heads stand in one line of a report."""


def error_words(errors: Sequence[float], *, chosen: int, scored_on: str) -> list[str]:
    """Errors in words: of the lowest-loss sub-head, then of each.

    Args:
        errors: Of every main sub-head, shape ``(h,)``.
        chosen: The sub-head with the lowest loss.
        scored_on: Which images are scored, in words.

    Returns:
        A sentence, and where there are several sub-heads lines of up to
        ``HEADS_PER_LINE`` errors, in their order.
    """
    values = np.asarray(errors)
    first = f"Error {values[chosen]:.4f} in the lowest-loss sub-head, {chosen}"
    if len(values) == 1:
        return [f"{first} ({scored_on})."]
    lines = [
        f"{first}; mean {values.mean():.4f}, best {values.min():.4f}, worst "
        f"{values.max():.4f} of {len(values)} ({scored_on})."
    ]
    for start in range(0, len(values), HEADS_PER_LINE):
        some = values[start : start + HEADS_PER_LINE]
        heads = f"{start} to {start + len(some) - 1}" if len(some) > 1 else f"{start}"
        listed = " ".join(f"{error:.4f}" for error in some)
        lines.append(f"Errors of sub-heads {heads}: {listed}")
    return lines


def say(training: Training, row: dict[str, Any]) -> None:
    """Prints a row in plain words.

    Args:
        training: Prints it above its progress line.
        row: See ``make_row``; with ``errors`` where there are labels.
    """
    sentences = list(row["words"])
    if "errors" in row:
        sentences += error_words(
            row["errors"], chosen=row["chosen"], scored_on=row["scored_on"]
        )
    training.report(row["step"], sentences)
