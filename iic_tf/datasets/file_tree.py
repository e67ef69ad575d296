"""All files below a folder: links followed, loops cut, what is left out named."""

import os
import stat
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from iic_tf.errors import first_line, require

RUN_FILES = ("options.yaml", "manifest.json")
"""A folder that holds both is that of a run."""


@dataclass
class FileTree:
    """What lies below a folder.

    Attributes:
        files: All regular files that are not left out, in a fixed order.
        left_out: Path relative to the folder, with "/" and for folders one at the end,
            and reason of everything that is left out.
        linked: How many symbolic links, to files or folders, were followed.
    """

    files: list[Path] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    linked: int = 0


def is_run(folder: Path) -> bool:
    """Whether a folder is that of a run, whose images are nobody's photographs."""
    return all((folder / name).is_file() for name in RUN_FILES)


def _is_drawn(path: Path) -> bool:
    """Whether a file is an image that is drawn beside the folders of runs."""
    drawn = path.match("pairs_*.png") or path.name == "comparison.png"
    return drawn and (
        path.parent.name == "runs" or any(map(is_run, path.parent.glob("*/")))
    )


def find_files(folder: Path, only: Sequence[str] | None = None) -> FileTree:
    """Finds all files below a folder, or some of them.

    Symbolic links are followed, and every real folder is entered once: at its own place
    where that lies below ``folder``, otherwise by the first link in alphabetical order.
    Left out are hidden files and folders, folders of runs, what is no regular file,
    and what cannot be entered or leads nowhere.

    Args:
        folder: Any tree of folders and files.
        only: Paths in it of the files and folders that are looked at; all if None.

    Raises:
        UserError: If one of them is not there.
    """
    tree = FileTree()
    entered: set[tuple[int, int]] = set()
    above = {_identity(place) for place in folder.resolve().parents}
    linked: deque[Path] = deque()

    def leave_out(path: Path, reason: str, *, end: str = "") -> None:
        tree.left_out.append((path.relative_to(folder).as_posix() + end, reason))

    def look_at(path: Path) -> list[Path]:
        """Takes or leaves a file; returns a folder that is to be entered."""
        try:
            kind = path.stat().st_mode
        except OSError:  # also a link to itself
            leave_out(path, "a broken link")
            return []
        is_folder = stat.S_ISDIR(kind)
        if path.name.startswith("."):
            leave_out(path, "hidden", end="/" * is_folder)
        elif is_folder and path.is_symlink():
            linked.append(path)
        elif is_folder:
            return [path]
        elif not stat.S_ISREG(kind):
            leave_out(path, "not a regular file")
        elif _is_drawn(path):
            leave_out(path, "a plot of this program")
        else:
            tree.files.append(path)
            tree.linked += path.is_symlink()
        return []

    def enter(top: Path) -> None:
        places = [top]
        while places:
            place = places.pop()
            try:
                names = sorted(os.listdir(place))
                identity = _identity(place)
            except OSError as error:
                leave_out(place, f"cannot be opened ({first_line(error)})", end="/")
                continue
            if identity in entered:
                leave_out(place, "a folder that is read under another path", end="/")
            elif place != folder and is_run(place):
                leave_out(place, "a run", end="/")
            else:
                entered.add(identity)
                for name in names:
                    places += look_at(place / name)

    if only is None:
        enter(folder)
    for name in only or ():
        require(
            (folder / name).exists(),
            f"data.only must name files and folders in {folder}",
            only=name,
        )
        for place in look_at(folder / name):
            enter(place)
    while linked:  # after all that lies here
        link = linked.popleft()
        identity = _identity(link)
        if identity in above:
            leave_out(link, "a link to a parent folder", end="/")
        elif identity in entered:
            leave_out(link, "a link to a folder that is read anyway", end="/")
        else:
            enter(link)
            tree.linked += identity in entered
    tree.files = sorted(set(tree.files))  # some may be given twice
    tree.left_out.sort()
    return tree


def _identity(path: Path) -> tuple[int, int]:
    """What tells a file or folder from all others, whatever its path."""
    status = path.stat()
    return status.st_dev, status.st_ino
