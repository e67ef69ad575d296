"""A fingerprint of the weights after some steps: does a change of the code change runs?

``python benchmarks/weights.py --mnist FOLDER --cifar10 FOLDER --images IMAGES --masks
LABELS`` trains some steps of several runs, seed 0, and prints a hash of all weights of
each. On one kind of processor the same code gives the same hashes, so run it before and
after a change that must not change a number.
"""

import argparse
import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))


def fingerprint(model: Path) -> str:
    """A hash of all weights of a stored network, in their order."""
    import keras

    import iic_tf.models.networks  # noqa: F401  (registers what is loaded)

    found = hashlib.sha256()
    for value in keras.models.load_model(model).get_weights():
        found.update(value.tobytes())
    return found.hexdigest()[:16]


def main() -> None:
    """Reads the arguments, trains, prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mnist", type=Path, metavar="FOLDER")
    parser.add_argument("--cifar10", type=Path, metavar="FOLDER")
    parser.add_argument("--images", type=Path, help="CamVid's images")
    parser.add_argument("--masks", type=Path, help="and its label maps")
    parser.add_argument("--steps", type=int, default=100)
    given = parser.parse_args()
    runs: dict[str, list[str]] = {"mnist_5000": ["--data.recipe=mnist_5000"]}
    if given.mnist:
        runs["mnist"] = [f"--data.dir={given.mnist}"]
        # as published, but for fewer images a step
        runs["mnist_685"] = [
            *("--config", str(ROOT / "configs/mnist_685.yaml"), "--data.batch=20"),
            *("--data.repeats=1", f"--data.dir={given.mnist}"),
        ]
    if given.cifar10:
        runs["cifar10"] = ["--data.recipe=cifar10", f"--data.dir={given.cifar10}"]
    if given.images and given.masks:
        runs["camvid_3"] = [
            *("--config", str(ROOT / "configs/camvid_3.yaml")),
            *(f"--data.images={given.images}", f"--data.masks={given.masks}"),
        ]
    with tempfile.TemporaryDirectory() as out:
        for name, options in runs.items():
            command = [sys.executable, str(ROOT / "models_iic.py"), *options]
            command += [f"--train.steps={given.steps}", f"--out={out}"]
            command += [f"--name={name}", "--report.window=never"]
            done = subprocess.run(command, capture_output=True, text=True)
            model = Path(out) / name / "model.keras"
            said = done.stdout[-300:] + done.stderr
            print(name, fingerprint(model) if model.is_file() else said, flush=True)


if __name__ == "__main__":
    main()
