import numpy as np
import pytest

from iic_tf.inference import compile_predict, overclusters, soft_assignments
from iic_tf.metrics import matched_errors
from iic_tf.neighbours import find_neighbours
from iic_tf.pipeline import evaluation_batches
from iic_tf.regroup import regroup


def test_overclusters_are_those_of_the_model(tiny_model, digits, views):
    model = tiny_model()
    pairs = evaluation_batches(digits[0][:50], views, pairs=True, batch=20)
    features, own, other = overclusters(model, pairs)
    assert features.shape == (50, *model.backbone.output_shape[1:])
    for index, of_model in ((0, own), (1, other)):
        expected = [model(views[index])["aux"].numpy().argmax(-1) for views in pairs]
        np.testing.assert_array_equal(of_model, np.concatenate(expected))


@pytest.mark.parametrize("with_neighbours", [True, False])
def test_main_sub_heads_name_the_groups(tiny_model, digits, views, with_neighbours):
    model, images = tiny_model(num_main=4), digits[0][:600]
    neighbours = find_neighbours(images, number=5, seed=0) if with_neighbours else None
    trunk = [w.numpy() for w in (*model.backbone.weights, *model.aux.weights)]
    found = regroup(model, images, views, neighbours=neighbours, seed=0)
    assert found.information.shape == (2,) and (found.information > 0).all()
    assert len(found.sources) == 4 and found.sources[0] == found.information.argmax()
    for before, after in zip(
        trunk, (*model.backbone.weights, *model.aux.weights), strict=True
    ):
        np.testing.assert_array_equal(before, after.numpy())
    batches = evaluation_batches(images, views, pairs=True, batch=100)
    clusters = soft_assignments(compile_predict(model), batches).argmax(-1)
    same = found.sources == found.sources[0]
    assert (clusters[:, same] == clusters[:, same][:, :1]).all()
    _, own, _ = overclusters(model, batches)
    # sub-heads of one source agree with some grouping of its overclusters
    for head, source in enumerate(found.sources):
        counts = np.zeros((model.aux.num_clusters, 10))
        np.add.at(counts, (own[:, source], clusters[:, head]), 1)
        assert counts.max(axis=1).sum() > 0.8 * len(images)


def test_a_better_clustering_than_at_random(digits, views, tiny_model):
    # even overclusters of random features, grouped by neighbours, say something
    images, labels = digits[0][:2000], digits[1][:2000]
    model = tiny_model(k_aux=40)
    neighbours = find_neighbours(images, number=10, seed=0)
    batches = evaluation_batches(images, views, batch=500)

    def errors():
        soft = soft_assignments(compile_predict(model), batches)
        return matched_errors(soft.argmax(-1), labels, num_clusters=10)

    before = errors()
    regroup(model, images, views, neighbours=neighbours, seed=0)
    assert errors().min() < before.min()
