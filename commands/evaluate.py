"""``evaluate`` and ``predict``: a run's model on its images, or on others."""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any

from commands import program, typed
from commands.loading import load, task_of
from commands.parsing import parse_words
from commands.starting import check_backend, quiet_start
from iic_tf.errors import require
from iic_tf.names import storable
from iic_tf.options import DataOptions, Options
from iic_tf.run_folder import (
    OPTIONS_FILE,
    UNREADABLE_FILE,
    find_run,
    read_manifest,
    read_options,
    require_new,
)

EVALUATE_USAGE = """usage: {program} evaluate RUN [--print-only] [options]
       {program} predict RUN IMAGES ... [--print-only] [options]
       {program} predict RUN IMAGES ... --into FOLDER [--copy] [--unsure] [options]

Applies the model of a finished run to its own images or to others (predict RUN IMAGES
with files and folders, --data.folder NEW or --data.images NEW). The options of the run
apply unless overridden. For many images of another place, light or camera, add
--report.adapt true. The results go to a new folder inside the run folder: plots,
summary.json, and assignments.csv or, for segmentation, label maps and overlays. With
--print-only they are printed and nothing is saved. With --into the image files are
linked, or with --copy copied, into a new FOLDER that has a folder for each cluster,
called by its number or the name that it was given, and with --unsure one more, unsure,
for images whose confidence is below report.unsure."""

PRINT_ONLY, INTO, COPY, UNSURE = "--print-only", "--into", "--copy", "--unsure"


PLACES = ("dir", "folder", "array", "images", "features", "series", "tfds")


def check_places(data: DataOptions) -> None:
    """Raises UserError if the images of a stored run are no longer where they were.

    Args:
        data: Says where.
    """
    for place in PLACES:
        value = getattr(data, place)
        require(
            value is None or place == "tfds" or Path(value).expanduser().exists(),
            f"the images of the run are not there; say with --data.{place} where they "
            "are now",
            **{place: value},
        )


_OF_IMAGES = ("only", "labels", "masks", "limit")
"""Options that hold for some images alone."""


@dataclass(frozen=True)
class Sorting:
    """Where image files go.

    Attributes:
        into: A folder that is new or empty.
        copy: Whether they are copied, not linked.
        unsure: Whether those that are unsure have a folder of their own.
    """

    into: Path
    copy: bool
    unsure: bool


def _elsewhere(options: dict[str, Any], place: str, facts: dict[str, Any]) -> None:
    """Takes out of a run's options what does not hold for other images.

    Args:
        options: As its file has them; changed.
        place: Which option of ``data`` says where the images are.
        facts: The run's manifest.
    """
    data = options.setdefault("data", {})
    data |= dict.fromkeys((*PLACES, *_OF_IMAGES)) | {"protocol": "all"}
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
    sorting: Sorting | None = None,
) -> int:
    """Applies a run's model to the images that options name.

    Args:
        folder: The run.
        given: Options of the evaluation.
        facts: The run's manifest.
        keep_choice: Whether the sub-head is the one that the run has chosen.
        print_only: Whether nothing is saved.
        sorting: Where image files go, if they go anywhere.
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
        described = task.data.origin
        described += ", not the set of images that the run was trained on"
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
    if sorting is not None:
        from iic_tf.training.sorting import sort_images

        how = {"copy": sorting.copy, "unsure": sorting.unsure}
        sort_images(folder, task, options, place, sorting.into, **how)
    return 0


def _taken_out(words: Sequence[str], option: str) -> tuple[list[str], list[str]]:
    """What an option is given, and all other words.

    Args:
        words: Of the command line.
        option: Its name, with two dashes.

    Raises:
        UserError: If it is given nothing.
    """
    values, others = [], []
    following = iter(words)
    for word in following:
        if word == option:
            values.append(next(following, ""))
        elif word.startswith(f"{option}="):
            values.append(word.partition("=")[2])
        else:
            others.append(word)
    require(all(values), f"{option} needs a value", words=list(words))
    return values, others


def _sorting(words: Sequence[str]) -> tuple[Sorting | None, list[str]]:
    """Where image files go, if they go anywhere, and all other words.

    Raises:
        UserError: If there is something in the folder.
    """
    values, others = _taken_out(words, INTO)
    copy, unsure = COPY in others, UNSURE in others
    for option, given in ((COPY, copy), (UNSURE, unsure)):
        told = f"{option} is for {INTO} FOLDER"
        require(bool(values) or not given, told, words=list(words))
    others = [word for word in others if word not in (COPY, UNSURE)]
    if not values:
        return None, others
    require(
        PRINT_ONLY not in others,
        f"{PRINT_ONLY} is used without {INTO}",
        into=values[-1],
    )
    into = Path(values[-1]).expanduser()
    require_new(into, INTO)
    return Sorting(into, copy, unsure), others


def _together(places: Sequence[str]) -> tuple[str, list[str] | None]:
    """A folder that holds files and folders, and which of what is in it these are.

    Args:
        places: Paths, at least one.

    Returns:
        The folder, and paths in it or None for all.

    Raises:
        UserError: If one of them is not there.
    """
    if len(places) == 1 and not Path(places[0]).expanduser().is_file():
        return places[0], None
    found = [Path(place).expanduser().absolute() for place in places]
    for path, place in zip(found, places, strict=True):
        require(path.exists(), "predict needs files or folders of images", images=place)
    above = [str(path if path.is_dir() else path.parent) for path in found]
    common = Path(os.path.commonpath(above))
    return str(common), [path.relative_to(common).as_posix() for path in found]


def predict(words: Sequence[str]) -> int:
    """``predict RUN IMAGES ...``: applies a run's model to new images.

    Args:
        words: The run, files and folders of images, where these are to be sorted into,
            and options as for ``evaluate``.

    Raises:
        UserError: For a mistake in the options or the data.
    """
    if words and words[0] in ("-h", "--help"):
        print(EVALUATE_USAGE.format(program=program()))
        return 0
    sorting, others = _sorting(words)
    places = list(takewhile(lambda word: not word.startswith("-"), others))
    require(
        len(places) >= 2,
        f"predict needs a run and images, as in: {typed()} predict runs/PHOTOS-1 "
        "NEW_PHOTOS",
        words=list(words),
    )
    others = others[len(places) :]
    folder = find_run(places[0], out=Path(Options().out), what="predict")
    facts, stored = read_manifest(folder), read_options(folder / OPTIONS_FILE)
    kind = task_of(parse_words([], over=stored))
    require(
        sorting is None or not sorting.unsure or kind not in ("classify", "finetune"),
        f"{UNSURE} needs a run that clusters images",
        task=kind,
    )
    require(
        sorting is None or kind not in ("segment", "autoencode"),
        f"{INTO} needs a run that tells a cluster or a class of each image",
        task=kind,
    )
    where = "images" if kind == "segment" else "folder"
    place, only = _together(places[1:])
    _elsewhere(stored, where, facts)
    stored["data"][where] = storable(place)
    given = [word for word in others if word != PRINT_ONLY]
    options = parse_words(given, over=stored)
    if only is not None:
        options = replace(options, data=replace(options.data, only=only))
    return _apply(
        folder,
        options,
        facts,
        keep_choice=True,
        print_only=PRINT_ONLY in others,
        sorting=sorting,
    )
