"""Sums over points that neither overflow nor depend on the neighbours in a batch.

Every reduction over points goes through this module. `numpy.einsum` sums each row of a
contiguous last axis in an order fixed by the row's length alone, as long as the row fits into its
buffer, so a curve's sums have the same bits in any batch; BLAS and reductions over other axes give
no such promise and are not used.
"""

import numpy as np

from .arrays import Floats

_RUN = 4096
"""Points summed at a time: einsum cuts rows longer than its buffer, 8192, where the batch says."""
_TINY = 1e-280
_HUGE = 1e280


def dot(a: Floats, b: Floats) -> Floats:
    """Return sum(a * b) over the last axis.

    Parameters
    ----------
    a, b
        Both (n_curves, n) or both (n_curves, k, n); or (n_curves, n) and (n_curves, k, n).

    Returns
    -------
    (n_curves,), or (n_curves, k).
    """
    left = "bkm" if a.ndim == 3 else "bm"
    right = "bkm" if b.ndim == 3 else "bm"
    formula = f"{left},{right}->{right[:-1]}"
    total: Floats = np.einsum(formula, a[..., :_RUN], b[..., :_RUN])
    for begin in range(_RUN, b.shape[-1], _RUN):
        run = slice(begin, begin + _RUN)
        total += np.einsum(formula, a[..., run], b[..., run])
    return total


def enorm(v: Floats) -> Floats:
    """Return the Euclidean norm over the last axis, safe from overflow and underflow.

    Parameters
    ----------
    v
        (n_curves, n) or (n_curves, k, n).

    Returns
    -------
    (n_curves,) or (n_curves, k), non-finite only where `v` is.

    Notes
    -----
    MINPACK's ``enorm`` sums large, small and intermediate components apart. Here the plain sum
    is kept where it lies within 1e-280..1e280, and only the other rows are scaled by their
    largest component first.
    """
    squares = dot(v, v)
    norm: Floats = np.sqrt(squares)
    risky = ~((squares > _TINY) & (squares < _HUGE))
    if risky.any():
        rows = v[risky]
        largest = np.max(np.abs(rows), axis=1, initial=0.0)
        scale = np.where((largest > 0) & np.isfinite(largest), largest, 1.0)
        rows = rows / scale[:, None]
        norm[risky] = scale * np.sqrt(dot(rows, rows))
    return norm
