"""Save and resume: the history of a run, its checkpoints, its manifest.

A checkpoint holds weights, optimiser, step and history together, so what is resumed
fits together too. TensorFlow writes it under other names and points to it last: a
checkpoint that was being written when the process died is never the one that is read.
"""

import hashlib
import json
import os
import platform
import re
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from iic_tf.errors import UserError, first_line, naming
from iic_tf.run_folder import write_atomically


class History(tf.train.experimental.PythonState):
    """What happened so far: one row per report, and the sums since the last one.

    Attributes:
        rows: Reports; plain numbers, strings and lists.
        seconds: Time so far, over all resumes, with reports and checkpoints.
        remarks: What was done since the last report, such as regroupings, with steps.
        pending: Sums of what is logged since the last report, float64, and under
            ``"steps"`` the number of steps they cover.
    """

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[dict[str, Any]] = []
        self.seconds = 0.0
        self.remarks: list[dict[str, Any]] = []
        self.pending: dict[str, np.ndarray] = {}

    @property
    def chosen(self) -> int:
        """The main sub-head with the lowest loss at the last report, or the first."""
        return self.rows[-1].get("chosen", 0) if self.rows else 0

    def add(self, results: Mapping[str, np.ndarray], *, steps: int) -> None:
        """Adds the sums of ``Trainer.run`` over ``steps`` steps."""
        for name, value in {**results, "steps": np.array(float(steps))}.items():
            self.pending[name] = self.pending.get(name, 0.0) + value

    def take(self) -> dict[str, np.ndarray]:
        """Sums since the last call, with the ``"steps"`` they cover; then cleared."""
        sums, self.pending = self.pending, {}
        return sums

    def serialize(self) -> str:
        """The state as JSON; floats survive exactly."""
        return json.dumps(
            {
                "rows": self.rows,
                "seconds": self.seconds,
                "remarks": self.remarks,
                "pending": {name: v.tolist() for name, v in self.pending.items()},
            }
        )

    def deserialize(self, string_value: bytes | str) -> None:
        """Restores what ``serialize`` gave."""
        state = json.loads(string_value)
        self.rows = state["rows"]
        self.seconds = state["seconds"]
        self.remarks = state["remarks"]
        self.pending = {name: np.array(v) for name, v in state["pending"].items()}

    def write(self, path: Path) -> None:
        """Writes the rows as JSON lines."""
        lines = "".join(json.dumps(row) + "\n" for row in self.rows)
        write_atomically(path, lines)


class Checkpoints:
    """The checkpoints of one run, the newest two of which are kept.

    Args:
        folder: Where they are kept; made at the first save.
        **parts: What is saved: model, optimizer, step, history.

    Attributes:
        passed_over: Newer checkpoints that could not be read, and why.
    """

    def __init__(self, folder: Path, **parts: Any):
        self.folder = folder
        self.passed_over: list[str] = []
        self._checkpoint = tf.train.Checkpoint(**parts)
        self._manager: tf.train.CheckpointManager | None = None  # from the first save

    def _listed(self) -> list[str]:
        """Checkpoints that TensorFlow's file ``checkpoint`` lists, the oldest first.

        None where that is missing or damaged. A run that was moved has them, too.
        """
        try:
            text = (self.folder / "checkpoint").read_bytes().decode("utf-8", "replace")
        except OSError:
            return []
        kept = re.findall(
            r'^all_model_checkpoint_paths: "(?:.*/)?(ckpt-\d+)"$', text, re.MULTILINE
        )
        return [name for name in kept if (self.folder / f"{name}.index").is_file()]

    @property
    def _names(self) -> list[str]:
        """Checkpoints, the oldest first: those listed, else all that are complete."""
        complete = [
            index.stem
            for index in self.folder.glob("ckpt-*.index")
            if list(self.folder.glob(f"{index.stem}.data-?????-of-?????"))
        ]
        return self._listed() or sorted(complete, key=_step_of)

    def move_to(self, folder: Path) -> None:
        """Lets all that is saved from now on go to another folder.

        Args:
            folder: Without checkpoints.
        """
        self.folder, self._manager = folder, None

    def save(self, step: int) -> None:
        """Saves the state after ``step`` steps, and removes what a kill has left.

        Raises:
            OSError: If the file system has no room for it; what was saved stays.
        """
        for left in self.folder.glob("ckpt-*temp*"):
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)
        if self._manager is None:
            if (names := self._names) and not self._listed():
                lines = [f'model_checkpoint_path: "{names[-1]}"']
                lines += [f'all_model_checkpoint_paths: "{name}"' for name in names]
                now = f"all_model_checkpoint_timestamps: {time.time()}"
                lines += [now] * len(names)
                write_atomically(self.folder / "checkpoint", "\n".join(lines) + "\n")
            self._manager = tf.train.CheckpointManager(
                self._checkpoint, str(self.folder), max_to_keep=2
            )
        with naming(self.folder / f"ckpt-{step}"):
            self._manager.save(checkpoint_number=step)

    @property
    def last_step(self) -> int | None:
        """Step of the newest checkpoint, or None if there is none."""
        names = self._names
        return _step_of(names[-1]) if names else None

    def restore(self) -> str:
        """Restores the newest checkpoint that can be read.

        Those that cannot are left in ``passed_over``, with the reasons.

        Returns:
            Its path.

        Raises:
            UserError: If there is none, or it belongs to another network.
        """
        names = self._names
        if not names:
            raise UserError(f"there is no checkpoint to resume from in {self.folder}")
        self.passed_over = []
        for name in reversed(names):
            path = str(self.folder / name)
            try:
                self._checkpoint.restore(path).assert_existing_objects_matched()
                return path
            except Exception as error:  # damage surfaces as any of a dozen kinds
                self.passed_over.append(f"{name}: {first_line(error)}")
        raise UserError(
            f"no checkpoint in {self.folder} can be loaded into this network "
            f"({'; '.join(self.passed_over)})"
        )


def _step_of(name: str) -> int:
    """Step of a checkpoint, by its name: 20 for ckpt-20; -1 for other names."""
    found = re.fullmatch(r"ckpt-(\d+)", name)
    return int(found[1]) if found else -1


def fingerprint(images: np.ndarray | Sequence[np.ndarray]) -> str:
    """A short hash of images, to see whether two runs saw the same data.

    Args:
        images: All of one shape, or images of any.
    """
    if not isinstance(images, np.ndarray):
        digest = hashlib.sha256()
        for image in images:
            digest.update(fingerprint(image).encode())
        return digest.hexdigest()[:16]
    digest = hashlib.sha256(str(images.shape).encode())
    for first in range(0, len(images), 1000):  # they may not fit into memory twice
        digest.update(np.ascontiguousarray(images[first : first + 1000]).data)
    return digest.hexdigest()[:16]


def manifest(
    *,
    devices: list[str],
    origin: str,
    images: np.ndarray | Sequence[np.ndarray],
    material: np.ndarray | Sequence[np.ndarray],
) -> dict[str, Any]:
    """What a run depends on besides its options: versions, devices, data.

    Args:
        devices: Names of the devices in use.
        origin: Where the images came from.
        images: The training images.
        material: All that training depends on, to tell it from other data.
    """
    shape = [len(images), *(np.max([image.shape for image in images], axis=0).tolist())]
    return {
        "begun": time.time(),  # or resumed; seconds since 1970
        "python": sys.version.split()[0],
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
        "platform": platform.platform(),
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "default"),
        "devices": devices,
        "data": origin,
        "data_shape": shape,
        "data_fingerprint": fingerprint(material),
    }
