"""What k-means makes of the same images: on pixels, principal components, descriptions.

``python benchmarks/kmeans.py --data FOLDER --k 10 --seeds 0 1 2`` prints the errors
after a one-to-one match of clusters and classes, on all images, train and test. The
descriptions are those that neighbours of photographs are found by (``--photographs``).
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA

from iic_tf.metrics import matched_errors
from iic_tf.neighbours import describe_photographs
from iic_tf.options import UserError
from iic_tf.sources import from_dir
from iic_tf.splits import apply_protocol


def main() -> None:
    """Clusters and prints."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", required=True, help="as --data.dir of models_iic.py")
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--components", type=int, default=50)
    parser.add_argument("--photographs", action="store_true")
    arguments = parser.parse_args()
    source = from_dir(arguments.data, name="images")
    split = apply_protocol(source, "all", unlabelled=False).train
    pixels = split.images.reshape(len(split.images), -1).astype(np.float32) / 255
    reduced = PCA(arguments.components, random_state=0).fit_transform(pixels)
    whitened = reduced / reduced.std(axis=0)
    spaces = {
        "pixels": pixels,
        f"{arguments.components} principal components": reduced,
        f"{arguments.components} components, whitened": whitened,
    }
    if arguments.photographs:
        some = np.random.default_rng(0).permutation(split.images)[:5000]
        describe = describe_photographs(some, seed=0)
        parts = np.array_split(split.images, -(-len(split.images) // 500))
        spaces["edges and patches"] = np.concatenate([describe(part) for part in parts])
    for name, points in spaces.items():
        errors = []
        for seed in arguments.seeds:
            means = KMeans(arguments.k, n_init=10, random_state=seed).fit(points)
            clusters = means.labels_[:, None]
            errors += list(
                matched_errors(clusters, split.labels, num_clusters=arguments.k)
            )
        listed = ", ".join(f"{error:.4f}" for error in errors)
        print(f"k-means on {name}: error {listed}", flush=True)


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"{Path(__file__).name}: error: {error}")
