"""Which values of some options serve best? A run for every combination, and a table.

``python benchmarks/sweep.py --set heads.initializer HeNormal GlorotNormal --set seed 0
1 "--more=--data.recipe=mnist_5000 --train.steps=200"`` trains with ``models_iic.py``,
one run after the other, and prints the runs sorted by a number of their summaries: the
error of the chosen sub-head, or with ``--by`` the mean or the best error, the
information of the chosen sub-head, or a score such as NMI. Runs that are there already
are not repeated.

Labels only score, but whoever picks the best row by an error has used them.
"""

import argparse
import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]

LOW = ("error", "mean error", "best error")
"""Of these a lower number is better, of all others a higher one."""


def grid(choices: list[list[str]]) -> list[dict[str, str]]:
    """Every combination of values.

    Args:
        choices: For each option its name and its values.
    """
    names = [name for name, *_ in choices]
    values = itertools.product(*(values for _, *values in choices))
    return [dict(zip(names, row, strict=True)) for row in values]


def measured(summary: dict, by: str) -> float:
    """A number of a run's summary, NaN if it has none of that name."""
    chosen, errors = summary["chosen"], summary.get("errors")
    if by in LOW:
        if not errors:
            return float("nan")
        numbers = {"error": errors[chosen], "mean error": float(np.mean(errors))}
        return (numbers | {"best error": min(errors)})[by]
    of_each = summary["information"] if by == "information" else None
    of_each = of_each or summary.get("scores", {}).get(by)
    return of_each[chosen] if of_each else float("nan")


def train(values: dict[str, str], *, out: Path, more: list[str]) -> dict:
    """The summary of a run with some values, trained unless it is there."""
    told = "_".join(f"{name}={value}" for name, value in values.items())
    name = "".join(sign if sign.isalnum() or sign in "=._-" else "-" for sign in told)
    folder, asked = out / name, [f"--{key}={x}" for key, x in values.items()] + more
    record = folder / "sweep.json"
    if record.is_file():
        if json.loads(record.read_text()) != asked:
            sys.exit(f"{folder} is a run of other options; --out says another folder")
    else:
        command = [sys.executable, str(ROOT / "models_iic.py"), *asked]
        command += [f"--out={out}", f"--name={name}", "--report.window=never"]
        print(" ".join(command[1:]), file=sys.stderr, flush=True)
        done = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
        if done.returncode not in (0, 3):  # 3: trained to the end, but degenerate
            sys.exit(f"this command failed with status {done.returncode}")
        record.write_text(json.dumps(asked))
    return json.loads((folder / "summary.json").read_text())


def main(words: list[str] | None = None) -> None:
    """Trains, sorts, prints."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument(
        "--set", dest="choices", nargs="+", action="append", required=True,
        metavar="NAME VALUE", help="an option and its values; may be repeated",
    )  # fmt: skip
    parser.add_argument("--by", default="error", help="what the table is sorted by")
    parser.add_argument("--out", type=Path, default=Path("runs/sweep"))
    parser.add_argument(
        "--more", default="", help="options for every run, as in '--train.steps=600'"
    )
    given = parser.parse_args(words)
    if any(len(choice) < 2 for choice in given.choices):
        sys.exit("--set needs the name of an option and at least one value")
    rows = []
    for values in grid(given.choices):
        summary = train(values, out=given.out, more=given.more.split())
        rows.append((measured(summary, given.by), values))
    sign = 1 if given.by in LOW else -1
    rows.sort(key=lambda row: (row[0] != row[0], sign * row[0]))
    table = Table(*(name for name, *_ in given.choices), given.by)
    for number, values in rows:
        table.add_row(*values.values(), f"{number:.4f}")
    Console().print(table)


if __name__ == "__main__":
    main()
