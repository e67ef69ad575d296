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
# # Part 1: The idea
#
# You have images and no labels, and you want to know what kinds of image there are. This part explains,
# without formulas, how Invariant Information Clustering
# ([IIC, arXiv 1807.06653](https://arxiv.org/abs/1807.06653)) finds out. [Part 2](2_loss.md) works through
# the mathematics, and in [part 3](3_practice.md) you cluster images yourself.
#
# You need to know what a convolutional network is. You do not need information theory.
#
# Every part is a notebook, too: the `.ipynb` beside this page. Run it in a clone of the repository, or in a
# hosted service such as Colab (*File, Open notebook, GitHub*, and the address of the repository), where a
# first cell with `!pip install git+ADDRESS` installs the package.

# %%
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # TensorFlow keeps quiet

import matplotlib.pyplot as plt
import numpy as np
from sklearn.cluster import KMeans

from iic_tf.datasets.published import embedded_digits
from iic_tf.datasets.splits import concatenate

plt.rcParams |= {"figure.dpi": 80, "axes.spines.top": False, "axes.spines.right": False}
digits = concatenate(list(embedded_digits().splits.values()))
images, classes = digits.images[..., 0], digits.labels
print(images.shape, images.dtype)

# %% [markdown]
# These 5,000 handwritten digits come with one of the packages that are installed anyway. `classes` holds
# the right answers. Nothing that learns will see them; we use them to check what came out.

# %%
rng = np.random.default_rng(0)


def show(rows, titles=None, scale=0.62):
    """Draws rows of images, a title left of each."""
    most = max(len(row) for row in rows)
    _, axes = plt.subplots(
        len(rows), most, figsize=(scale * most + 1, scale * len(rows)), squeeze=False
    )
    for places, row, title in zip(axes, rows, titles or [""] * len(rows), strict=True):
        for axis in places:
            axis.axis("off")
        for axis, image in zip(places, row, strict=False):
            axis.imshow(image, cmap="gray_r", vmin=0, vmax=image.max())
        places[0].text(-0.25, 0.5, title, transform=places[0].transAxes,
                       ha="right", va="center")  # fmt: skip
    plt.show()


show([images[rng.choice(len(images), 14, replace=False)] for _ in range(3)])

# %% [markdown]
# ## Why not compare pixels?
#
# The classical way to find groups is k-means: it puts images together whose pixels are alike. Here are ten
# groups that it finds, one per row.

# %%
flat = images.reshape(len(images), -1) / 255
found = KMeans(10, n_init=3, random_state=0).fit_predict(flat)


def purity(clusters):
    """Share of the images whose class is the most frequent one of their cluster."""
    table = np.zeros((10, 10), int)
    np.add.at(table, (clusters, classes), 1)
    return table.max(axis=1).sum() / table.sum()


rows = [images[rng.permutation(np.flatnonzero(found == c))[:14]] for c in range(10)]
show(rows, [f"cluster {c}" for c in range(10)])
print(f"{purity(found):.0%} of the digits belong to the majority of their cluster")

# %% [markdown]
# Some rows are good. But 4, 7 and 9 share two rows, 3, 5 and 8 two others, and zeros have two rows to
# themselves, for wide ones and narrow ones: images of the same digit can share few pixels, and those of
# different digits many. Pixels do not say which differences matter.
#
# ## Let pairs say what does not matter
#
# You know something about your images, even without labels: a digit stays the same digit if it is moved a
# little, turned a little, or written with a thicker pen. So you can make **pairs** of images that surely
# belong together: an original and an *augmented view* of it.

# %%
import tensorflow as tf

from iic_tf.root_files import root_module

recipe = root_module("data").RECIPES["mnist"]  # of data.py
views = recipe.views(digits.images.shape[1:], {})
some = digits.images[rng.choice(len(images), 12, replace=False)].astype("float32") / 255


def augmented(number):
    seed = tf.constant([0, number])
    return views.augment(some, seed).numpy()[..., 0]


show(
    [some[..., 0], *(augmented(i) for i in range(3))],
    ["original", *["augmented view"] * 3],
)

# %% [markdown]
# That is all the knowledge that IIC is given. (This package also pairs images with their *nearest
# neighbours*, other images that look alike by edges and texture. It makes learning much faster; the idea
# stays the same.)
#
# ## The network, and what it is asked for
#
# A convolutional network, the **backbone**, turns an image into features, and a **head** turns the
# features into ten probabilities by a softmax: with what probability is this image in cluster 0, 1, …, 9?

# %%
_, axis = plt.subplots(figsize=(9, 2.6))
axis.set(xlim=(-0.2, 10), ylim=(0, 3))
axis.axis("off")


def box(x, y, width, text, colour):
    axis.add_patch(
        plt.Rectangle((x, y - 0.32), width, 0.64, facecolor=colour, edgecolor="0.4")
    )
    axis.text(x + width / 2, y, text, ha="center", va="center")


for y, text in ((2.3, "original"), (0.7, "augmented view")):
    box(-0.1, y, 1.8, text, "0.95")
    box(2.6, y, 1.6, "backbone", "#cfe2f3")
    box(5.1, y, 1.1, "head", "#d9ead3")
    box(7.1, y, 2.2, "10 probabilities", "#fff2cc")
    for start, end in ((1.7, 2.6), (4.2, 5.1), (6.2, 7.1)):
        axis.annotate("", (end, y), (start, y), arrowprops={"arrowstyle": "->"})
for x, text in ((3.4, "the same weights"), (5.65, "the same"), (8.2, "should agree")):
    axis.annotate("", (x, 1.05), (x, 1.95),
                  arrowprops={"arrowstyle": "<->", "linestyle": ":"})  # fmt: skip
    axis.text(x + 0.1, 1.5, text, va="center", fontsize=9)
plt.show()

# %% [markdown]
# Original and view pass through the same network. What should it be asked for?
#
# *That both get the same cluster.* Not enough: a network that puts everything into cluster 0 does that
# perfectly.
#
# *That both get the same cluster, and that all clusters are used equally.* That is it, nearly. The
# quantity that expresses both at once is **mutual information**: how much does the cluster of the original
# tell you about the cluster of its view? If everything is in cluster 0, you knew the answer before you
# looked, so nothing is told. If clusters are handed out at random, knowing one does not help with the
# other, so nothing is told either. Most is told if ten clusters are equally frequent and an original and
# its view always agree. IIC trains a network to make this number as large as possible.

# %%
k = 10
table = {"all in one cluster": np.zeros((k, k)), "at random": np.full((k, k), 0.01)}
table["all in one cluster"][0, 0] = 1
table["two clusters only"] = np.diag([0.5, 0.5, *[0] * 8])
table["often wrong"] = 0.5 * np.eye(k) / k + 0.5 / k**2
table["perfect"] = np.eye(k) / k


def information(joint):
    """Mutual information of a joint distribution, in nats."""
    independent = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    there = joint > 0
    return (joint[there] * np.log(joint[there] / independent[there])).sum()


_, axes = plt.subplots(1, len(table), figsize=(11, 2.6))
for axis, (name, joint) in zip(axes, table.items(), strict=True):
    axis.imshow(joint, cmap="Blues", vmin=0, vmax=0.15)
    axis.set(xticks=[], yticks=[])
    axis.set_title(f"{name}\n{information(joint):.2f} nats", fontsize=10)
axes[0].set(ylabel="cluster of the original", xlabel="cluster of the view")
plt.tight_layout()
plt.show()

# %% [markdown]
# Each square is a table: how often does an original in cluster *i* (row) have a view in cluster *j*
# (column)? The number above it is the mutual information, in nats; the most that ten clusters can reach is
# ln 10 = 2.30. Part 2 shows how it is computed and why a network can be trained by it.
#
# Note what is *not* there: no decoder, no distance between images, no threshold, and no rule that keeps
# clusters from collapsing. The objective itself has its maximum at balanced, certain, stable clusters.
#
# ## What can go wrong
#
# **It stops at a poor maximum.** Suppose a network has put fours and nines into one cluster, and split the
# ones into two, the slanted and the upright. Original and view still nearly always agree, and each cluster
# still holds images. How much mutual information does this mistake cost?

# %%
wrong = np.diag([0.2, 0.05, 0.05, *[0.1] * 7])
perfect = information(table["perfect"])
print(f"perfect {perfect:.3f} nats, with the mistake {information(wrong):.3f} nats")

# %% [markdown]
# Hardly anything: 2.16 of 2.30 nats. To get from there to the right solution, the network would have to
# pass through states that are worse than both, and it does not. Every implementation of IIC knows this as a lottery
# over random seeds: the same code gives 99 % on one seed and 88 % on the next (88 %: two digits in one
# cluster and one in two).
#
# **It never starts.** At first all outputs are nearly uniform, the information is nearly zero, and so is
# its gradient.
#
# What is done about it:
#
# - **Several sub-heads.** One backbone feeds ten independent heads. They share the work of seeing and
#   differ in how they group. The one with the most mutual information is *chosen*; no label is needed for
#   that.
# - **Overclustering.** A second bank of heads has five times as many clusters. Fine distinctions are easier
#   to find (slanted ones against upright ones is fine), they need richer features, and those help the main
#   heads.
# - **Regrouping.** Every so often the fifty overclusters are merged into ten groups in the way that keeps
#   most information, by search instead of gradient, and the main heads restart from there. That is how
#   this implementation gets out of poor maxima, on every seed.
# - **A start from the neighbour graph.** Joining each image with those that look most alike gives a
#   network of images, and well-connected parts of it are first guesses at groups. Training starts from
#   these and goes beyond them.
#
# [convergence.md](../docs/convergence.md) has the measurements behind each of these.
#
# **It finds other groups than you had in mind.** Nothing tells the objective that you care about digits
# and not about slant. If photographs differ most by background, they will be grouped by background. The
# augmented views are your way to say what should *not* count.
#
# ## Not only clusters
#
# - **Segmentation.** Take every pixel as the example and its neighbourhood as the image, and the same
#   objective groups pixels: sky, road, trees. It is `--data.images FOLDER` instead of `--data.folder`.
# - **A few labels.** Clusters have numbers. Ten labelled images per class are plenty to give them names:
#   `python models_iic.py name RUN --labels labels.csv`.
# - **A backbone for something else.** The features can be fine-tuned for a task with few labels:
#   `--task finetune`.
#
# ![Street-like photographs and the segmentation that IIC gave them](../docs/label_maps.png)
#
# **Next:** [part 2, the loss](2_loss.md), or straight to [part 3, practice](3_practice.md).
