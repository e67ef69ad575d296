"""The folders of runs: made once, never overwritten, found again."""

import tempfile
from pathlib import Path

from iic_tf.options import UserError, require

OPTIONS_FILE = "options.yaml"
MANIFEST_FILE = "manifest.json"


def _cannot_write(folder: Path, error: OSError) -> UserError:
    return UserError(
        f"out must be a folder that can be written: {error.strerror}. "
        f"Received: out={str(folder)!r}"
    )


def check_writable(out: Path) -> None:
    """Finds out early, leaving nothing behind, whether a folder can be made at ``out``.

    Raises:
        UserError: If it cannot.
    """
    require(
        str(out).encode("utf-8", "replace").decode() == str(out),
        "out must be a path of UTF-8, which is all that TensorFlow can write to",
        out=str(out),
    )
    existing = out.absolute()
    try:
        while not existing.exists():
            existing = existing.parent
        with tempfile.TemporaryDirectory(dir=existing):
            pass
    except OSError as error:
        raise _cannot_write(out, error) from None


def make_run_folder(out: Path, *, name: str | None, prefix: str) -> Path:
    """Makes the folder of a new run.

    Args:
        out: Folder that holds the folders of runs; made if need be.
        name: Name of the run, or None for the next free ``<prefix>-<n>``.
        prefix: Start of automatic names.

    Raises:
        UserError: If a run of that name exists, or the folder cannot be made.
    """
    number = 0
    while True:
        number += 1
        folder = out / (name or f"{prefix}-{number}")
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            if name is not None:
                raise UserError(
                    f"the run {folder} exists already: choose another --name, or "
                    f"continue it with --resume {folder}"
                ) from None
        except OSError as error:
            raise _cannot_write(out, error) from None


def find_run(run: str, *, out: Path, what: str = "resume") -> Path:
    """The folder of a stored run.

    Args:
        run: Its path, or ``latest`` for the newest run in ``out``.
        out: Folder that holds the folders of runs.
        what: What it is wanted for, for the sentence.

    Raises:
        UserError: If there is no such run.
    """
    if run == "latest":
        runs = sorted(out.glob(f"*/{OPTIONS_FILE}"), key=lambda p: p.stat().st_mtime)
        require(
            bool(runs), f"{what} latest needs a run in the folder out", out=str(out)
        )
        return runs[-1].parent
    folder = Path(run)
    require(
        (folder / OPTIONS_FILE).is_file(),
        f"{what} must be given the folder of a run, or latest",
        run=run,
    )
    return folder
