"""How far confidence is from accuracy, before and after calibration, of finished runs.

``python benchmarks/calibration.py RUN ...`` evaluates the network of each run on the
run's own images and prints, for the probability by the chosen sub-head (before) and for
confidence (after), the expected calibration error in 15 bins, the mean beside the
accuracy, and the ranking: how often an image in a right cluster is surer than one in a
wrong one (area under the ROC curve). ``--rules`` prints the parts of confidence on
their own, too. Labels only score. Runs from before there was a calibration are
calibrated by their own training images.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from sklearn.metrics import roc_auc_score

from commands.loading import load
from commands.parsing import parse_words
from iic_tf.errors import UserError
from iic_tf.evaluation.confidence import reliability
from iic_tf.evaluation.results import Results
from iic_tf.run_folder import OPTIONS_FILE, read_options, read_summary
from iic_tf.training.stored import kept_choice, load_model


def evaluated(folder: Path) -> Results:
    """What the network of a run makes of the run's images."""
    stored = read_options(folder / OPTIONS_FILE)
    loaded = load(parse_words([], over=stored), train=False)
    choice, summary = kept_choice(folder), read_summary(folder)
    if choice is None or summary is None:
        raise UserError(f"the run {folder} is not finished")
    known = "calibration" in summary
    return loaded.task.evaluate(
        load_model(folder),
        loaded.options,
        choice=choice if known else None,
        lowest=choice.head,
    )


def rules(results: Results) -> dict[str, np.ndarray]:
    """Confidence and its parts, each of shape ``(n,)``, by name."""
    soft, calibration = results.soft, results.choice.calibration
    if soft is None or results.sure is None:
        raise UserError("only runs that cluster whole images have confidences")
    found = {"before": soft[:, results.chosen].max(axis=-1)}
    if calibration is not None:
        head = results.chosen
        alone = calibration._replace(agreement=np.ones(soft.shape[-1]).tolist())
        found["mean of sub-heads"] = alone.confidence(soft, None, head=head)
        found["times agreement"] = calibration.confidence(soft, None, head=head)
        agreement = np.array(calibration.agreement)
        clusters = soft[:, head].argmax(axis=-1)
        found["with views"] = results.sure / np.maximum(agreement[clusters], 1e-9)
    return found | {"after": results.sure}


def told(name: str, sure: np.ndarray, right: np.ndarray) -> str:
    """A line about one kind of confidence."""
    ranking = roc_auc_score(right, sure) if 0 < right.mean() < 1 else float("nan")
    return (
        f"{name:18} ECE {reliability(sure, right).error:.3f}  mean {sure.mean():.3f}  "
        f"accuracy {right.mean():.3f}  ranking {ranking:.2f}"
    )


def main(words: Sequence[str] | None = None) -> None:
    """Prints a block for each run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--rules", action="store_true", help="also the parts")
    given = parser.parse_args(words)
    for folder in given.runs:
        begun = time.perf_counter()
        results = evaluated(folder)
        seconds = time.perf_counter() - begun
        if results.labels is None or results.classes is None:
            raise UserError(f"the images of {folder} have no labels")
        clusters = results.soft[:, results.chosen].argmax(axis=-1)
        right = results.classes[clusters] == results.labels
        print(f"{folder} ({results.number:,} images, {seconds:.0f} s)")
        for name, sure in rules(results).items():
            if given.rules or name in ("before", "after"):
                print(f"  {told(name, np.clip(sure, 0, 1), right)}", flush=True)


if __name__ == "__main__":
    main()
