"""Classes of unequal size: the error of digits, ten to one, for several λ.

``python benchmarks/unequal.py`` draws 2,750 of the embedded digits, once 500 of each of
0 to 4 and 50 of each of 5 to 9, once 275 of each, trains runs on both and prints the
errors, those of the groups of the neighbour graph beside them. Labels only score.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np

from iic_tf.datasets.published import embedded_digits
from iic_tf.datasets.splits import concatenate

SIZES = {"unequal": [500] * 5 + [50] * 5, "equal": [275] * 10}


def draw(sizes: list[int], place: Path) -> None:
    """Writes digits, so many of each class, and their classes."""
    digits = concatenate(list(embedded_digits().splits.values()))
    rng = np.random.default_rng(0)
    numbers = np.concatenate(
        [
            rng.choice(np.flatnonzero(digits.labels == kind), size, replace=False)
            for kind, size in enumerate(sizes)
        ]
    )
    rng.shuffle(numbers)
    np.save(f"{place}.npy", digits.images[numbers, ..., 0])
    np.save(f"{place}-classes.npy", digits.labels[numbers])


def error(place: Path, *, lamb: float, method: str, out: Path) -> float:
    """Error of the chosen sub-head of a run, which is trained unless it is there."""
    run = out / f"{place.stem}-{lamb}-{method}"
    if not (run / "summary.json").is_file():
        command = [
            *(sys.executable, str(ROOT / "models_iic.py"), "--data.recipe=mnist"),
            *(f"--data.array={place}.npy", f"--data.labels={place}-classes.npy"),
            *("--k=10", f"--train.lamb={lamb}", f"--method={method}", f"--out={out}"),
            *(f"--name={run.name}", "--report.window=never"),
        ]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    summary = json.loads((run / "summary.json").read_text())
    return summary["errors"][summary["chosen"]]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--lamb", type=float, nargs="+", default=[1.0, 0.65, 0.6])
    parser.add_argument("--out", type=Path, default=Path("runs/unequal"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, sizes in SIZES.items():
        place = arguments.out / name
        draw(sizes, place)
        for method in ("spectral", "iic"):
            errors = [
                error(place, lamb=lamb, method=method, out=arguments.out)
                for lamb in arguments.lamb
            ]
            told = ", ".join(
                f"λ = {lamb:g}: {one:.4f}"
                for lamb, one in zip(arguments.lamb, errors, strict=True)
            )
            print(f"{name:8} {method:9} {told}", flush=True)


if __name__ == "__main__":
    main()
