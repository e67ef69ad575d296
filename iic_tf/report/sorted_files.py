"""Image files sorted into a folder for each cluster or class."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from iic_tf.errors import UserError, first_line, naming
from iic_tf.names import as_files, as_folders
from iic_tf.run_folder import made_at_once


def sort_files(
    into: Path, root: Path, paths: Sequence[str], groups: Sequence[str], *, copy: bool
) -> int:
    """Links or copies files into one folder per group.

    Links are hard ones where the file system allows, so that they stay when originals
    are moved, otherwise symbolic ones.

    Args:
        into: A new or an empty folder.
        root: Folder of the files.
        paths: Of each file in it, with "/".
        groups: Name of the group of each.
        copy: Whether files are copied.

    Returns:
        How many folders there are.

    Raises:
        UserError: If the file system can hold no links.
    """
    names = sorted(set(groups))
    folder_of = dict(zip(names, as_folders(names), strict=True))
    put = shutil.copy2 if copy else _link
    with made_at_once(into) as place, naming(into):
        for group in names:
            (place / folder_of[group]).mkdir()
            mine = [x for x, g in zip(paths, groups, strict=True) if g == group]
            for path, name in zip(mine, as_files(mine), strict=True):
                put((root / path).resolve(), place / folder_of[group] / name)
    return len(names)


def _link(original: Path, link: Path) -> None:
    """Makes a hard link, or where there can be none a symbolic one."""
    try:
        os.link(original, link)
        return
    except OSError:  # another file system, or one without hard links
        pass
    try:
        link.symlink_to(original)
    except OSError as error:
        raise UserError(
            f"no link can be made in {link.parent} ({first_line(error)}); files can be "
            "copied instead"
        ) from None
