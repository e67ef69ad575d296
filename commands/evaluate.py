"""``evaluate`` and ``predict``: a run's model on its images, or on others."""

import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from commands import program, typed
from commands.loading import load, task_of
from commands.parsing import parse_words
from commands.starting import check_backend, quiet_start
from iic_tf.errors import require
from iic_tf.names import storable
from iic_tf.options import Options
from iic_tf.run_folder import (
    OPTIONS_FILE,
    UNREADABLE_FILE,
    find_run,
    read_manifest,
    read_options,
)

EVALUATE_USAGE = """usage: {program} evaluate RUN [--print-only] [options]
       {program} predict RUN FOLDER [--print-only] [options]

Applies the model of a finished run to its own images or to others (predict RUN FOLDER,
--data.folder NEW or --data.images NEW). The options of the run apply unless overridden.
For many images of another place, light or camera, add --report.adapt true. The results
go to a new folder inside the run folder: plots, summary.json, and assignments.csv or,
for segmentation, label maps and overlays. With --print-only they are printed and
nothing is saved."""

PRINT_ONLY = "--print-only"


PLACES = ("dir", "folder", "array", "images", "features", "series", "tfds")


def _elsewhere(options: dict[str, Any], place: str, facts: dict[str, Any]) -> None:
    """Takes out of a run's options what does not hold for other images.

    Args:
        options: As its file has them; changed.
        place: Which option of ``data`` says where the images are.
        facts: The run's manifest.
    """
    data = options.setdefault("data", {})
    data |= dict.fromkeys((*PLACES, "labels", "masks", "limit")) | {"protocol": "all"}
    if place in ("images", "features", "series"):
        return
    _, height, width, channels = facts["data_shape"]
    known = place in ("folder", "tfds")  # to be brought to the size that was trained on
    data["size"] = min(height, width) if known else None
    data["channels"] = channels if known and channels in (1, 3) else None
    if place == "dir":
        data["range"] = None


def _place(words: Sequence[str]) -> str | None:
    """Which option says where other images are, if one does."""
    named = {word.split("=", 1)[0] for word in words}
    return next((place for place in PLACES if f"--data.{place}" in named), None)


def evaluate(words: Sequence[str]) -> int:
    """``evaluate RUN [options]``: applies a run's model to its images or to others.

    Args:
        words: The run and options that go over those of the run.

    Raises:
        UserError: For a mistake in the options or the data.
    """
    require(
        bool(words)
        and bool(words[0])
        and (words[0] in ("-h", "--help") or not words[0].startswith("-")),
        f"evaluate needs a run, as in: {typed()} evaluate runs/mnist-1",
        words=list(words),
    )
    if words[0] in ("-h", "--help"):
        print(EVALUATE_USAGE.format(program=program()))
        return 0
    folder = find_run(words[0], out=Path(Options().out), what="evaluate")
    facts, stored = read_manifest(folder), read_options(folder / OPTIONS_FILE)
    if place := _place(words[1:]):
        _elsewhere(stored, place, facts)
    given = [word for word in words[1:] if word != PRINT_ONLY]
    options = parse_words(given, over=stored)
    chosen_anew = any(word.startswith("--report.choose") for word in words)
    return _apply(
        folder,
        options,
        facts,
        keep_choice=not chosen_anew,
        print_only=PRINT_ONLY in words,
    )


def _apply(
    folder: Path,
    given: Options,
    facts: dict[str, Any],
    *,
    keep_choice: bool,
    print_only: bool,
) -> int:
    """Applies a run's model to the images that options name.

    Args:
        folder: The run.
        given: Options of the evaluation.
        facts: The run's manifest.
        keep_choice: Whether the sub-head is the one that the run has chosen.
        print_only: Whether nothing is saved.
    """
    check_backend()
    with quiet_start():
        from iic_tf.report.console import console
        from iic_tf.report.files import write_unreadable
        from iic_tf.training import stored
        from iic_tf.training.checkpoints import fingerprint

    loaded = load(given, train=False)
    options, task = loaded.options, loaded.task
    described = task.data.scored_on
    if fingerprint(task.data.material) != facts["data_fingerprint"]:
        described = f"{task.data.origin}, not the images that the run was trained on"
        if task.data.mapped_elsewhere:
            described += ", with clusters mapped to classes on its train split"
    console.print(f"Applied:  to {task.data.evaluated:,} images of {described}")
    evaluate = partial(
        stored.evaluate,
        folder,
        task,
        options,
        described=described,
        keep_choice=keep_choice,
    )
    if print_only:
        with tempfile.TemporaryDirectory() as nowhere:
            evaluate(into=Path(nowhere))
        return 0
    place = evaluate()
    if loaded.unreadable:
        write_unreadable(place / UNREADABLE_FILE, loaded.unreadable)
    special = {"segment": ", labels, overlays", "autoencode": ""}
    results = special.get(options.task or "", ", assignments.csv")
    console.print(f"\nPlots{results} and summary.json in {place}")
    return 0


def predict(words: Sequence[str]) -> int:
    """``predict RUN FOLDER``: applies a run's model to a folder of new images.

    Args:
        words: The run, the folder, and options as for ``evaluate``.

    Raises:
        UserError: For a mistake in the options or the data.
    """
    if words and words[0] in ("-h", "--help"):
        print(EVALUATE_USAGE.format(program=program()))
        return 0
    require(
        len(words) >= 2
        and not words[0].startswith("-")
        and not words[1].startswith("-"),
        f"predict needs a run and a folder, as in: {typed()} predict runs/PHOTOS-1 "
        "NEW_PHOTOS",
        words=list(words),
    )
    run, place, *others = words
    folder = find_run(run, out=Path(Options().out), what="predict")
    facts, stored = read_manifest(folder), read_options(folder / OPTIONS_FILE)
    kind = task_of(parse_words([], over=stored))
    where = "images" if kind == "segment" else "folder"
    _elsewhere(stored, where, facts)
    stored["data"][where] = storable(place)
    given = [word for word in others if word != PRINT_ONLY]
    options = parse_words(given, over=stored)
    print_only = PRINT_ONLY in others
    return _apply(folder, options, facts, keep_choice=True, print_only=print_only)
