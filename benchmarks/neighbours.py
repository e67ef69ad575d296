"""How many of the pairs of neighbours show the same class?

``python benchmarks/neighbours.py --data FOLDER`` finds five neighbours of every image
in each of three ways and counts, with labels, the pairs of one class.
"""

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from iic_tf.neighbours import find_neighbours
from iic_tf.sources import from_dir
from iic_tf.splits import apply_protocol


def main() -> None:
    """Finds, counts, prints."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", required=True, help="as --data.dir of models_iic.py")
    parser.add_argument("--number", type=int, default=5)
    arguments = parser.parse_args()
    source = from_dir(arguments.data, name="images")
    split = apply_protocol(source, "all", unlabelled=False).train

    def report(name: str, table: np.ndarray, seconds: float) -> None:
        same = (split.labels[table] == split.labels[:, None]).mean()
        print(
            f"{name:40s} {100 * same:5.1f} % of one class, {seconds:4.0f} s", flush=True
        )

    for photographs in (False, True):
        started = time.perf_counter()
        found = find_neighbours(
            split.images, number=arguments.number, seed=0, photographs=photographs
        )
        seconds = time.perf_counter() - started
        if photographs:
            report("photographs: edges, patches, mirrored", found.nearest, seconds)
        else:
            report("drawings: edges", found.nearest, seconds)
            report("          pixels, in the same time", found.by_pixels, seconds)


if __name__ == "__main__":
    main()
