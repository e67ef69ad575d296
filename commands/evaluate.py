"""``evaluate`` and ``predict``: a run's model on its images, or on others."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from commands.loading import load, task_of
from commands.parsing import parse_words
from commands.starting import check_backend, quiet_start
from iic_tf.errors import require
from iic_tf.options import Options
from iic_tf.run_folder import (
    OPTIONS_FILE,
    UNREADABLE_FILE,
    find_run,
    read_manifest,
)

EVALUATE_USAGE = """usage: models_iic.py evaluate RUN [options]
       models_iic.py predict RUN FOLDER

Applies the model of a finished run to its own images or to others (predict RUN FOLDER,
--data.folder NEW or --data.images NEW). The options of the run apply unless overridden.
For many images of another place, light or camera, add --report.adapt true. The results
go to a new folder inside the run folder: plots, summary.json, and assignments.csv or,
for segmentation, label maps and overlays."""


def _instead(words: Sequence[str], facts: dict[str, Any]) -> list[str]:
    """Overrides for the options of a run that do not apply to other images.

    Args:
        words: Of the command line.
        facts: The run's manifest.
    """
    named = {word.split("=", 1)[0] for word in words}
    if not named & {"--data.dir", "--data.folder", "--data.array", "--data.images"}:
        return []
    places = ("dir", "folder", "array", "images", "labels", "masks")
    instead = [*(f"{place}=null" for place in places), "protocol=all"]
    if "--data.images" in named:
        return [f"--data.{word}" for word in instead]
    if not named & {"--data.folder", "--data.array"}:
        instead.append("range=null")
    _, height, width, channels = facts["data_shape"]
    known = "--data.folder" in named  # to be brought to the size that was trained on
    instead.append(f"size={min(height, width) if known else 'null'}")
    instead.append(f"channels={channels if known and channels in (1, 3) else 'null'}")
    return [f"--data.{word}" for word in instead]


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
        "evaluate needs a run, as in: python models_iic.py evaluate runs/mnist-1",
        words=list(words),
    )
    if words[0] in ("-h", "--help"):
        print(EVALUATE_USAGE)
        return 0
    folder = find_run(words[0], out=Path(Options().out), what="evaluate")
    facts = read_manifest(folder)
    options = parse_words(
        ["--config", str(folder / OPTIONS_FILE), *_instead(words, facts), *words[1:]]
    )
    check_backend()
    with quiet_start():
        from iic_tf.report.console import console
        from iic_tf.report.files import write_unreadable
        from iic_tf.training import stored
        from iic_tf.training.checkpoints import fingerprint

    loaded = load(options, train=False)
    options, task = loaded.options, loaded.task
    described = task.data.scored_on
    if fingerprint(task.data.material) != facts["data_fingerprint"]:
        described = f"{task.data.origin}, not the images that the run was trained on"
        if getattr(task, "mapping", None) is not None:
            described += ", with clusters mapped to classes on its train split"
    console.print(f"Applied:  to {task.data.evaluated:,} images of {described}")
    choose_again = any(word.startswith("--report.choose") for word in words)
    place = stored.evaluate(
        folder, task, options, described=described, keep_choice=not choose_again
    )
    if loaded.unreadable:
        write_unreadable(place / UNREADABLE_FILE, loaded.unreadable)
    results = "labels, overlays" if options.task == "segment" else "assignments.csv"
    console.print(f"\nPlots, {results} and summary.json in {place}")
    return 0


def predict(words: Sequence[str]) -> int:
    """``predict RUN FOLDER``: applies a run's model to a folder of new images.

    Args:
        words: The run, the folder, and options as for ``evaluate``.

    Raises:
        UserError: For a mistake in the options or the data.
    """
    if words and words[0] in ("-h", "--help"):
        print(EVALUATE_USAGE)
        return 0
    require(
        len(words) >= 2
        and not words[0].startswith("-")
        and not words[1].startswith("-"),
        "predict needs a run and a folder, as in: python models_iic.py predict "
        "runs/PHOTOS-1 NEW_PHOTOS",
        words=list(words),
    )
    run, place, *others = words
    folder = find_run(run, out=Path(Options().out), what="predict")
    options = parse_words(["--config", str(folder / OPTIONS_FILE)])
    kind = "images" if task_of(options) == "segment" else "folder"
    return evaluate([str(folder), f"--data.{kind}={place}", *others])
