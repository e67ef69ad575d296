import numpy as np
import pytest
from PIL import Image

from iic_tf.report import progression


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)


def test_corners_are_on_the_circle_from_the_top():
    places = progression.corners(4)
    np.testing.assert_allclose(places, [[0, -1], [1, 0], [0, 1], [-1, 0]], atol=1e-12)


def test_sure_images_stand_in_their_corners_unsure_ones_in_the_middle(images):
    kinds = np.arange(40) % 4
    sure = np.eye(4, dtype=np.float32)[kinds]
    coloured = progression.palette(4)

    def is_at(frame, place, colour):
        x, y = np.round(place).astype(int)
        return (np.asarray(frame)[y, x] == colour).all()

    middle, radius = progression.SIDE / 2, progression.SIDE / 2 - 84
    frame = progression.draw_frame(sure, images, kinds, title="")
    for kind, corner in enumerate(progression.corners(4)):
        assert is_at(frame, middle + radius * corner, coloured[kind])
    frame = progression.draw_frame(np.full((40, 4), 0.25), images, kinds, title="")
    assert is_at(frame, np.array([middle, middle]), coloured[kinds[-1]])


@pytest.mark.parametrize("with_labels", [True, False])
def test_snapshots_become_frames_and_an_animation(images, tmp_path, with_labels):
    kinds = np.arange(40) % 4
    final = np.eye(4)[kinds] * 0.9 + 0.025
    renumbered = final[:, [2, 0, 3, 1]]
    uniform = np.full((40, 4), 0.25)
    folder = tmp_path / "progression"
    for step, soft in ((0, uniform), (50, renumbered), (100, final)):
        progression.store(folder, step, soft)
    labels = kinds if with_labels else None
    progression.draw(folder, tmp_path / "p.gif", images, labels=labels)
    names = sorted(path.name for path in folder.glob("*.png"))
    assert names == [f"step_{step:06}.png" for step in (0, 50, 100)]
    with Image.open(tmp_path / "p.gif") as animation:
        assert animation.n_frames == 3
    # other numbers for the same clusters make the same image
    frames = [np.asarray(Image.open(folder / name))[40:] for name in names[1:]]
    np.testing.assert_array_equal(frames[0], frames[1])
