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


def iic_loss(table, lamb=1.0):
    """The loss of one joint, entry by entry (paper, equation 3)."""
    p = (table + table.T) / 2
    p = p / p.sum()
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
