"""Stored runs: model and summary written, found again, applied to other images."""

import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from iic_tf.errors import UserError, first_line, naming, require
from iic_tf.evaluation.confidence import Calibration
from iic_tf.evaluation.inference import unlikeness
from iic_tf.evaluation.results import Choice
from iic_tf.models.frozen import behind_trunk
from iic_tf.report.console import attempted, clock, console
from iic_tf.report.curves import draw_comparison
from iic_tf.report.events import FOLDER, EventFiles
from iic_tf.resolved import RunOptions
from iic_tf.run_folder import (
    CURVE_FILE,
    MODEL_FILE,
    OPTIONS_FILE,
    SUMMARY_FILE,
    make_run_folder,
    read_history,
    read_options,
    read_summary,
    write_atomically,
)
from iic_tf.training.task import Evaluation, Task, TaskData, Trained

UNLIKE = 0.1
"""Of images whose ``unlikeness`` is larger, users are told."""

MIN_UNLIKE = 50
"""Of fewer images what they show counts for more than their light."""


def save_model(model: keras.Model, folder: Path) -> None:
    """Writes the network into a run folder, whole or not at all."""
    unfinished = folder / f".unfinished.{MODEL_FILE}"
    with naming(folder / MODEL_FILE):
        try:
            model.save(unfinished)
            os.replace(unfinished, folder / MODEL_FILE)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise


def load_model(folder: Path) -> keras.Model:
    """The network of a finished run.

    Args:
        folder: The run.

    Raises:
        UserError: If there is none, or it cannot be read.
    """
    path = folder / MODEL_FILE
    require(
        path.is_file(),
        f"the run {folder} has no {MODEL_FILE} yet; resume it to finish it",
        run=str(folder),
    )
    try:
        model = keras.models.load_model(path)
    except Exception as error:  # damage surfaces as any of a dozen kinds
        raise UserError(f"{path} cannot be read: {first_line(error)}") from None
    chosen = (read_summary(folder) or {}).get("chosen", 0)
    main = getattr(model, "main", None)
    require(
        main is None or chosen < main.num_heads,
        f"{folder / SUMMARY_FILE} belongs to another network than {path.name}",
        chosen=chosen,
    )
    return model


def require_network(model: keras.Model, kind: type[keras.Model]) -> None:
    """Raises UserError unless a network is of the kind that a task makes."""
    require(
        isinstance(model, kind),
        f"the model must be a network of iic_tf, {kind.__name__}",
        model=type(model).__name__,
    )


def kept_choice(folder: Path) -> Choice | None:
    """The sub-head that a run has chosen and why; None if it has chosen none yet."""
    before = read_summary(folder)
    if before is None or "chosen" not in before:
        return None
    known = before.get("calibration")
    calibration = known and Calibration(**known)
    by = f"by the run: {before['chosen_by']}"
    return Choice(before["chosen"], by, calibration)


def chosen_heads(folder: Path, model: keras.Model) -> dict[str, int]:
    """The sub-head that a run has chosen, and the auxiliary one with the lowest loss.

    Args:
        folder: The run, finished.
        model: Its network.

    Returns:
        Number of the sub-head by the name of its bank.

    Raises:
        UserError: If the run has no reports.
    """
    last, summary = read_history(folder)[-1], read_summary(folder)
    heads = {"main": last["chosen"] if summary is None else summary["chosen"]}
    if model.aux is not None and (told := last.get("aux_information")):
        heads["aux"] = int(np.argmax(told[: model.aux.num_heads]))
    return heads


def tell_if_unlike(
    model: Any,
    views: Callable[[], Iterable[tf.Tensor]],
    data: TaskData,
    options: RunOptions,
) -> None:
    """Warns if images are unlike those that a network was trained on.

    Args:
        model: The network.
        views: Gives batches of views of the evaluation images.
        data: How many these are.
        options: ``report.adapt`` is read.
    """
    if options.report.adapt:
        console.print("Adapted:  batch normalisation, to these images")
        return
    if data.evaluated < MIN_UNLIKE:
        return
    apart = unlikeness(model, views())
    if apart > UNLIKE:
        console.print(
            f"Unlike:   {apart:.2f} standard deviations from the training images in "
            "the network's features (another place, light or camera?). If you have "
            "many such images, of all kinds, evaluate them with report.adapt true, "
            "which adapts batch normalisation to them."
        )


def write_summary(folder: Path, summary: dict[str, Any]) -> None:
    """Writes summary.json into a folder of results."""
    write_atomically(folder / SUMMARY_FILE, json.dumps(summary, indent=2) + "\n")


def _scored_on(described: str, options: RunOptions) -> str:
    """Which images are scored, and what of them the network has been given."""
    adapted = ", with batch normalisation adapted to them" * options.report.adapt
    return described + adapted


def finish(
    trained: Trained,
    options: RunOptions,
    *,
    results: Any = None,
    trunk: keras.Model | None = None,
) -> bool:
    """Saves and evaluates the network of a run, writes and prints what came out.

    Args:
        trained: The run.
        options: Of the run.
        results: Of its network, where it is evaluated already.
        trunk: What the network is saved behind: the frozen part of a backbone whose
            features it was trained on; None if it was trained on images.

    Returns:
        Whether there is nothing worth keeping.
    """
    task, model, folder = trained.task, trained.model, trained.folder
    with trained.watch.time("results"):
        whole = model if trunk is None else behind_trunk(trunk, model)
        save_model(whole, folder)
        if results is None:
            results = task.evaluate(model, options, lowest=trained.lowest, trained=True)
        if results.mended:
            save_model(whole, folder)
        scored_on = _scored_on(task.data.scored_on, options)
        evaluation = Evaluation(model, folder.name, scored_on)
        outcome = task.write(folder, results, options, evaluation=evaluation)
    write_summary(
        folder,
        outcome.summary
        | {
            "steps": trained.step,
            "train_seconds": round(trained.seconds, 1),
            "seconds": {name: round(t, 1) for name, t in trained.watch.seconds.items()},
        },
    )
    if options.report.tensorboard:
        with attempted(FOLDER):
            plots = {path.stem: path for path in sorted(folder.glob("*.png"))}
            plots.pop(Path(CURVE_FILE).stem, None)  # the last report has written it
            EventFiles(folder).write({}, plots, step=trained.step)
    console.print(f"\nTime:     {trained.watch}.")
    took = f"Trained for {clock(trained.seconds)}. " if trained.step else ""
    console.print(f"{took}Results in {folder}:")
    for line in (
        *([f"{CURVE_FILE}  learning curve"] if trained.step else []),
        *outcome.written,
        f"{MODEL_FILE}         the network",
    ):
        console.print(f"  {line}")
    outcome.tell()
    return results.degenerate(steps=trained.step)


def evaluate(
    folder: Path,
    task: Task,
    options: RunOptions,
    *,
    described: str | None = None,
    keep_choice: bool = True,
    into: Path | None = None,
) -> Path:
    """Applies the model of a finished run to images, its own or others.

    Args:
        folder: The run.
        task: The images.
        options: Of the run, over which go those of the evaluation.
        described: Which images these are; if None as the task says.
        keep_choice: Whether the sub-head is the one that the run has chosen, so that
            its clusters keep their numbers.
        into: Where the files of the results go; a new folder inside the run's if None.

    Returns:
        Folder with the files of the results.

    Raises:
        UserError: If there is no model or the images are not what it takes.
    """
    model = load_model(folder)
    choice = kept_choice(folder) if keep_choice else None
    results = task.evaluate(model, options, choice=choice)
    place = into or make_run_folder(folder, name=None, prefix="evaluation")
    scored_on = _scored_on(described or task.data.scored_on, options)
    outcome = task.write(
        place,
        results,
        options,
        evaluation=Evaluation(model, folder.name, scored_on, overlays=True),
    )
    write_summary(place, outcome.summary)
    outcome.tell()
    return place


def compare(folders: Sequence[Path], *, plot: Path) -> None:
    """Prints a table of runs and plots their learning curves together.

    Args:
        folders: Runs.
        plot: PNG file to write.

    Raises:
        UserError: If a folder holds no run.
    """
    courses = {str(folder): read_history(folder) for folder in folders}
    width = max(len(str(folder)) for folder in folders) + 2
    console.print(
        f"{'run':{width}}{'graph':12}{'k':>4}{'steps':>9}{'minutes':>9}{'nats':>7}"
        f"{'chosen':>9}{'mean':>8}{'best':>8}{'worst':>8}  errors on",
        style="bold",
    )
    for folder in folders:
        stored = read_options(folder / OPTIONS_FILE)
        graph = (stored.get("graph") or {}).get("name") or "-"
        row = courses[str(folder)][-1]
        done = read_summary(folder) or row
        chosen = done.get("chosen", 0)
        nats = done.get("information") or row.get("main_information")
        line = (
            f"{folder!s:{width}}{graph:12}{stored.get('k', '-'):4}"
            f"{row['step']:9,}{row['seconds'] / 60:9.1f}"
            f"{f'{nats[chosen]:.3f}' if nats else '-':>7}"
        )
        if "reconstruction_error" in done:
            given_back = f"reconstruction error {done['reconstruction_error']:.5f}"
            line += f"  {given_back:33}  {done['scored_on']}"
        elif done.get("errors"):
            errors = np.array(done["errors"])
            line += (
                f"{errors[chosen]:9.4f}{errors.mean():8.4f}{errors.min():8.4f}"
                f"{errors.max():8.4f}  {done['scored_on']}"
            )
        else:
            line += f"{'':35}no labels"
        console.print(line)
    draw_comparison(courses, plot)
    console.print(f"Plot:     {plot}")
