"""How well, how evenly and how fast does training converge? Every seed, every sub-head.

``python benchmarks/convergence.py --data FOLDER --seeds 0 1 2 3 4`` trains one run per
seed and setting with ``models_iic.py``, one after the other, and prints a table: the
error of the chosen (lowest-loss) sub-head, the range over all sub-heads, of label maps
the chosen one's mean IoU, the minutes of the whole process, and when the chosen
sub-head first had an error of at most 3, 2, 1.5 and 1 % in a report, in minutes and in
millions of pairs. With ``--plot FILE`` the errors of all runs are drawn over time. Runs
that are there already are not repeated.

Labels only score. Reports score 10,000 images, the final errors all.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import yaml
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]

THRESHOLDS = (0.03, 0.02, 0.015, 0.01)

LAMBDA_TO_1_2 = "--train.lamb=[[0,1],[0.07,1],[0.1,1.2],[0.5,1.2],[0.8,1]]"

SETTINGS: dict[str, list[str]] = {
    "default": [],
    "holdout": ["--data.protocol=holdout"],
    # what each remedy is worth: one taken away at a time, then all
    "no start": ["--train.start=0"],
    "no regrouping": ["--train.regroup_to=0"],
    "no neighbours": ["--data.neighbours=0"],
    "published augmentations": ["--data.recipe=mnist_published", "--data.neighbours=5"],
    "no overclustering": ["--train.order=[main]", "--train.regroup_to=0"],
    "plain IIC": ["--data.neighbours=0", "--train.regroup_to=0"],
    "start alone": ["--data.neighbours=1", "--train.start=0.9", "--train.regroup_to=0"],
    # a remedy that regrouping has replaced
    "lambda to 1.2": [LAMBDA_TO_1_2],
    "no regrouping, lambda to 1.2": ["--train.regroup_to=0", LAMBDA_TO_1_2],
}


def train(setting: str, seed: int, *, out: Path, more: list[str]) -> Path:
    """Trains one run unless it is there; returns its folder."""
    folder = out / f"{setting.replace(',', '').replace(' ', '_')}-{seed}"
    record, asked = folder / "process.json", [*SETTINGS[setting], *more]
    if record.is_file():
        if json.loads(record.read_text())["options"] != asked:
            sys.exit(f"{folder} is a run of other options; --out says another folder")
        return folder
    command = [
        *(sys.executable, str(ROOT / "models_iic.py"), *asked),
        *(f"--seed={seed}", f"--out={out}", f"--name={folder.name}"),
        "--report.window=never",
    ]
    print(" ".join(command[1:]), file=sys.stderr, flush=True)
    started = time.perf_counter()
    status = subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode
    if status not in (0, 3):  # 3: trained to the end, but degenerate
        sys.exit(f"this command failed with status {status}: {' '.join(command)}")
    seconds = round(time.perf_counter() - started, 1)
    record.write_text(json.dumps({"options": asked, "seconds": seconds}))
    return folder


def measure(folder: Path) -> dict:
    """Final errors, whole-process seconds, and the course of the chosen sub-head."""
    options = yaml.safe_load((folder / "options.yaml").read_text())
    summary = json.loads((folder / "summary.json").read_text())
    lines = (folder / "history.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    pairs = options["data"]["batch"] * options["data"]["repeats"] / 1e6
    of_each = summary["scores"].get("mean IoU")
    return {
        "errors": np.array(summary["errors"]),
        "chosen": summary["errors"][summary["chosen"]],
        "mean IoU": of_each[summary["chosen"]] if of_each else None,
        "seconds": json.loads((folder / "process.json").read_text())["seconds"],
        "minutes": np.array([row["seconds"] / 60 for row in rows]),
        "pairs": np.array([row["step"] * pairs for row in rows]),
        "course": np.array([row["errors"][row["chosen"]] for row in rows]),
        "scored_on": summary["scored_on"],
    }


def first_below(run: dict, threshold: float) -> str:
    """Minutes and millions of pairs until an error of at most ``threshold``."""
    reached = np.flatnonzero(run["course"] <= threshold)
    if not len(reached):
        return "-"
    return f"{run['minutes'][reached[0]]:.1f} / {run['pairs'][reached[0]]:.2f}"


def draw(runs: list[tuple[str, int, dict]], path: Path) -> None:
    """Error of the chosen sub-head over time, one line per run."""
    figure = Figure(figsize=(8, 4.5), dpi=110, layout="constrained")
    axes = figure.subplots()
    names = list(dict.fromkeys(setting for setting, _, _ in runs))
    for setting, _, run in runs:
        axes.plot(
            run["minutes"],
            run["course"],
            color=f"C{names.index(setting)}",
            linewidth=1.2,
            marker=".",
            label=setting,
        )
    axes.set_yscale("log")
    ticks = [0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("minutes of training")
    axes.set_ylabel("error of the chosen sub-head, one-to-one")
    axes.grid(axis="y", color="#e4e4e4", linewidth=0.7)
    axes.spines[["top", "right"]].set_visible(False)
    handles, labels = axes.get_legend_handles_labels()
    once = dict(zip(labels, handles, strict=True))
    axes.legend(once.values(), once.keys(), frameon=False)
    figure.savefig(path)


def main() -> None:
    """Trains, prints the table, draws."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", help="folder of IDX files; else as models_iic.py")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument(
        "--settings", nargs="+", default=["default"], choices=SETTINGS, metavar="NAME"
    )
    parser.add_argument("--out", type=Path, default=Path("runs/convergence"))
    parser.add_argument("--plot", type=Path, help="PNG file to draw")
    parser.add_argument(
        "--more", default="", help="options for every run, as in '--train.steps=600'"
    )
    arguments = parser.parse_args()
    more = arguments.more.split()
    if arguments.data:
        more.append(f"--data.dir={arguments.data}")
    runs = []
    for setting in arguments.settings:
        for seed in arguments.seeds:
            folder = train(
                setting,
                seed,
                out=arguments.out,
                more=more,
            )
            runs.append((setting, seed, measure(folder)))

    table = Table(title="", box=None)
    of_pixels = any(run["mean IoU"] is not None for _, _, run in runs)
    headings = ["setting", "seed", "chosen", "all sub-heads", "minutes"]
    for heading in headings + ["mean IoU"] * of_pixels:
        table.add_column(heading)
    reached = [t for t in THRESHOLDS if any(r["course"].min() <= t for *_, r in runs)]
    for threshold in reached:
        table.add_column(f"to {100 * threshold:g} % (min / M pairs)")
    for setting, seed, run in runs:
        errors = run["errors"]
        table.add_row(
            setting,
            str(seed),
            f"{run['chosen']:.4f}",
            f"{errors.min():.4f} to {errors.max():.4f}",
            f"{run['seconds'] / 60:.1f}",
            *([f"{run['mean IoU']:.4f}"] if of_pixels else []),
            *(first_below(run, threshold) for threshold in reached),
        )
    console = Console(width=140)
    console.print(table)
    for words in dict.fromkeys(run["scored_on"] for _, _, run in runs):
        console.print(f"Errors: one-to-one match, on {words}.")
    if arguments.plot:
        draw(runs, arguments.plot)


if __name__ == "__main__":
    main()
