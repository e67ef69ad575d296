"""Does it converge on a stranger's folder? All defaults, every folder, every seed.

``python benchmarks/folders.py ROOT --seeds 0 1 2`` trains, with nothing said but k and
the seed, on every folder of ROOT that has a folder per class, and prints for each run
the error of the chosen sub-head, the range over all, NMI, the clusters in use, and the
minutes of the whole process. Runs that are there already are not repeated. Labels only
score. ``benchmarks/baselines.py`` has what needs no training.
"""

import argparse
import csv
import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]

IN_USE = 0.1
"""A cluster is in use if it has this share of an even share of the images."""


def train(folder: Path, seed: int, *, out: Path, more: list[str]) -> Path:
    """Trains one run unless it is there; returns its folder."""
    k = sum(1 for place in folder.iterdir() if place.is_dir())
    run = out / f"{folder.name}-{seed}"
    record = run / "process.json"
    if record.is_file():
        return run
    command = [
        *(sys.executable, str(ROOT / "models_iic.py"), f"--data.folder={folder}"),
        *("--data.labels=folder", f"--k={k}", f"--seed={seed}", f"--out={out}"),
        *(f"--name={run.name}", "--report.window=never", *more),
    ]
    print(" ".join(command[1:]), file=sys.stderr, flush=True)
    began = time.perf_counter()
    status = subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode
    if status not in (0, 3):
        sys.exit(f"this command failed with status {status}: {' '.join(command)}")
    record.write_text(json.dumps({"seconds": time.perf_counter() - began}))
    return run


def describe(run: Path) -> str:
    """One line of the table."""
    summary = json.loads((run / "summary.json").read_text())
    errors, chosen = summary["errors"], summary["chosen"]
    with open(run / "assignments.csv", newline="") as file:
        counts = Counter(row["cluster"] for row in csv.DictReader(file))
    k = summary["k"]
    even = sum(counts.values()) / k
    used = sum(count >= IN_USE * even for count in counts.values())
    minutes = json.loads((run / "process.json").read_text())["seconds"] / 60
    return (
        f"{run.name:18} {errors[chosen]:.4f}  {min(errors):.4f} to {max(errors):.4f}  "
        f"{summary['scores']['NMI'][chosen]:.3f}  {used:2} of {k:2}  {minutes:5.1f}  "
        f"{summary['chosen_by']}"
    )


def main() -> None:
    """Trains and prints."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("root", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--folders", nargs="+", help="some of them; all if not given")
    parser.add_argument("--out", type=Path, default=Path("runs/folders"))
    parser.add_argument("--more", default="", help="options for every run")
    arguments = parser.parse_args()
    folders = sorted(place for place in arguments.root.iterdir() if place.is_dir())
    if arguments.folders:
        folders = [place for place in folders if place.name in arguments.folders]
    print("run                chosen  all sub-heads     NMI    in use  minutes")
    for seed in arguments.seeds:
        for folder in folders:
            more = arguments.more.split()
            run = train(folder, seed, out=arguments.out, more=more)
            print(describe(run), flush=True)


if __name__ == "__main__":
    main()
