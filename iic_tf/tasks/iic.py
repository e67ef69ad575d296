"""What all tasks of Invariant Information Clustering share beside their losses.

The objective over both banks of sub-heads, the report of how much they know, and the
callbacks: regrouping, and guarding against sub-heads that lag or are off track.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from iic_tf.augment.pairs import Passes
from iic_tf.evaluation.health import OFF_TRACK_SHARE, describe, is_degenerate, measure
from iic_tf.options import Lambda
from iic_tf.report.sentences import error_words
from iic_tf.resolved import RunOptions, RunTrain
from iic_tf.tasks.regroup import Regrouped
from iic_tf.training.checkpoints import History
from iic_tf.training.loop import Event
from iic_tf.training.task import Callbacks, Row, Run
from iic_tf.training.trainer import Loss, Objective
from iic_tf.tuned import GAIN_SHARE

BANKS = ("main", "aux")

PairLosses = Callable[..., dict[str, dict[str, tf.Tensor]]]
"""See ``tasks.objectives``: results of each bank for a batch."""


# ---------------------------------------------------------------------- the objective


def start_steps(options: RunTrain, *, steps: int) -> int:
    """Steps at the beginning that learn the groups found before training.

    Args:
        options: ``start`` and ``regroup_every`` are read.
        steps: Of the whole run.
    """
    # a whole number of the steps between regroupings, so that one ends the start
    every, share = options.regroup_every, options.start * steps
    return min(round(share / every), (steps - 1) // every) * every or round(share)


def course(lamb: Lambda, steps: int) -> np.ndarray:
    """λ at each step, float32, shape ``(steps,)``.

    Args:
        lamb: A number, or points [share of the run, value].
        steps: Of the whole run.
    """
    points = lamb if isinstance(lamb, list) else [(0.0, lamb)]
    at, values = zip(*points, strict=True)
    return np.interp(np.arange(steps) / steps, at, values).astype("f4")


def grouping_lamb(lamb: Lambda) -> float:
    """λ by which groups are found: the last one of the run, at most 1.

    Below 1 clusters of equal size count for less, in the loss and in groups alike.
    Above 1 it helps training on its way; groups are those with the most information.

    Args:
        lamb: ``train.lamb``.
    """
    last = lamb[-1][1] if isinstance(lamb, list) else lamb
    return min(float(last), 1.0)


def _loss_of_banks(pair_losses: PairLosses, trained: Sequence[str]) -> Loss:
    """The mean loss of the sub-heads of each bank that trains, added up.

    Args:
        pair_losses: Gives the results of each bank.
        trained: Names of the banks; of those that rest only the forward pass is
            worked out, for reports.
    """

    def loss(
        model: Any, batch: Any, scalars: Mapping[str, tf.Tensor]
    ) -> tuple[tf.Tensor, dict[str, Any]]:
        lamb = (scalars["lamb"], scalars["lamb_aux"])
        parts, logs = [], {}
        for bank, result in pair_losses(model, batch, lamb=lamb).items():
            logs[f"{bank}_loss"], logs[f"{bank}_joint"] = (
                result["loss"],
                result["joint"],
            )
            if bank not in trained:
                continue
            part = tf.reduce_mean(result["loss"])
            if "cross_entropy" in result:
                learned = tf.reduce_mean(result["cross_entropy"])
                part = (1 - scalars["start"]) * part + scalars["start"] * learned
            parts.append(part)
        return tf.add_n(parts), logs

    return loss


def objective(
    options: RunTrain, passes: Passes, pair_losses: PairLosses, *, start: int = 0
) -> Objective:
    """What is minimised: the loss of the banks that each kind of pass trains.

    Args:
        options: ``lamb``, ``lamb_aux`` and ``order`` are read.
        passes: Of the run.
        pair_losses: Results of each bank for a batch.
        start: Steps at the beginning that only learn groups found before.
    """
    steps = len(passes.number)
    scheduled = {
        "lamb": course(options.lamb, steps),
        "lamb_aux": course(options.lamb_aux, steps),
        "start": (np.arange(steps) < start).astype("f4"),
    }
    losses = [_loss_of_banks(pair_losses, heads.split("+")) for heads in options.order]
    return Objective(
        tuple(losses), scheduled, ("lamb",), kind=passes.kind, shown="main_loss"
    )


# -------------------------------------------------------------------------- the report


def report(
    sums: dict[str, np.ndarray], history: History, *, step: int, start: int
) -> Row:
    """Mutual information and losses of the sub-heads since the last report.

    Args:
        sums: Logs of ``objective``, summed over ``sums["steps"]`` steps.
        history: Reports so far; its remarks are taken.
        step: Steps trained so far.
        start: Steps at the beginning that learn groups found before; a run is off
            track only after as many others.

    Returns:
        Row with, per bank, losses, information, entropies and bound; ``chosen``, the
        main sub-head with the lowest loss; ``off_track``, whether even the best main
        sub-head knows next to nothing; ``lagging``, the main sub-heads clearly behind
        the best; ``remarks``, what was done beside training; and ``words``.
    """
    row: Row = {"words": []}
    for bank in BANKS:
        if f"{bank}_joint" not in sums:
            continue
        health = measure(sums[f"{bank}_joint"])
        row[f"{bank}_loss"] = (sums[f"{bank}_loss"] / sums["steps"]).tolist()
        row[f"{bank}_information"] = health.information.tolist()
        row[f"{bank}_entropy"] = health.entropy.tolist()
        row[f"{bank}_conditional"] = health.conditional.tolist()
        row[f"{bank}_bound"] = health.bound
        if bank == "main":
            row["chosen"] = int(sums["main_loss"].argmin())
            judged = max(step - start, 0)
            row["words"] = describe(health, steps=judged)
            if step <= start:
                row["words"].append(
                    f"Until step {start:,} the network learns the clusters of the "
                    "neighbour graph."
                )
            row["off_track"] = is_degenerate(health, steps=judged)
            row["lagging"] = health.lagging.tolist()
    row["remarks"], history.remarks = history.remarks, []
    row["words"] += [remark_words(remark) for remark in row["remarks"]]
    return row


def remark_words(remark: dict[str, Any]) -> str:
    """What was done in a run beside training, as a sentence.

    Args:
        remark: ``step``, and ``regrouped``, the information of each grouping, perhaps
            ``refused``, or ``reseeded``, sub-heads, with their ``source``, or
            ``lamb_at_most``, or ``plateau``, reports without a gain, with ``of``, the
            steps of the whole run, or ``output``, which was closed.
    """
    if "output" in remark:
        return f"At step {remark['step']:,} the output was closed; the run continued."
    if "plateau" in remark:
        number = remark["plateau"]
        last = "the last report" if number == 1 else f"the last {number} reports"
        return (
            f"The main sub-heads gained no mutual information in {last}: the run ends "
            f"at step {remark['step']:,} of {remark['of']:,}."
        )
    if "reseeded" in remark:
        heads = ", ".join(map(str, remark["reseeded"]))
        return (
            f"At step {remark['step']:,} the lagging sub-heads restarted from sub-head "
            f"{remark['source']}: {heads}."
        )
    if remark.get("refused"):
        return (
            f"At step {remark['step']:,} no regrouping had more mutual information of "
            "neighbours than the main sub-heads, which are kept."
        )
    if "regrouped" in remark:
        return (
            f"At step {remark['step']:,} all main sub-heads restarted from the best "
            f"regrouping ({max(remark['regrouped']):.2f} nats)."
        )
    return (
        f"At step {remark['step']:,} lambda was lowered to {remark['lamb_at_most']:g} "
        "for the rest of the run: larger values keep the main sub-heads uniform."
    )


# ----------------------------------------------------------------------- the callbacks


@dataclass(frozen=True)
class Regroupings:
    """When main sub-heads restart from the best grouping.

    Attributes:
        first: The first step at which they may.
        last: The last one; 0 for never.
        every: Steps between.
    """

    first: int
    last: float
    every: int

    @classmethod
    def planned(cls, options: RunOptions, *, start: int, steps: int) -> "Regroupings":
        """Those of a run.

        Args:
            options: ``train`` and ``heads.aux`` are read.
            start: Steps that learn groups found before; a late start ends with one.
            steps: Of the whole run.
        """
        last = options.train.regroup_to * steps
        if last:
            last = max(last, start)
        if not options.heads.aux:
            last = 0
        return cls(start, last, options.train.regroup_every)

    def due(self, step: int) -> bool:
        """Whether there is one at a step."""
        return 0 < self.last and self.first <= step <= self.last


def regrouping(
    run: Run, when: Regroupings, regroup: Callable[[], Regrouped]
) -> tuple[Event, Callable[[int], dict[str, Any]]]:
    """The event of regrouping, and regrouping out of turn.

    Args:
        run: Its history gets the remarks.
        when: Steps at which main sub-heads restart.
        regroup: Does it.

    Returns:
        The event, and a function of the step that regroups and gives the remark.
    """

    def restart(step: int) -> dict[str, Any]:
        found = regroup()
        return {
            "step": step,
            "regrouped": found.information.tolist(),
            "sources": found.sources.tolist(),
            "refused": found.refused,
        }

    def restart_if_due(step: int) -> None:
        if when.due(step):
            run.history.remarks.append(restart(step))

    return Event(when.every, run.watch.time("regrouping")(restart_if_due)), restart


def put_right(
    run: Run,
    row: Row,
    when: Regroupings,
    restart: Callable[[int], dict[str, Any]],
) -> dict[str, Any] | None:
    """Helps main sub-heads that have almost no information, or lag.

    Args:
        run: Its network and λ are changed.
        row: The report; what it says of health is read.
        when: Planned regroupings.
        restart: Regroups out of turn.

    Returns:
        A remark on what was done, or None.
    """
    step = row["step"]
    if not row["off_track"]:
        # Before the last regrouping another one will come, and a report with one in
        # it is of two generations of sub-heads.
        late = 0 < when.last < step < run.steps
        fresh = any("regrouped" in remark for remark in row["remarks"])
        if row["lagging"] and late and not fresh:
            best = int(np.argmax(row["main_information"]))
            run.model.main.reseed(row["lagging"], best)
            return {"step": step, "reseeded": row["lagging"], "source": best}
        return None
    if run.trainer.scheduled("lamb") > 1 and run.options.train.lower_lamb:
        run.trainer.at_most["lamb"].assign(1.0)
        return {"step": step, "lamb_at_most": 1.0}
    knows = "aux_bound" in row and (
        max(row["aux_information"]) > OFF_TRACK_SHARE * row["aux_bound"]
    )
    if knows and when.last > 0 and step < run.steps:
        return restart(step)
    return None


def guard(
    run: Run, when: Regroupings, restart: Callable[[int], dict[str, Any]]
) -> Callable[[Row], None]:
    """Acts on the problems that a report finds, and says so in it."""

    def act(row: Row) -> None:
        if remark := put_right(run, row, when, restart):
            row["remarks"].append(remark)
            row["words"].append(remark_words(remark))

    return act


def has_plateaued(rows: Sequence[Row], *, patience: int, after: float) -> bool:
    """Whether the main sub-heads gain no mutual information any more.

    Args:
        rows: All reports, in order.
        patience: The last so many of them are compared with those before.
        after: Reports up to this step do not count.

    Returns:
        Whether the best of the last reports gained less than ``GAIN_SHARE`` of the
        bound on the best before; never if a run is off track.
    """
    known = [
        max(row["main_information"]) / row["main_bound"]
        for row in rows
        if row["step"] > after and "main_information" in row
    ]
    if len(known) <= patience or rows[-1]["off_track"]:
        return False
    return max(known[-patience:]) < max(known[:-patience]) + GAIN_SHARE


def end_on_plateau(run: Run, *, after: float) -> Callable[[Row], None]:
    """Ends a run that gains no mutual information any more, and says so in a report.

    Args:
        run: Its ``train.patience`` is read.
        after: The last step at which main sub-heads are changed from outside.
    """

    def act(row: Row) -> None:
        patience, step = run.options.train.patience, row["step"]
        rows = [*run.history.rows, row]
        if step < run.steps and has_plateaued(rows, patience=patience, after=after):
            remark = {"step": step, "plateau": patience, "of": run.steps}
            row["remarks"].append(remark)
            row["words"].append(remark_words(remark))
            run.stop.finished = True

    return act


def scoring(
    scorer: Any, *, scored_on: str, batch_statistics: Callable | None = None
) -> Callable[[Row], None]:
    """Adds the error of every main sub-head to a report; it alone sees labels.

    Args:
        scorer: See ``evaluation.results.Scorer``.
        scored_on: Which images are scored, as text.
        batch_statistics: Predicts with the statistics of batches; adds a second set of
            errors.
    """

    def act(row: Row) -> None:
        row["errors"] = scorer.errors().tolist()
        row["scored_on"], row["match"] = scored_on, scorer.match
        if batch_statistics is not None:
            row["errors_batch_statistics"] = scorer.errors(batch_statistics).tolist()
        row["words"] += error_words(
            row["errors"], chosen=row["chosen"], scored_on=scored_on
        )

    return act


def callbacks(
    run: Run,
    *,
    regroup: Callable[[], Regrouped],
    score: Callable[[Row], None] | None,
    start: int = 0,
    plots: Sequence[Event] = (),
) -> Callbacks:
    """Reports, regrouping, what helps sub-heads that lag, and scores.

    Args:
        run: The run.
        regroup: Regroups its network.
        score: Adds scores to a report, where there are labels.
        start: Steps at the beginning that learn groups found before.
        plots: Plots that are drawn on request.
    """
    when = Regroupings.planned(run.options, start=start, steps=run.steps)
    event, restart = regrouping(run, when, regroup)
    on_report = [guard(run, when, restart), *([score] if score else [])]
    if run.options.train.patience:
        on_report.append(end_on_plateau(run, after=max(when.last, start)))

    def make_row(sums: dict[str, np.ndarray], step: int) -> Row:
        return report(sums, run.history, step=step, start=start)

    return Callbacks(make_row, on_report, [event], plots)
