"""Short runs of the main job on digits, one of which many tests look at."""

import contextlib
import fcntl
import io
import os
import shutil
from pathlib import Path
from typing import NamedTuple

import models_iic

TINY = {
    "data.batch": 50,
    "data.neighbours": 0,
    "data.repeats": 1,
    "graph.args.fan_out_init": 2,
    "graph.args.kernel": 3,
    "graph.args.stages": 2,
    "heads.main": 2,
    "heads.aux": 1,
    "train.steps": 8,
    "train.steps_per_call": 2,
    "train.precision": "float32",
    "train.regroup_to": 0,
    "report.every": 8,
    "report.checkpoint_every": 4,
    "report.window": "never",
}
"""A run of eight steps and one report: a small network in float32, no neighbours."""

WHOLE = {
    "data.neighbours": None,  # as many as the recipe has
    "train.precision": None,  # as the processor suggests
    "train.regroup_every": 3,
    "train.regroup_to": 0.8,
    "report.every": 4,
}
"""What makes a run of it that does all that a default one does."""


class Finished(NamedTuple):
    """A run that has ended."""

    folder: Path
    told: str

    def copy_to(self, out):
        """A copy of the run's folder that a test may change."""
        return Path(shutil.copytree(self.folder, out / self.folder.name))


def as_words(options):
    """Command line of options; those that are None are left out."""
    return [f"--{name}={value}" for name, value in options.items() if value is not None]


def words(digits_npz, folder, **changes):
    return as_words({**TINY, "data.dir": digits_npz, "out": folder, **changes})


def for_all_workers(tmp_path_factory):
    """A folder that all workers of pytest-xdist share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


def shared_run(place, arguments):
    """A finished run that the first worker to ask for it makes.

    Args:
        place: Folder of its own for what belongs to the run, in ``for_all_workers``.
        arguments: Makes the data in ``place`` and gives the command line, whose
            ``out`` is ``place / "runs"``; called at most once.
    """
    told = place / "told.txt"
    with place.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not told.exists():
            place.mkdir()
            text = io.StringIO()
            with contextlib.redirect_stdout(text):
                assert models_iic.main(arguments()) == 0
            told.write_text(text.getvalue())
    [folder] = (place / "runs").iterdir()
    return Finished(folder, told.read_text())
