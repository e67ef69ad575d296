"""Splits the tiles of areas into folders train and test, as links.

``python benchmarks/split_by_area.py FOLDER OUT`` takes files ``FOLDER/*/tAREA_*``, of
images and of their label maps, and links them to ``OUT/*/train/`` or, where AREA is
even, to ``OUT/*/test/``: tiles of one area look alike, so a split at random would score
on what has trained.
"""

import argparse
import re
from pathlib import Path


def main() -> None:
    """Links and prints."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("folder", type=Path, help="as aerial/tiles200")
    parser.add_argument("out", type=Path, help="folder that is made")
    arguments = parser.parse_args()
    files = sorted(arguments.folder.glob("*/t*_*"))
    areas = [re.match(r"t(\d+)_", path.name) for path in files]
    if not files or None in areas:
        parser.error(f"{arguments.folder} must hold folders of files named tAREA_...")
    if arguments.out.exists():
        parser.error(f"{arguments.out} must not exist")
    counts = {"train": 0, "test": 0}
    for path, area in zip(files, areas, strict=True):
        split = "train" if area and int(area[1]) % 2 else "test"
        link = arguments.out / path.parent.name / split / path.name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path.resolve())
        counts[split] += 1
    told = ", ".join(f"{number:,} {split}" for split, number in counts.items())
    print(f"Files in {arguments.out}: {told}")


if __name__ == "__main__":
    main()
