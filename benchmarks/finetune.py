"""What is a backbone that was trained without labels worth, once there are a few?

``python benchmarks/finetune.py --data FOLDER --run RUN --labels 100 600`` fine-tunes
the backbone of a finished run of ``models_iic.py`` on so many labelled images, and the
same network from fresh weights, with the same images, augmentation and number of steps;
and prints a table of the errors on the test images, which choose nothing. Each draw is
another seed, which decides the labelled images too. Runs that are there already are not
repeated.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]

WAYS = {"fine-tuned": "false", "from scratch": "true"}
"""What is compared, and ``tune.from_scratch`` of each."""


def error(arguments: argparse.Namespace, labels: int, draw: int, way: str) -> float:
    """Error of one run on the test images; it is trained unless it is there."""
    out = Path(arguments.out)
    folder = out / f"{way.replace(' ', '_')}-{labels}-{draw}"
    if not (folder / "summary.json").is_file():
        command = [
            *(sys.executable, str(ROOT / "models_iic.py"), "--task=finetune"),
            *(f"--tune.run={arguments.run}", f"--data.dir={arguments.data}"),
            *(f"--tune.labels={labels}", f"--tune.from_scratch={WAYS[way]}"),
            *(f"--train.steps={arguments.steps}", f"--data.batch={arguments.batch}"),
            *(f"--report.every={arguments.steps}", "--report.window=never"),
            *(f"--seed={draw}", f"--out={out}", f"--name={folder.name}"),
            *arguments.more.split(),
        ]
        print(" ".join(command[1:]), file=sys.stderr, flush=True)
        done = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
        if done.returncode:
            sys.exit(f"this command failed: {' '.join(command)}")
    [found] = json.loads((folder / "summary.json").read_text())["errors"]
    return float(found)


def main() -> None:
    """Trains and prints."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", required=True, help="as --data.dir")
    parser.add_argument("--run", required=True, help="as --tune.run")
    parser.add_argument("--labels", type=int, nargs="+", default=[100, 600, 6000])
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch", type=int, default=100, help="images per step")
    parser.add_argument("--out", default="runs/finetune")
    parser.add_argument("--more", default="", help="other options of the runs")
    arguments = parser.parse_args()
    print(f"| labelled images | {' | '.join(WAYS)} | ratio of the means |")
    print("|---|---|---|---|")
    for labels in arguments.labels:
        errors = [
            [error(arguments, labels, draw, way) for draw in range(arguments.draws)]
            for way in WAYS
        ]
        listed = [", ".join(f"{e:.4f}" for e in of_way) for of_way in errors]
        tuned, fresh = np.mean(errors, axis=1)
        print(
            f"| {labels:,} | {' | '.join(listed)} | {tuned / fresh:.2f} |", flush=True
        )


if __name__ == "__main__":
    main()
