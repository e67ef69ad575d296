# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Part 3: Practice
#
# From raw images to named clusters: first in four lines, then with everything that these lines do written
# out in plain Keras, then with your own images. All of it takes about ten minutes on two CPU cores.

# %%
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # TensorFlow keeps quiet

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from keras import layers
from scipy.optimize import linear_sum_assignment
from sklearn import metrics

from iic_tf import ImageClusterer, iic_loss
from iic_tf.datasets.published import embedded_digits
from iic_tf.datasets.splits import concatenate

plt.rcParams |= {"figure.dpi": 80, "axes.spines.top": False, "axes.spines.right": False}
SHORT = os.environ.get("IIC_TF_TUTORIAL") == "short"  # a test: too short to learn much

# %% [markdown]
# ## Images
#
# We use 5,000 digits of MNIST that come with one of the installed packages. (For all 70,000, download the
# four files and use `from_idx` of `iic_tf.datasets.numpy_files`; nothing below changes but the time.)
#
# 1,000 of them are put aside, and nothing that learns sees these. The other 4,000 have labels too, but we
# pretend not to know them.

# %%
digits = concatenate(list(embedded_digits().splits.values()))
order = np.random.default_rng(0).permutation(len(digits.images))
images, classes = digits.images[order], digits.labels[order]
images, new_images = images[:4000], images[4000:]
classes, new_classes = classes[:4000], classes[4000:]
print(images.shape, images.dtype, images.min(), images.max())

# %% [markdown]
# ## Four lines
#
# `augment="mnist"` are the augmentations for digits: shifts, rotations, zooms, contrast, never mirrored. With
# photographs you would leave it out. `fit` does not get the classes.

# %%
clusterer = ImageClusterer(10, augment="mnist", steps=10 if SHORT else None)
clusterer.fit(images)
clusters = clusterer.labels_
print(np.bincount(clusters, minlength=10))

# %% [markdown]
# ### Look first
#
# Before any number, look at what is in the clusters. Left are the images that the network is most
# sure of, right those that it is least sure of, a cluster in each row.

# %%


def show_clusters(images, clusters, confidence, names=None, number=8):
    _, axes = plt.subplots(10, 2 * number + 1, figsize=(9, 5.4))
    for cluster, row in enumerate(axes):
        members = np.flatnonzero(clusters == cluster)
        members = members[np.argsort(-confidence[members])]
        shown = [*members[:number], None, *members[-number:]]
        for axis, index in zip(row, shown, strict=False):
            if index is not None:
                axis.imshow(images[index, ..., 0], cmap="gray_r")
        for axis in row:
            axis.axis("off")
        name = f"cluster {cluster}" if names is None else names[cluster]
        row[0].text(-0.3, 0.5, name, transform=row[0].transAxes, ha="right",
                    va="center")  # fmt: skip
    plt.show()


show_clusters(images, clusters, clusterer.confidence_)

# %% [markdown]
# ### Then measure
#
# Since we do have labels, we can say how good that is. Clusters have numbers, not names, so they are first
# matched with the classes, one to one, in the way that suits them best. That is the protocol of most
# papers; it uses all labels to score, and none to train.

# %%


def match(clusters, classes):
    """The class of each cluster, matched one to one."""
    table = np.zeros((10, 10), int)
    np.add.at(table, (clusters, classes), 1)
    return linear_sum_assignment(table, maximize=True)[1]


def scores(clusters, classes):
    right = match(clusters, classes)[clusters] == classes
    homogeneity, completeness, _ = metrics.homogeneity_completeness_v_measure(
        classes, clusters
    )
    rand = metrics.adjusted_rand_score(classes, clusters)
    print(f"error         {1 - right.mean():.4f}  (one to one)")
    print(f"homogeneity   {homogeneity:.4f}  (does a cluster hold one class only?)")
    print(f"completeness  {completeness:.4f}  (is a class in one cluster only?)")
    print(f"adjusted Rand {rand:.4f}  (0 is chance, 1 is perfect)")


scores(clusters, classes)

# %% [markdown]
# Does it hold for digits that the network has never seen?

# %%
scores(clusterer.predict(new_images), new_classes)

# %% [markdown]
# ### How sure is it?
#
# The confidence of an image is the largest of its ten probabilities. Networks are more confident than they
# should be, but the order is useful: mistakes are found among the images with low confidence.

# %%
right = match(clusters, classes)[clusters] == classes
_, (left, middle) = plt.subplots(1, 2, figsize=(9, 2.6))
left.hist(clusterer.confidence_, 30, color="#1f77b4")
left.set(xlabel="confidence", ylabel="images", yscale="log")
by_confidence = np.argsort(clusterer.confidence_)
found = np.cumsum(~right[by_confidence]) / max((~right).sum(), 1)
middle.plot(np.arange(1, len(found) + 1) / len(found), found, color="#d62728")
middle.set(xlabel="share of images looked at,\nleast confident first",
           ylabel="share of mistakes found", xlim=(0, 1), ylim=(0, 1))  # fmt: skip
plt.show()

# %% [markdown]
# ## Names from a few labels, with an honest split
#
# In earnest you have no labels, but you can make a few. Take 100 labelled digits, ten of each class, and
# give each cluster the class that is most frequent among them. These 100 must not be used for scoring: they
# would always look good. The score is that of the 1,000 digits that have been put aside, of which the
# network has seen neither the label nor the image.

# %%
rng = np.random.default_rng(0)
labelled = np.concatenate(
    [rng.choice(np.flatnonzero(classes == c), 10, replace=False) for c in range(10)]
)
votes = np.zeros((10, 10), int)
np.add.at(votes, (clusters[labelled], classes[labelled]), 1)
names = votes.argmax(axis=1)
accuracy = (names[clusterer.predict(new_images)] == new_classes).mean()
print(f"the clusters are named {names.tolist()}")
print(f"accuracy on held-out digits with 100 labels: {accuracy:.4f}")

# %% [markdown]
# On the command line, `python models_iic.py name RUN --labels labels.csv` does this, proposes which images
# are worth labelling next, and writes a model that knows the names.
#
# ## What these four lines do, in plain Keras
#
# Here is IIC without this package, but for the loss of [part 2](2_loss.md): pairs, a network with two banks of
# sub-heads, a training loop. No neighbours, no regrouping: what the paper describes, on a small scale.

# %%
keras.utils.set_random_seed(0)
BATCH, VIEWS, HEADS, EPOCHS = 250, 3, 5, 1 if SHORT else 40

augment = keras.Sequential(
    [
        layers.RandomRotation(0.07, fill_mode="constant"),
        layers.RandomTranslation(0.1, 0.1, fill_mode="constant"),
        layers.RandomZoom(0.2, 0.2, fill_mode="constant"),
        layers.RandomContrast(0.4, value_range=(0, 1)),
    ]
)


def with_views(batch):
    originals = tf.cast(batch, tf.float32) / 255
    return originals, tuple(augment(originals, training=True) for _ in range(VIEWS))


pairs = (
    tf.data.Dataset.from_tensor_slices(images)
    .shuffle(len(images), seed=0)
    .batch(BATCH, drop_remainder=True)
    .map(with_views, num_parallel_calls=2)
    .prefetch(2)
)

inputs = x = keras.Input((28, 28, 1))
for filters in (32, 64, 128):
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    x = layers.MaxPooling2D()(layers.ReLU()(x))
features = layers.Flatten()(x)


def bank(k):
    """Five independent softmaxes over k clusters, on the same features."""
    logits = layers.Reshape((HEADS, k))(layers.Dense(HEADS * k)(features))
    return layers.Softmax()(logits)


network = keras.Model(inputs, [bank(10), bank(50)])
optimizer = keras.optimizers.Adam(1e-3)


@tf.function
def train_step(originals, views):
    with tf.GradientTape() as tape:
        everything = network(tf.concat([originals, *views], axis=0), training=True)
        losses = []
        for assignments in everything:  # of each bank
            own, *others = tf.split(assignments, 1 + VIEWS, axis=0)
            losses.append(iic_loss(own, others))  # one loss for each sub-head
        total = tf.add_n([tf.reduce_mean(loss) for loss in losses])
    gradient = tape.gradient(total, network.trainable_variables)
    optimizer.apply_gradients(zip(gradient, network.trainable_variables, strict=True))
    return losses


history = []
for _ in range(EPOCHS):
    steps = [train_step(originals, views) for originals, views in pairs]
    history.append([np.mean(losses, axis=0) for losses in zip(*steps, strict=True)])

# %% [markdown]
# Every line is a sub-head, and its height what it knows, as a share of what it could. In a notebook you could
# redraw this after each epoch; a run of this package keeps it in `learning_curve.png`.

# %%
main, overclusters = (np.stack(part) for part in zip(*history, strict=True))
plt.figure(figsize=(6, 3))
plt.plot(-main / np.log(10), color="#1f77b4", label="10 clusters")
plt.plot(-overclusters / np.log(50), color="#ff7f0e", label="50 overclusters")
handles, labels = plt.gca().get_legend_handles_labels()
plt.legend(handles[::HEADS], labels[::HEADS], frameon=False)
plt.xlabel("epoch")
plt.ylabel("mutual information\nas a share of ln k")
plt.ylim(0, 1)
plt.show()

# %% [markdown]
# ### Which sub-head do I take?
#
# The one with the lowest loss. It is the only thing to go by without labels. Let us see what that
# costs:

# %%
soft = network.predict(images.astype("float32") / 255, batch_size=500, verbose=0)[0]
lowest = int(main[-1].argmin())
for head in range(HEADS):
    own = soft[:, head].argmax(axis=-1)
    error = 1 - (match(own, classes)[own] == classes).mean()
    chosen = "  <- chosen (lowest loss)" if head == lowest else ""
    print(f"sub-head {head}  loss = {main[-1][head]:.3f}  error = {error:.4f}{chosen}")

# %% [markdown]
# That is the lottery of part 1. With another seed, other sub-heads get stuck with two digits in one cluster, or all
# of them, and more epochs do not help. What `ImageClusterer` does beyond this loop (overclusters regrouped,
# neighbours, a start from their graph) is there to end it.
#
# ### How do I know that it went wrong?
#
# - The information **stays near 0**, and the loss with it: nothing has been learned. Lower the learning
#   rate, or look at the pairs (`--show-pairs`): are augmented views still recognisable?
# - **Fewer clusters in use** than you asked for: look at `np.bincount(clusters)`.
# - **Sub-heads disagree** in what they know by more than a few hundredths of ln k: some are stuck.
# - The information is high and the clusters **make no sense to you**: they are real, but they go by something that
#   you do not care about, such as background or brightness. Add an augmentation that changes it.
#
# A run says the first three in words, and ends with status 3 if it is degenerate.
#
# ## Your own folder
#
# ```bash
# python models_iic.py --data.folder PHOTOS --k 12
# ```
#
# or, from Python, `ImageClusterer(12).fit("PHOTOS")`. Here is a small folder to try it on:

# %%
import pathlib
import tempfile

from PIL import Image

place = pathlib.Path(tempfile.mkdtemp())
for number, image in enumerate(images[:300]):
    Image.fromarray(image[..., 0]).save(place / f"scan_{number:03}.png")
own = ImageClusterer(10, augment="mnist", steps=10 if SHORT else 200).fit(str(place))
for cluster in range(3):
    members = np.flatnonzero(own.labels_ == cluster)[:8]
    print(f"cluster {cluster}:", *(f"scan_{m:03}.png" for m in members))

# %% [markdown]
# ## A first segmentation
#
# ```bash
# python models_iic.py --data.images PHOTOS --k 4
# ```
#
# groups pixels instead of images; `segmentation.png` in the run folder shows what came out. The two photographs
# in the [README](../README.md#segment-your-own-images) were done like this, in 6½ minutes.
#
# ## A backbone of your own
#
# A function from the shape of an image to a Keras model that ends in a vector of features. Pass it to the
# estimator, or list it in `graphs.py` to use it from the command line.

# %%


def tiny(shape):
    inputs = x = keras.Input(shape)
    for filters in (16, 32):
        x = layers.Conv2D(filters, 3, strides=2, padding="same", activation="relu")(x)
    return keras.Model(inputs, layers.Flatten()(x))


mine = ImageClusterer(10, augment="mnist", backbone=tiny, steps=10 if SHORT else 200)
mine.fit(images)
scores(mine.labels_, classes)

# %% [markdown]
# **From here:** [the documentation](../docs/index.md) has every option, [results.md](../docs/results.md) what to expect on which
# data, and [architecture.md](../docs/architecture.md) the map of the code.
