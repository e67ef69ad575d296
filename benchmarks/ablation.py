"""What does each part of a run contribute? One part after the other is left out.

``python benchmarks/ablation.py "--more=--data.recipe=mnist_5000" --seeds 0 1`` trains
with ``models_iic.py`` and prints the error of the chosen sub-head for every seed. Runs
that are there already are not repeated. Labels only score.
"""

import argparse
from pathlib import Path

from rich.console import Console
from rich.table import Table
from sweep import measured, train

NO_START, NO_REGROUPING = {"train.start": "0"}, {"train.regroup_to": "0"}
NO_NEIGHBOURS = {"data.neighbours": "0"}

VARIANTS: dict[str, dict[str, str]] = {
    "groups of the graph, no network": {"method": "spectral"},
    "plain IIC": NO_NEIGHBOURS | NO_REGROUPING,
    "IIC with regrouping": NO_NEIGHBOURS,
    "pairs of neighbours": NO_START | NO_REGROUPING,
    "pairs of neighbours, regrouping": NO_START,
    "pairs of neighbours, start from groups": NO_REGROUPING,
    "all (the default)": {},
}


def main(words: list[str] | None = None) -> None:
    """Trains and prints."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--out", type=Path, default=Path("runs/ablation"))
    parser.add_argument("--more", default="", help="options for every run")
    given = parser.parse_args(words)
    table = Table("parts", *(f"seed {seed}" for seed in given.seeds))
    for name, options in VARIANTS.items():
        errors = [
            measured(
                train(
                    options | {"seed": str(seed)},
                    out=given.out,
                    more=given.more.split(),
                ),
                "error",
            )
            for seed in given.seeds
        ]
        table.add_row(name, *(f"{error:.4f}" for error in errors))
    Console().print(table)


if __name__ == "__main__":
    main()
