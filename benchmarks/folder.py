"""How fast is a folder of photographs read, and how much memory does that take?

``python benchmarks/folder.py`` writes 2,000 JPEG files of mixed sizes into a temporary
folder, reads them as ``--data.folder`` does, and for comparison one after the other
with Pillow's usual three lines. Both read the same files in turns. It prints images per
second, their ratio, and by how much the peak memory of the process rose while the
folder was read.
"""

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track

from iic_tf.datasets.image_folder import read_folder


def write_photographs(folder: Path, number: int) -> float:
    """Writes soft random JPEGs of 320 to 1,600 pixels a side; returns megabytes."""
    rng = np.random.default_rng(0)
    for i in track(range(number), "writing", transient=True):
        width, height = rng.integers(320, 1601, 2)
        blots = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
        image = Image.fromarray(blots).resize((width, height), Image.BICUBIC)
        grain = rng.normal(0, 6, (height, width, 1))
        pixels = np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:05}.jpg", quality=90)
    return sum(path.stat().st_size for path in folder.iterdir()) / 1e6


def one_by_one(folder: Path, side: int) -> np.ndarray:
    """As most scripts read a folder."""
    return np.stack(
        [
            np.asarray(Image.open(path).convert("RGB").resize((side, side)))
            for path in sorted(folder.iterdir())
        ]
    )


def peak() -> float:
    """Peak memory of this process so far in megabytes."""
    scale = 1e6 if sys.platform == "darwin" else 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale


def main() -> None:
    """Writes, reads, prints."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    seconds: dict[str, list[float]] = {"folder": [], "plain": []}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        # in another process: the peak of this one is to be that of reading
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            size = pool.submit(write_photographs, folder, arguments.images).result()
        before = peak()
        rise = 0.0
        for _ in range(arguments.rounds):
            started = time.perf_counter()
            found = read_folder(folder, side=arguments.side)
            seconds["folder"].append(time.perf_counter() - started)
            rise = rise or peak() - before  # of the first round
            started = time.perf_counter()
            one_by_one(folder, arguments.side)
            seconds["plain"].append(time.perf_counter() - started)
    ours, plain = (float(np.median(values)) for values in seconds.values())
    out = Console()
    out.print(f"{arguments.images:,} JPEG files, {size:,.0f} MB, 320 to 1,600 pixels")
    out.print(f"read_folder     {arguments.images / ours:6,.0f} images/s, {found.kept}")
    out.print(f"one by one      {arguments.images / plain:6,.0f} images/s")
    out.print(f"times as fast   {plain / ours:6.2f}")
    images = found.images.nbytes / 1e6
    out.print(f"peak memory     +{rise:,.0f} MB, {images:,.0f} MB of it the images")


if __name__ == "__main__":
    main()
