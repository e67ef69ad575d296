"""The folders of runs: made once, never overwritten, found again and read.

Whatever is read of a stored run is read here: a file that is empty, damaged or somebody
else's is one sentence that names it.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from iic_tf.errors import UserError, first_line, naming, require

OPTIONS_FILE = "options.yaml"
MANIFEST_FILE = "manifest.json"
SUMMARY_FILE = "summary.json"
HISTORY_FILE = "history.jsonl"
CURVE_FILE = "learning_curve.png"
MODEL_FILE = "model.keras"
ASSIGNMENTS_FILE = "assignments.csv"
UNREADABLE_FILE = "unreadable.csv"
NETWORK_FILE = "network.txt"
FIRST_GROUPS_FILE = "first_groups.png"
CHECKPOINTS = "checkpoints"


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replaces a file in one step, so that a reader never sees half of it.

    Args:
        path: File to write.
        content: Its bytes, or text for UTF-8; bytes of file names that are no text
            become what they were.
    """
    data = (
        content.encode("utf-8", "surrogateescape")
        if isinstance(content, str)
        else content
    )
    with naming(path):
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


@contextmanager
def finished_together(folder: Path) -> Iterator[Path]:
    """Within it files are written elsewhere; in the end all take their places at once.

    Other files in the folder stay. After an error it is as it was.

    Args:
        folder: Where the files belong; made if need be. Its parent must be there.

    Yields:
        A folder beside it, to write to.
    """
    with naming(folder):
        unfinished = Path(
            tempfile.mkdtemp(dir=folder.parent, prefix=f".unfinished.{folder.name}.")
        )
    try:
        yield unfinished
        with naming(folder):
            folder.mkdir(exist_ok=True)
            for path in sorted(unfinished.iterdir()):
                os.replace(path, folder / path.name)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def require_new(folder: Path, what: str) -> None:
    """Raises UserError if there is something at a place that is to be written.

    Args:
        folder: The place.
        what: What it is, as text.
    """
    empty = folder.is_dir() and not any(folder.iterdir())
    require(
        empty or not os.path.lexists(folder),
        f"{what} must be a new or an empty folder, since nothing is overwritten",
        folder=str(folder),
    )


@contextmanager
def made_at_once(folder: Path) -> Iterator[Path]:
    """Within it a new folder is filled elsewhere; in the end it takes its place.

    After an error nothing is left.

    Args:
        folder: New or empty, see ``require_new``; its parents are made if need be.

    Yields:
        A folder beside it, to write to.
    """
    with naming(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(
            tempfile.mkdtemp(dir=folder.parent, prefix=f".unfinished.{folder.name}.")
        )
    try:
        unfinished.chmod(0o755)
        yield unfinished
        with naming(folder):
            os.replace(unfinished, folder)  # fails if something has come there
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _cannot_write(folder: Path, error: OSError) -> UserError:
    return UserError(
        f"out must be a writable folder: {error.strerror}. "
        f"Received: out={str(folder)!r}"
    )


def check_writable(out: Path) -> None:
    """Finds out early, leaving nothing behind, whether a folder can be made at ``out``.

    Raises:
        UserError: If it cannot.
    """
    fits = str(out).encode("utf-8", "replace").decode() == str(out)
    require(
        fits and "\0" not in str(out),
        "out must be a valid UTF-8 path, which TensorFlow needs",
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
                    f"the run {folder} already exists: choose another name, or resume "
                    "it to continue it"
                ) from None
        except OSError as error:
            raise _cannot_write(out, error) from None


def free_folder(out: Path, *, prefix: str) -> Path:
    """The next free ``<prefix>-<n>`` in a folder, which is not made.

    Args:
        out: The folder.
        prefix: Start of the name.
    """
    number = 1
    while os.path.lexists(place := out / f"{prefix}-{number}"):
        number += 1
    return place


def _begun(folder: Path) -> tuple[float, str]:
    """When a run was started or resumed last, for comparing runs; then its name.

    By its manifest, since copying a folder or evaluating a run changes the times of
    files; by these for a run without one.
    """
    try:
        begun = float(read_manifest(folder)["begun"])
    except (UserError, KeyError, TypeError, ValueError):
        begun = (folder / OPTIONS_FILE).stat().st_mtime
    return begun, folder.name


def find_run(run: str, *, out: Path, what: str = "resume") -> Path:
    """The folder of a stored run.

    Args:
        run: Its path, or ``latest`` for the run in ``out`` that was started or resumed
            last, as its manifest says.
        out: Folder that holds the folders of runs.
        what: What it is wanted for, for the sentence.

    Raises:
        UserError: If there is no such run.
    """
    if run == "latest":
        runs = [path.parent for path in out.glob(f"*/{OPTIONS_FILE}")]
        require(
            bool(runs), f"{what} latest needs a run in the folder out", out=str(out)
        )
        return max(runs, key=_begun)
    folder = Path(run)
    require(
        (folder / OPTIONS_FILE).is_file(),
        f"{what} needs the folder of a run, or latest",
        run=run,
    )
    return folder


# ---------------------------------------------------------------- what is in a folder

MAX_NODES = 10_000
"""Keys and values that a file of options may have, aliases written out."""

MAX_BYTES = 1_000_000
"""A file of options is not larger."""


def _count_nodes(node: yaml.Node, known: dict[int, int]) -> int:
    """Nodes of a document with its aliases written out; one within itself is endless.

    Args:
        node: Where counting begins.
        known: Counts of nodes that were seen before, by identity.
    """
    if id(node) not in known:
        known[id(node)] = MAX_NODES + 1  # what it counts as within itself
        parts: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            parts = [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            parts = node.value
        known[id(node)] = 1 + sum(_count_nodes(part, known) for part in parts)
    return known[id(node)]


def _reserved(tree: Any) -> list[Hashable]:
    """Keys that the parser of options would keep to itself, as in ``__path__``."""
    if isinstance(tree, list):
        return [key for part in tree for key in _reserved(part)]
    if not isinstance(tree, dict):
        return []
    mine = [key for key in tree if not isinstance(key, str) or key.startswith("__")]
    return mine + [key for part in tree.values() for key in _reserved(part)]


def read_options(place: str | Path) -> dict[str, Any]:
    """Reads a YAML file of options, without expanding what would fill the memory.

    Args:
        place: The file, or YAML itself.

    Raises:
        UserError: If it cannot be read, is no mapping of options, has no options, too
            many with its aliases written out, or names that are no options.
    """
    path, told = Path(place), f"the options {place}"
    try:
        if path.is_file():
            require(
                path.stat().st_size <= MAX_BYTES,
                f"{told} must be a YAML file of at most {MAX_BYTES:,} bytes",
                bytes=path.stat().st_size,
            )
            text = path.read_text(encoding="utf-8")
        else:
            text = str(place)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        count = 0 if root is None else _count_nodes(root, {})
        require(
            count <= MAX_NODES,
            f"{told} must have at most {MAX_NODES:,} keys and values, with aliases "
            "expanded",
            file=str(place),
        )
        tree = yaml.safe_load(text)
    except UnicodeDecodeError:
        raise UserError(f"{told} must be UTF-8 text") from None
    except (yaml.YAMLError, OSError, ValueError, RecursionError) as error:
        if isinstance(error, UserError):
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{told} cannot be read as YAML: {reason}") from None
    require(
        path.is_file() or not isinstance(tree, str),
        f"{told} must be an existing YAML file",
        file=str(place),
    )
    require(
        isinstance(tree, dict) and bool(tree),
        f"{told} must be YAML that sets options, as in k: 10",
        content=type(tree).__name__ if tree else "nothing",
    )
    require(
        not (reserved := _reserved(tree)),
        f"{told} must contain only options",
        key=reserved[0] if reserved else None,
    )
    return tree


def _read_json(path: Path, expected: str, fits: Callable[[Any], bool]) -> Any:
    """Reads a JSON file of a run.

    Args:
        path: The file.
        expected: What it must hold, as text.
        fits: Whether its content is that.

    Raises:
        UserError: If it is not there, cannot be read or holds anything else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{path.parent} has no {path.name}, which every run has"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged: {first_line(error)}") from None
    try:
        good = fits(content)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        good = False
    if not good:
        raise UserError(
            f"{path} is damaged or not part of a run: it must hold {expected}"
        )
    return content


def read_manifest(folder: Path) -> dict[str, Any]:
    """What a run depended on besides its options, see ``checkpoints.manifest``.

    Raises:
        UserError: If its file is missing, damaged or not of a run.
    """
    return _read_json(
        folder / MANIFEST_FILE,
        "a description of the training data",
        lambda facts: (
            isinstance(facts["data"], str)
            and isinstance(facts["data_fingerprint"], str)
            and 2 <= len(facts["data_shape"]) <= 4
            and all(type(n) is int and n > 0 for n in facts["data_shape"])
        ),
    )


def _all_numbers(values: Any) -> bool:
    return bool(values) and all(type(value) in (int, float) for value in values)


def read_summary(folder: Path) -> dict[str, Any] | None:
    """What came out of a run: its summary, or None if it has none yet.

    Raises:
        UserError: If its file is damaged or not of a run.
    """
    if not (folder / SUMMARY_FILE).exists():
        return None
    return _read_json(
        folder / SUMMARY_FILE,
        "the results of a run",
        lambda summary: (
            _all_numbers([summary["reconstruction_error"]])
            if "reconstruction_error" in summary
            else _all_numbers(summary["information"])
            and type(summary["chosen"]) is int
            and 0 <= summary["chosen"] < len(summary["information"])
            and isinstance(summary["chosen_by"], str)
            and (
                not summary.get("errors")
                or (
                    _all_numbers(summary["errors"])
                    and len(summary["errors"]) == len(summary["information"])
                    and isinstance(summary["scored_on"], str)
                )
            )
        ),
    )


def _is_report(row: Any) -> bool:
    """Whether a row is a report: of banks of sub-heads, or of a single loss."""
    heads = row.get("main_information", [row.get("loss")])
    return (
        type(row["step"]) is int
        and _all_numbers([row["seconds"], row.get("main_bound", 0)])
        and _all_numbers(heads)
        and 0 <= row["chosen"] < len(heads)
        and (
            not row.get("errors")
            or (_all_numbers(row["errors"]) and len(row["errors"]) == len(heads))
        )
    )


def read_history(folder: Path) -> list[dict[str, Any]]:
    """Reports of a run, one row each, at least one.

    Raises:
        UserError: If its file is missing, damaged or not of a run.
    """
    path = folder / HISTORY_FILE
    told = f"{path} is damaged or not part of a run: each line must be a report"
    try:
        rows = [json.loads(x) for x in path.read_text(encoding="utf-8").splitlines()]
        fits = bool(rows) and all(map(_is_report, rows))
    except FileNotFoundError:
        raise UserError(
            f"{folder} has no {HISTORY_FILE}: the run has no report yet"
        ) from None
    except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError):
        fits = False
    if not fits:
        raise UserError(told)
    return rows
