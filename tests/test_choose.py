import pytest
from reference import blobs

from iic_tf.evaluation.choosing import advise
from iic_tf.tasks.choose import from_graph, most_from_graph


@pytest.mark.parametrize("number", [4, 6])
def test_separate_blobs_are_counted(number):
    find = blobs(number, 60)
    found = from_graph(find, least=2, most=9, seed=0)
    assert (advise(found).k, advise(found).clear) == (number, True)
    place = number - 2
    assert found.stability[place] > 0.99
    assert found.gaps.argmax() == place


def test_few_images_allow_few_clusters():
    assert most_from_graph(400) == 30
    assert most_from_graph(100_000) == 375
