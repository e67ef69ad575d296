"""COCO-Stuff: class tables, and small trees in the published layouts."""

import numpy as np
import pytest
import scipy.io
from PIL import Image

from iic_tf.datasets import coco_stuff
from iic_tf.datasets.masks import IGNORE, decode_image, read_images, sample_image
from iic_tf.datasets.published import from_coco_stuff
from iic_tf.errors import UserError


def test_every_fine_class_has_one_coarse_class():
    table = coco_stuff.fine_to_coarse()
    assert set(table) == set(range(27))
    stuff = np.flatnonzero(table >= coco_stuff.FIRST_STUFF)
    assert len(stuff) == 91 and stuff.min() > 90
    # names of appendix A
    assert len(coco_stuff.FINE_NAMES) == len(table)
    for fine, name in ((0, "person"), (9, "traffic light"), (113, "floor-marble")):
        assert coco_stuff.FINE_NAMES[fine] == name
    assert coco_stuff.FINE_NAMES[-1] == "wood"
    for fine, coarse in ((0, 9), (16, 7), (105, 23), (156, 23), (168, 22), (148, 21)):
        assert table[fine] == coarse


@pytest.mark.parametrize(
    ("kind", "number"),
    [("few", 3), ("few_people", 4), ("few_animals", 4), ("few_people_animals", 5),
     ("full", 15), ("full_things", 27), ("full_fine", 91), ("full_things_fine", 182)],
)  # fmt: skip
def test_class_tables(kind, number):
    table, names = coco_stuff.class_table(kind)
    used = set(table) - {IGNORE}
    assert used == set(range(number)) and len(names) == number
    assert (table[coco_stuff.NUM_FINE :] == IGNORE).all()


def test_few_is_sky_plant_ground():
    table, names = coco_stuff.class_table("few")
    assert names == ("sky", "plant", "ground")
    assert [table[i] for i in (156, 168, 148, 0)] == [0, 1, 2, IGNORE]
    with pytest.raises(UserError, match="classes must be one of"):
        coco_stuff.class_table("many")


def write_pair(path_of_image, labels, values):
    for path in (path_of_image, labels):
        path.parent.mkdir(parents=True, exist_ok=True)
    image = np.zeros((*values.shape, 3), np.uint8)
    Image.fromarray(image).save(path_of_image)
    if labels.suffix == ".mat":
        known = np.where(values == IGNORE, 0, values.astype(int) + 1)
        scipy.io.savemat(labels, {"S": known.astype(np.uint8)})
    else:
        Image.fromarray(values).save(labels)


VALUES = np.array([[156, 168], [148, IGNORE]], np.uint8)


def test_164k(tmp_path):
    for name in ("000000000009", "000000000025"):
        write_pair(
            tmp_path / "images" / "train2017" / f"{name}.jpg",
            tmp_path / "annotations" / "train2017" / f"{name}.png",
            VALUES,
        )
    table, _ = coco_stuff.class_table("few")
    found = read_images(coco_stuff.list_164k(tmp_path, "train2017"), classes=table)
    assert (
        found.split.paths[0] == "train2017/000000000009.jpg"
        and len(found.split.paths) == 2
    )
    np.testing.assert_array_equal(found.split.labels[1], [[0, 1], [2, IGNORE]])
    curated = tmp_path / "curated" / "train2017"
    curated.mkdir(parents=True)
    (curated / "Coco164kFew_Stuff_6.txt").write_text("000000000025\n")
    items = coco_stuff.list_164k(tmp_path, "train2017", curated="Coco164kFew_Stuff_6")
    assert [item.name for item in items] == ["train2017/000000000025.jpg"]
    with pytest.raises(UserError, match="must hold COCO-Stuff"):
        coco_stuff.list_164k(tmp_path, "val2017")
    assert coco_stuff.curated_list("few") == "Coco164kFew_Stuff_6"
    both = coco_stuff.curated_list("few_people_animals")
    assert both == "Coco164kFew_Stuff_People_Animals_6"
    assert coco_stuff.curated_list("full_things") == "Coco164kFull_Stuff_Coarse_7"
    with pytest.raises(UserError, match="list of images"):
        coco_stuff.list_164k(tmp_path, "train2017", curated="other")


def test_10k(tmp_path):
    name = "COCO_train2014_000000000077"
    write_pair(
        tmp_path / "images" / f"{name}.jpg",
        tmp_path / "annotations" / f"{name}.mat",
        VALUES,
    )
    (tmp_path / "imageLists").mkdir()
    (tmp_path / "imageLists" / "all.txt").write_text(f"{name}\n")
    table, _ = coco_stuff.class_table("few")
    found = read_images(
        coco_stuff.list_10k(tmp_path, "all"),
        read_labels=coco_stuff.read_mat_labels,
        classes=table,
    )
    np.testing.assert_array_equal(found.split.labels[0], [[0, 1], [2, IGNORE]])


def test_the_curation_rule():
    table, _ = coco_stuff.class_table("few")
    labels = np.full((360, 400), 156, np.uint8)
    assert coco_stuff.is_kept(labels, table)
    assert not coco_stuff.is_kept(labels[:359], table)
    labels[:91] = 0  # a person: a little more than a quarter
    assert not coco_stuff.is_kept(labels, table)


def test_mistakes_are_repeated_where_asked(tmp_path):
    for split in ("train2017", "val2017"):
        folder = tmp_path / "images" / split
        write_pair(folder / "1.jpg", tmp_path / "annotations" / split / "1.png", VALUES)
        image = np.zeros((2, 2, 3), np.uint8)
        image[..., 0] = 250
        Image.fromarray(image).save(folder / "1.jpg")
    found = [
        from_coco_stuff(
            tmp_path, classes="few", curated=None, scale=1.0, mistakes=mistakes
        ).splits["train"]
        for mistakes in ((), ("sky", "bgr"))
    ]
    np.testing.assert_array_equal(found[0].labels[0], [[0, 1], [2, IGNORE]])
    np.testing.assert_array_equal(found[1].labels[0], [[0, 1], [2, 0]])
    assert found[0].images[0][0, 0, 0] > 200 > found[1].images[0][0, 0, 0]
    np.testing.assert_array_equal(found[0].images[0], found[1].images[0][..., ::-1])


def test_persons_around_small_pictures_are_repeated_where_asked(tmp_path):
    for split in ("train2017", "val2017"):
        folder = tmp_path / "images" / split
        write_pair(folder / "1.jpg", tmp_path / "annotations" / split / "1.png", VALUES)
        Image.new("RGB", (2, 2), "white").save(folder / "1.jpg")
    arguments = {"curated": None, "scale": 1.0, "mistakes": ["person"], "side": 3}
    found = from_coco_stuff(tmp_path, classes="few_people", **arguments).splits["train"]
    np.testing.assert_array_equal(
        found.labels[0], [[0, 1, 3], [2, IGNORE, 3], [3, 3, 3]]
    )
    np.testing.assert_array_equal(found.images[0][..., 0] > 128, found.labels[0] != 3)
    assert found.sizes == ((3, 3),)
    smaller = {**arguments, "side": 1, "scale": 0.5}
    found = from_coco_stuff(tmp_path, classes="few_people", **smaller).splits["train"]
    assert found.images[0].shape == (1, 1, 3) and found.sizes == ((2, 2),)
    with pytest.raises(UserError, match="person is only for classes that include"):
        from_coco_stuff(tmp_path, classes="few", **arguments)
    arguments["mistakes"] = ["sky"]
    with pytest.raises(UserError, match="sky is only for few classes"):
        from_coco_stuff(tmp_path, classes="full", **arguments)


def test_10k_where_there_are_its_lists(tmp_path):
    (tmp_path / "imageLists").mkdir()
    for split in ("train", "test"):
        write_pair(
            tmp_path / "images" / f"{split}.jpg",
            tmp_path / "annotations" / f"{split}.mat",
            VALUES,
        )
        (tmp_path / "imageLists" / f"{split}.txt").write_text(f"{split}\n")
    with pytest.raises(UserError, match=r"data\.curated is only for COCO-Stuff 164k"):
        from_coco_stuff(tmp_path, classes="few", curated="any", scale=1.0)
    found = from_coco_stuff(tmp_path, classes="few", curated=None, scale=1.0)
    assert set(found.splits) == {"train", "test"}
    np.testing.assert_array_equal(found.splits["test"].labels[0], [[0, 1], [2, IGNORE]])


@pytest.mark.parametrize("name", ["../../x", "/etc/x", ".."])
def test_lists_cannot_lead_out_of_the_folder(tmp_path, name):
    for path in ("images/train2017", "annotations/train2017", "curated/train2017",
                 "imageLists"):  # fmt: skip
        (tmp_path / path).mkdir(parents=True)
    for path in ("curated/train2017/mine.txt", "imageLists/train.txt"):
        (tmp_path / path).write_text(f"000001\n{name}\n")
    message = "must hold image names without folders"
    with pytest.raises(UserError, match=message):
        coco_stuff.list_164k(tmp_path, "train2017", curated="mine")
    with pytest.raises(UserError, match=message):
        coco_stuff.list_10k(tmp_path, "train")
    (tmp_path / "imageLists" / "train.txt").write_bytes(b"\x00\xff\xfe")
    with pytest.raises(UserError, match="must be UTF-8"):
        coco_stuff.list_10k(tmp_path, "train")
    (tmp_path / "imageLists" / "train.txt").write_bytes(b"")
    with pytest.raises(UserError, match="at least one image"):
        coco_stuff.list_10k(tmp_path, "train")


def test_images_are_made_smaller_as_the_authors_did(tmp_path):
    rng, images = np.random.default_rng(0), tmp_path / "images"
    for split in ("train2017", "val2017"):
        path = images / split / "1.jpg"
        labels = rng.choice([156, 168], (30, 40)).astype(np.uint8)
        write_pair(path, tmp_path / "annotations" / split / "1.png", labels)
        Image.fromarray(rng.integers(0, 256, (30, 40, 3), np.uint8)).save(path)
    found = from_coco_stuff(tmp_path, classes="few", curated=None, scale=0.33)
    whole = decode_image(images / "train2017" / "1.jpg")
    np.testing.assert_array_equal(
        found.splits["train"].images[0], sample_image(whole, 0.33)
    )
