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
# # Part 2: The loss
#
# [Part 1](1_idea.md) said what IIC maximises: what the cluster of an image tells about the cluster of its
# augmented view. Here that sentence becomes a number, the number becomes a loss, and the loss becomes six
# lines of code. Everything is small enough to check by hand.

# %%
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # TensorFlow keeps quiet

import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

import iic_tf

plt.rcParams |= {"figure.dpi": 80, "axes.spines.top": False, "axes.spines.right": False}

# %% [markdown]
# ## How uncertain is a cluster?
#
# Let $z$ be the cluster of an image drawn at random, and $p_i$ the probability that it is cluster $i$. The
# **entropy**
#
# $$H(z) = -\sum_i p_i \ln p_i$$
#
# says how uncertain you are before you look. It is 0 if one cluster has everything, and largest, $\ln k$,
# if all $k$ are equally likely. With the natural logarithm it is measured in *nats*; with the logarithm to
# base 2 in *bits*, and one nat is 1.443 bits. With $k = 2$:

# %%
p = np.linspace(0.001, 0.999, 200)
entropy = -p * np.log(p) - (1 - p) * np.log(1 - p)
plt.figure(figsize=(5, 2.6))
plt.plot(p, entropy, color="#1f77b4")
plt.axhline(np.log(2), color="0.7", linestyle=":")
plt.text(0.02, np.log(2) + 0.02, "ln 2 = 0.693 nats = 1 bit", fontsize=9)
plt.xlabel("probability of the first of two clusters")
plt.ylabel("entropy in nats")
plt.ylim(0, 0.8)
plt.show()

# %% [markdown]
# ## What does one thing tell about another?
#
# Now let $z'$ be the cluster of an augmented view. Of 100 images, say, 40 are in cluster 0 and so is their
# view, 40 are in cluster 1 with their view, and 20 change sides, ten each way. That is the **joint
# distribution** $P_{ij}$, and its row and column sums are the marginals:

# %%
joint = np.array([[0.40, 0.10], [0.10, 0.40]])
rows, columns = joint.sum(axis=1), joint.sum(axis=0)
print(joint, "rows", rows, "columns", columns, sep="\n")

# %% [markdown]
# You do not know $z$. Somebody tells you $z' = 0$. Now you think that $z = 0$ with probability $0.4 / 0.5 =
# 0.8$, and your uncertainty has gone down, from $\ln 2 = 0.693$ to
#
# $$-0.8 \ln 0.8 - 0.2 \ln 0.2 = 0.500.$$
#
# It is the same for $z' = 1$, so the **conditional entropy** $H(z \mid z')$, the uncertainty that is left on
# average, is 0.500 nats. The difference is what $z'$ has told you about $z$:
#
# $$I(z, z') = H(z) - H(z \mid z') = 0.693 - 0.500 = 0.193 \text{ nats.}$$
#
# This is the **mutual information**. The same number comes out of
#
# $$I(z, z') = \sum_{ij} P_{ij} \ln \frac{P_{ij}}{p_i \, p'_j},$$
#
# which compares the joint with what it would be if $z$ and $z'$ had nothing to do with each other.

# %%
left = -(0.8 * np.log(0.8) + 0.2 * np.log(0.2))
by_entropies = np.log(2) - left
by_the_table = (joint * np.log(joint / np.outer(rows, columns))).sum()
by_the_library = float(iic_tf.mutual_information(tf.constant(joint)))
print(f"{by_entropies:.4f} {by_the_table:.4f} {by_the_library:.4f}")
print(f"in bits: {float(iic_tf.mutual_information(tf.constant(joint), base=2)):.4f}")

# %% [markdown]
# It lies between two bounds:
#
# - $I \geq 0$, with equality only if both are independent, $P_{ij} = p_i p'_j$: clusters drawn at random.
# - $I \leq H(z) \leq \ln k$. To reach $\ln k$ you need balanced clusters ($H(z) = \ln k$) and no doubt
#   ($H(z \mid z') = 0$). Both wishes are in one number, and so neither can be met at the expense of the
#   other: everything in one cluster leaves no doubt and has $H(z) = 0$; uniform outputs are balanced and
#   have $H(z \mid z') = H(z)$.
#
# ### Bend it yourself
#
# Two numbers describe any 2×2 joint that is symmetric: the share of images in cluster 0, and how many change
# sides. The left plot is the mutual information for all of them. In a notebook with `ipywidgets` you can
# move a point through it; anywhere else, change the two numbers in the last line.

# %%


def two_by_two(share, change):
    """Joint of two clusters: the share in cluster 0, and the share that changes."""
    change = np.minimum(change, 2 * np.minimum(share, 1 - share))
    stay = np.stack([share - change / 2, 1 - share - change / 2], axis=-1)
    cross = np.stack([change / 2, change / 2], axis=-1)
    first = np.stack([stay[..., 0], cross[..., 0]], axis=-1)
    second = np.stack([cross[..., 1], stay[..., 1]], axis=-1)
    return np.stack([first, second], axis=-2)


grid = np.meshgrid(np.linspace(0.01, 0.99, 99), np.linspace(0, 1, 101))
landscape = iic_tf.mutual_information(tf.constant(two_by_two(*grid))).numpy()
landscape[grid[1] > 2 * np.minimum(grid[0], 1 - grid[0])] = np.nan


def bend(share=0.5, change=0.2):
    """Draws a joint and where it lies."""
    joint = two_by_two(np.float64(share), np.float64(change))
    told = float(iic_tf.mutual_information(tf.constant(joint)))
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3))
    shown = left.contourf(*grid, landscape, levels=12, cmap="Blues")
    left.plot(share, joint[0, 1] * 2, "o", color="#d62728")
    left.set(xlabel="share of cluster 0", ylabel="share that changes cluster")
    figure.colorbar(shown, label="mutual information, nats")
    right.imshow(joint, cmap="Blues", vmin=0, vmax=0.5)
    for (i, j), value in np.ndenumerate(joint):
        colour = "white" if value > 0.3 else "black"
        right.text(j, i, f"{value:.2f}", ha="center", va="center", color=colour)
    right.set(xticks=[0, 1], yticks=[0, 1], xlabel="cluster of the view",
              ylabel="cluster of the original", title=f"loss = −{told:.3f}")  # fmt: skip
    plt.tight_layout()
    plt.show()


try:
    from ipywidgets import interact

    interact(bend, share=(0.02, 0.98, 0.02), change=(0.0, 1.0, 0.02))
except ImportError:
    bend(share=0.5, change=0.2)

# %% [markdown]
# Three things to notice. In the middle, where half of the images change sides, the landscape is flat: that
# is where an untrained network is, and why learning starts slowly. From the maximum at (0.5, 0) there are
# two ways down: images that change sides, and clusters out of balance. And the top corner, where *all* images
# change sides, is a maximum too: knowing the one cluster, you know the other. What clusters are called
# does not matter to information.
#
# ## From a batch to a joint
#
# A network does not give clusters but probabilities $\Phi(x)$, so nothing has to be counted: a pair $(x, x')$
# contributes the outer product $\Phi(x) \, \Phi(x')^\top$, and a batch the mean of these,
#
# $$P = \frac1n \sum_{m=1}^n \Phi(x_m) \, \Phi(x'_m)^\top .$$
#
# That is a single matrix product, and it is differentiable. Which of the two is called the original should
# not matter, so $P$ is replaced by $(P + P^\top) / 2$: **symmetrisation**. Here are the steps for three pairs.

# %%
originals = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])
views = np.array([[0.8, 0.2], [0.1, 0.9], [0.6, 0.4]])
for m, (one, other) in enumerate(zip(originals, views, strict=True)):
    print(f"pair {m}:", np.outer(one, other).round(2).tolist())
mean = originals.T @ views / 3
print("mean:  ", mean.round(3).tolist())
symmetric = (mean + mean.T) / 2
print("P:     ", symmetric.round(3).tolist())

# %% [markdown]
# ## The loss, line by line
#
# The whole loss, in the order of the formulas above:

# %%


def loss_by_hand(originals, views, lamb=1.0):
    joint = originals.T @ views  # the outer products, summed over the batch
    joint = joint + joint.T  # symmetrised
    joint = joint / joint.sum()  # a distribution
    p = joint.sum(axis=1, keepdims=True)  # marginal of the original
    q = joint.sum(axis=0, keepdims=True)  # marginal of the view
    return -(joint * (np.log(joint) - lamb * np.log(p) - lamb * np.log(q))).sum()


print(f"by hand      {loss_by_hand(originals, views):.6f}")
print(f"the library  {float(iic_tf.iic_loss(originals, views)):.6f}")

# %% [markdown]
# `iic_tf.iic_loss` does the same for many sub-heads at once (assignments of shape `(n, h, k)`), replaces
# probabilities of zero by a tiny number before the logarithm, and adds up several views of the same image
# before the matrix product, which gives the same joint for less work. It is called `iic_loss` because what
# is minimised is *minus* the information. **The loss is negative**, and −2.30 is the best that ten clusters
# can do.
#
# ### λ: how much balance matters
#
# Written with a weight,
#
# $$L_\lambda = -I_\lambda = -\sum_{ij} P_{ij} (\ln P_{ij} - \lambda \ln p_i - \lambda \ln p'_j)
#   = -\big[\, \lambda H(z) + \lambda H(z') - H(z, z') \,\big],$$
#
# and $\lambda = 1$ gives the mutual information. A larger λ rewards balanced clusters more. Early on it
# helps to get away from "everything in one cluster"; in the end it forces clusters of equal size, also
# where the classes are not. The paper uses 1 for clustering and up to 1.5 for segmentation.

# %%
for lamb in (1.0, 1.2, 1.5):
    print(f"λ = {lamb}: {float(iic_tf.iic_loss(originals, views, lamb)):.4f}")

# %% [markdown]
# ## Where the gradient goes
#
# The loss is a function of the batch as a whole. What does its gradient ask of a single image? Here are
# 60 images that three clusters share unevenly; most of their views agree with them. Each arrow shows where
# a gradient step moves the probabilities of an image, in the triangle of all distributions over three
# clusters. Its colour is the cluster that image and view lean to.

# %%
rng = np.random.default_rng(1)
belong = rng.choice(3, 60, p=[0.6, 0.25, 0.15])
logits = 1.2 * np.eye(3)[belong] + rng.normal(0, 0.6, (60, 3))
logits_of_views = 1.2 * np.eye(3)[belong] + rng.normal(0, 0.6, (60, 3))
x = tf.Variable(logits)
with tf.GradientTape() as tape:
    loss = iic_tf.iic_loss(tf.nn.softmax(x), tf.nn.softmax(logits_of_views))
step = tape.gradient(loss, x)
before = tf.nn.softmax(x).numpy()
after = tf.nn.softmax(x - 150 * step).numpy()
corners = np.array([[0, 0], [1, 0], [0.5, 0.866]])
plt.figure(figsize=(6, 4.5))
plt.fill(*corners.T, facecolor="none", edgecolor="0.7")
starts, moves = before @ corners, (after - before) @ corners
plt.quiver(*starts.T, *moves.T, angles="xy", scale_units="xy", scale=1, width=0.005,
           color=np.array(["#1f77b4", "#ff7f0e", "#2ca02c"])[belong])  # fmt: skip
for corner, name, count in zip(corners, "012", np.bincount(belong), strict=True):
    plt.text(*corner, f" cluster {name}\n ({count} images)", fontsize=9)
plt.axis("equal")
plt.axis("off")
plt.show()

# %% [markdown]
# Images move towards the corner that they and their views favour: certainty. But images between the large cluster
# and a small one are drawn to the small one: balance. No term in the code says either of these; both
# follow from the logarithm of $P_{ij} / (p_i p'_j)$.
#
# ## Why the batch has to be large
#
# $P$ has $k^2$ entries and is estimated from $n$ pairs. With few pairs it looks as if clusters told something
# even where they tell nothing at all: below, originals and views are drawn *independently*, so the true
# mutual information is 0.

# %%
sizes = [20, 50, 100, 200, 500, 1000, 2000]
plt.figure(figsize=(5.5, 3))
for k, colour in ((10, "#1f77b4"), (50, "#d62728")):
    estimates = [
        np.mean(
            [
                -float(
                    iic_tf.iic_loss(
                        np.eye(k)[rng.integers(k, size=n)],
                        np.eye(k)[rng.integers(k, size=n)],
                    )
                )
                for _ in range(20)
            ]
        )
        for n in sizes
    ]
    plt.loglog(sizes, estimates, "o-", color=colour, label=f"k = {k}")
plt.xlabel("pairs in the batch")
plt.ylabel("estimated information, nats\n(truth: 0)")
plt.legend(frameon=False)
plt.show()

# %% [markdown]
# A network can exploit this: it can raise the estimate by fitting chance. With ten clusters a batch of 500
# pairs is enough. Fifty overclusters need more, and that is one reason why each image has several views in a batch.
#
# On several devices the same point becomes a trap. If each device computes the loss of *its part* of the
# batch and the gradients are averaged, then every device estimates its own joint from fewer pairs. In this
# package the joints are added up over the devices *before* the logarithm, so two devices compute exactly what
# one would.

# %%
one_hot = np.eye(10)[rng.integers(10, size=200)]
pairs = 0.9 * one_hot + 0.01, 0.9 * np.roll(one_hot, 1, axis=1) + 0.01
halves = [[part[:100] for part in pairs], [part[100:] for part in pairs]]
apart = np.mean([float(iic_tf.iic_loss(*half)) for half in halves])
joints = [iic_tf.joint_distribution(*half) for half in halves]
together = float(iic_tf.losses.iic.loss_of_joint(tf.add_n(joints)))
print(f"mean of two losses {apart:.4f}, loss of the summed joint {together:.4f}")
print(f"loss of the whole batch {float(iic_tf.iic_loss(*pairs)):.4f}")

# %% [markdown]
# ## What a run prints
#
# You can now read every number that a run shows:
#
# - `Mutual information 2.13 of 2.30 nats (93 %)`: $I$, and the bound $\ln k$;
# - *effective clusters*: $e^{H(z)}$, which is 10 if all ten are equally frequent;
# - the *chosen* sub-head: the one with the lowest loss, which needs no label.
#
# **Next:** [part 3, practice](3_practice.md).
