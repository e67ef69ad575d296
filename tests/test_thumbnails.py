import base64
import io

import numpy as np
from PIL import Image

from iic_tf.report.thumbnails import sprite, sprite_columns, thumbnail


def opened(uri):
    kind, _, data = uri.partition(";base64,")
    image = Image.open(io.BytesIO(base64.b64decode(data)))
    assert kind == f"data:image/{image.format.lower()}"
    return image


def test_small_grey_images_stay_what_they_are():
    image = np.random.default_rng(0).integers(0, 2, (9, 5, 1)) * 1.0
    found = np.asarray(opened(thumbnail(image, side=20)))
    np.testing.assert_array_equal(found, 255 * image[..., 0])


def test_large_ones_are_made_small_in_proportion():
    noise = np.random.default_rng(0).uniform(-1, 2, (300, 150, 3))
    image = opened(thumbnail(noise, side=60))
    assert image.size == (30, 60) and image.format == "JPEG"


def test_what_is_no_number_is_black_and_infrared_is_left_out():
    image = np.full((4, 4, 4), np.nan)
    assert np.asarray(opened(thumbnail(image, side=4))).max() == 0


def test_many_images_in_one_stand_row_by_row():
    images = [np.full((3, 6, 1), i / 10) for i in range(5)]
    uri, square = sprite(images, side=40)
    sheet = np.asarray(opened(uri))
    columns = sprite_columns(5)
    assert square == 6 and columns == 3 and sheet.shape == (12, 18)
    for i in range(5):
        row, column = divmod(i, columns)
        assert sheet[row * 6 + 3, column * 6 + 3] == round(25.5 * i)
