"""Short runs of the main job on digits, one of which many tests look at."""

import contextlib
import io
import shutil
from pathlib import Path
from typing import NamedTuple

import models_iic

TINY = {
    "data.batch": 50,
    "data.neighbours": 0,
    "graph.args.fan_out_init": 2,
    "graph.args.kernel": 3,
    "heads.main": 2,
    "heads.aux": 1,
    "train.steps": 8,
    "train.steps_per_call": 2,
    "train.regroup_to": 0,
    "report.every": 8,
    "report.checkpoint_every": 4,
    "report.window": "never",
}
"""Options of a run of eight steps and one report, without neighbours."""

WHOLE = {
    "data.neighbours": None,  # as many as the recipe has
    "train.regroup_every": 3,
    "train.regroup_to": 0.8,
    "report.every": 4,
}
"""What makes a run of all that a default one does: neighbours, regroupings, reports."""


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


def finish(arguments, out):
    """Runs the main job, which must end well, in a folder without other runs."""
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        assert models_iic.main(arguments) == 0
    [folder] = out.iterdir()
    return Finished(folder, told.getvalue())
