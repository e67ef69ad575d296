import keras
import numpy as np
import pytest
import tensorflow as tf

from iic_tf.augment.pairs import evaluation_batches
from iic_tf.evaluation.inference import compile_predict, overclusters, soft_assignments
from iic_tf.evaluation.metrics import contingencies, matched_errors
from iic_tf.models.networks import SegmentIIC
from iic_tf.neighbours.fusing import fuse, thinned
from iic_tf.neighbours.nearest import feature_neighbours, find_neighbours
from iic_tf.neighbours.spectral import graph_joint, neighbour_graph
from iic_tf.tasks.regroup import (
    BY_GRAPH,
    _agree,
    _Candidate,
    _start_from,
    clusters_in_use,
    regroup,
    sample_images,
    sample_pixels,
)
from iic_tf.tuned import KEPT_SHARE


def test_overclusters_are_those_of_the_model(tiny_model, digits, views):
    model = tiny_model()
    pairs = evaluation_batches(digits[0][:50], views, pairs=True, batch=20)
    features, own, other = overclusters(model, pairs)
    assert features.shape == (50, *model.backbone.output_shape[1:])
    for index, of_model in ((0, own), (1, other)):
        expected = [model(views[index])["aux"].numpy().argmax(-1) for views in pairs]
        np.testing.assert_array_equal(of_model, np.concatenate(expected))
    alone, same, none = overclusters(model, pairs.map(lambda x, gx: (x,)))
    np.testing.assert_allclose(alone, features, atol=1e-5)
    np.testing.assert_array_equal(same, own)
    assert none is None


def graph_of(images):
    return neighbour_graph(find_neighbours(images, number=10, seed=0))


def regroup_by(model, images, views, **how):
    return regroup(model, sample_images(model, images, views, **how, seed=0), seed=0)


def test_main_sub_heads_name_the_groups(tiny_model, digits, views):
    model, images = tiny_model(num_main=4), digits[0][:600]
    trunk = [w.numpy() for w in (*model.backbone.weights, *model.aux.weights)]
    found = regroup_by(model, images, views)
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
    # even random features say something once their graph decides what belongs together
    images, labels = digits[0][:1000], digits[1][:1000]
    model = tiny_model(k_aux=40)
    batches = evaluation_batches(images, views, batch=500)

    def errors():
        soft = soft_assignments(compile_predict(model), batches)
        return matched_errors(
            contingencies(soft.argmax(-1), labels, num_clusters=10, num_classes=10)
        )

    before = errors()
    found = regroup_by(model, images, views, graph=graph_of(images))
    assert found.information.shape == (3,) and not found.refused
    # overclusters that have not trained tell less than the groups of the graph
    assert found.sources[0] == BY_GRAPH == -1
    assert found.information[-1] == found.information.max()
    assert errors().max() < before.min()


def test_overclusters_of_pixels_that_meet_are_grouped():
    """Four kinds of pixels; a copy shows 1 for 0, 3 for 2, and the other way round."""
    images = keras.Input((None, None, 4))
    backbone = keras.Model(images, keras.layers.Activation("linear")(images))
    model = SegmentIIC.create(backbone, k=2, k_aux=4, num_main=2, num_aux=1, bias=False)
    model(np.zeros((1, 4, 4, 4), np.float32))
    [aux_kernel] = model.aux.get_weights()
    model.aux.set_weights([20 * np.eye(4, dtype="f4").reshape(aux_kernel.shape)])
    rng = np.random.default_rng(0)
    kinds = np.repeat(np.repeat(rng.integers(0, 4, (20, 2, 2)), 4, axis=1), 4, axis=2)
    one_hot = np.eye(4, dtype=np.float32)
    same_place = np.tile(np.eye(2, 3, dtype=np.float32), (20, 1, 1))
    batch = (
        one_hot[kinds],
        (one_hot[kinds ^ 1],),
        (same_place,),
        np.ones(kinds.shape, np.float32),
    )
    batches = tf.data.Dataset.from_tensors(batch)
    found = regroup(model, sample_pixels(model, batches, displacement=0), seed=0)
    assert found.information[0] == pytest.approx(np.log(2), abs=0.02)
    soft = model.main(one_hot[kinds]).numpy()
    for head in range(2):
        group = soft[..., head, :].argmax(-1)
        assert len(set(group[kinds < 2])) == len(set(group[kinds >= 2])) == 1
        assert group[kinds < 2][0] != group[kinds >= 2][0]


def test_a_regrouping_that_knows_less_is_refused(
    tiny_model, digits, views, monkeypatch
):
    model, images = tiny_model(num_main=4), digits[0][:300]
    graph = graph_of(images)
    regroup_by(model, images, views, graph=graph)
    before = [weights.numpy() for weights in model.main.weights]

    def fit_nothing(features, clusters):
        model.main.bias.assign(np.eye(1, model.main.bias.shape[0], dtype="f4")[0])
        model.main.kernel.assign(np.zeros(model.main.kernel.shape, "f4"))

    monkeypatch.setattr(model.main, "refit", fit_nothing)
    assert regroup_by(model, images, views, graph=graph).refused
    for old, weights in zip(before, model.main.weights, strict=True):
        np.testing.assert_array_equal(old, weights.numpy())


@pytest.mark.parametrize("sampled", [300, 120])
def test_appearance_and_features_are_fused(
    tiny_model, digits, views, monkeypatch, sampled
):
    monkeypatch.setattr("iic_tf.tasks.regroup.MAX_IMAGES", sampled)
    model, images = tiny_model(), digits[0][:300]
    graph = graph_of(images)
    sample = sample_images(model, images, views, graph=graph, joined=5, seed=0)
    chosen = np.linspace(0, 299, sampled).astype(int)
    by_features = feature_neighbours(sample.features, number=5, seed=0)
    by_appearance = thinned(graph, chosen, number=10)
    expected = fuse(by_appearance, neighbour_graph(by_features), number=15)
    np.testing.assert_allclose(sample.near.toarray(), expected.toarray())
    k = model.aux.num_clusters
    for own, joint in zip(sample.overclusters.T, sample.joints, strict=True):
        np.testing.assert_allclose(joint, graph_joint(expected, own, k))


@pytest.mark.parametrize(
    ("after", "refused"),
    [((1.0, 9), True), ((0.9, 10), True), ((1.0, 10), False), ((1.1, 10), False)],
)
def test_knowing_less_and_using_fewer_clusters_each_refuse(
    tiny_model, digits, views, monkeypatch, after, refused
):
    model, images = tiny_model(), digits[0][:100]
    start = model.main.bias.numpy()
    states = iter([(1.0, 10), after])  # nats, clusters in use
    monkeypatch.setattr("iic_tf.tasks.regroup._state", lambda *_: next(states))
    found = regroup_by(model, images, views, graph=graph_of(images))
    assert found.refused == refused
    assert np.array_equal(model.main.bias.numpy(), start) == refused


@pytest.mark.parametrize(
    ("agreeing", "expected"), [(False, [1, 2, 1, 2, 1]), (True, [1, 1, 1, 1, 1])]
)
def test_groupings_that_lag_behind_the_best_are_left_out(
    tiny_model, monkeypatch, agreeing, expected
):
    model, fitted = tiny_model(num_main=5), []
    monkeypatch.setattr(
        model.main, "refit", lambda _, clusters: fitted.append(clusters)
    )
    clusters = {head: (np.arange(40) * (head + 1)) % 10 for head in range(4)}
    best, lag = 2.0, KEPT_SHARE * np.log(10)
    known = {0: best - 1.01 * lag, 1: best, 2: best - 0.99 * lag, 3: 0.1}
    found = [_Candidate(known[head], head, clusters[head]) for head in range(4)]
    features = np.zeros((40, 3), np.float32)
    sources = _start_from(model, found, features, agreeing=agreeing)
    assert sources.tolist() == expected
    np.testing.assert_array_equal(fitted[0].T, [clusters[head] for head in expected])


def test_clusters_in_use():
    clusters = np.repeat([0, 1, 2], [90, 9, 1])
    assert clusters_in_use(clusters, 4) == 2
    assert clusters_in_use(np.zeros(10, int), 3) == 1


def test_groupings_agree_whatever_their_numbers():
    clusters = np.arange(100) % 4
    assert _agree(clusters, (clusters + 1) % 4, 4)
    other = clusters.copy()
    other[:4] = (other[:4] + 1) % 4
    assert not _agree(clusters, other, 4)
