"""Slow, obvious NumPy versions of what the package computes with TensorFlow."""

import math

import numpy as np

EPS = 2.220446049250313e-16


def joint(z, z_prime):
    """Sum of outer products, one image at a time: (n, k), (n, k) -> (k, k)."""
    total = np.zeros((z.shape[1], z.shape[1]))
    for row, row_prime in zip(z, z_prime, strict=True):
        total += np.outer(row, row_prime)
    return total


def iic_loss(table, lamb=1.0, *, total=None):
    """The loss of one joint, entry by entry (paper, equation 3).

    ``total`` takes the place of its sum.
    """
    p = (table + table.T) / 2
    p = p / (p.sum() if total is None else total)
    row, column = p.sum(1), p.sum(0)
    loss = 0.0
    for i in range(len(p)):
        for j in range(len(p)):
            pij, pi, pj = (max(v, EPS) for v in (p[i, j], row[i], column[j]))
            loss -= pij * (math.log(pij) - lamb * math.log(pi) - lamb * math.log(pj))
    return loss


def numeric_gradient(function, x, step=1e-6):
    """Central differences of a scalar function, one entry at a time."""
    gradient = np.zeros_like(x)
    for index in np.ndindex(*x.shape):
        up, down = x.copy(), x.copy()
        up[index] += step
        down[index] -= step
        gradient[index] = (function(up) - function(down)) / (2 * step)
    return gradient


def best_match_accuracy(clusters, labels, k):
    """Best one-to-one accuracy by trying all permutations (k small)."""
    from itertools import permutations

    return max(
        np.mean(np.array(order)[clusters] == labels) for order in permutations(range(k))
    )


def displaced_joints(first, second, displacement):
    """One joint per displacement, pixel by pixel: (n, H, W, k) twice -> (D², k, k)."""
    n, height, width, k = first.shape
    joints = []
    for down in range(-displacement, displacement + 1):
        for right in range(-displacement, displacement + 1):
            total = np.zeros((k, k))
            for i in range(n):
                for y in range(height):
                    for x in range(width):
                        if 0 <= y + down < height and 0 <= x + right < width:
                            total += np.outer(
                                first[i, y + down, x + right], second[i, y, x]
                            )
            joints.append(total)
    return np.array(joints)


def segmentation_loss(first, second, mask, displacement, lamb=1.0, *, collapsed=False):
    """The segmentation loss of one sub-head, from two maps (n, H, W, k)."""
    joints = displaced_joints(
        first * mask[..., None], second * mask[..., None], displacement
    )
    if collapsed:
        return iic_loss(joints.sum(0), lamb)
    met = [iic_loss(joint, lamb) if joint.sum() > 0 else 0.0 for joint in joints]
    return sum(met) / len(met)


def warp(maps, matrix):
    """Reads each pixel elsewhere, bilinear, zeros outside: (n, H, W, k), (n, 2, 3)."""
    n, height, width, _ = maps.shape
    result = np.zeros_like(maps)
    for i in range(n):
        for row in range(height):
            for column in range(width):
                x = 2 * column / (width - 1) - 1 if width > 1 else -1.0
                y = 2 * row / (height - 1) - 1 if height > 1 else -1.0
                u, v = matrix[i] @ (x, y, 1.0)
                u, v = (u + 1) * (width - 1) / 2, (v + 1) * (height - 1) / 2
                for q in (math.floor(v), math.floor(v) + 1):
                    for p in (math.floor(u), math.floor(u) + 1):
                        if 0 <= q < height and 0 <= p < width:
                            weight = (1 - abs(u - p)) * (1 - abs(v - q))
                            result[i, row, column] += weight * maps[i, q, p]
    return result


def blobs(number, each, *, seed=0, spread=0.3):
    """Neighbours of points around centres on a circle, as a function of how many."""
    rng = np.random.default_rng(seed)
    angles = 2 * np.pi * np.arange(number) / number
    centres = 4 * np.stack((np.cos(angles), np.sin(angles)), axis=1)
    points = np.repeat(centres, each, axis=0)
    points = points + spread * rng.normal(size=points.shape)
    apart = np.linalg.norm(points[:, None] - points, axis=2)
    np.fill_diagonal(apart, np.inf)
    order = apart.argsort(axis=1)
    return lambda number: order[:, :number]
