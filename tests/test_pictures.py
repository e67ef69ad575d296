import numpy as np
from PIL import Image

from iic_tf.pictures import cluster_grid, pair_grid


def test_cluster_grid_also_with_empty_clusters(digits, tmp_path):
    images = digits[0][:50]
    probabilities = np.random.default_rng(0).dirichlet(np.ones(4), 50)
    probabilities[:, 2] = 0  # an empty cluster
    path = tmp_path / "clusters.png"
    cluster_grid(
        path, images, probabilities, names=list("abcd"), title="a run", columns=8
    )
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("L"))
    assert (pixels < 50).mean() > 0.1  # black digits' backgrounds are there
    assert [p.name for p in tmp_path.iterdir()] == ["clusters.png"]


def test_cluster_grid_in_colour(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)
    images[..., 0] = 255
    probabilities = np.eye(3)[np.arange(12) % 3]
    cluster_grid(tmp_path / "c.png", images, probabilities, title="colour", columns=4)
    with Image.open(tmp_path / "c.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    assert ((pixels[:, 0] == 255) & (pixels[:, 1] < 200)).mean() > 0.1


def test_pair_grid(digits, tmp_path):
    views = [digits[0][:6] / 255.0, digits[0][:6] / 128.0 - 0.5]
    pair_grid(tmp_path / "pairs.png", views, title="pairs")
    with Image.open(tmp_path / "pairs.png") as picture:
        assert picture.size[0] > picture.size[1]
