"""Householder QR with column pivoting for a batch of small least-squares problems.

J P = Q R, with the columns brought in order of decreasing norm, so that |R[0,0]| >= |R[1,1]| ...
and a rank deficiency shows at the end of the diagonal. Columns are stored as rows,
``work[curve, column, point]``, which keeps every sum over points contiguous.

Source: Golub and Van Loan, Matrix Computations, 4th ed. (2013), algorithm 5.4.1; conventions of
the packed result as in MINPACK-1's ``qrfac`` (Moré, Garbow, Hillstrom 1980).
"""

from dataclasses import dataclass

import numpy as np

from .arrays import Floats, Ints
from .norms import dot, enorm

_NORM_LOST = 20 * float(np.finfo(np.float64).eps)
"""Square of a down-dated norm, relative to its last true value, at which it is taken anew."""


@dataclass(frozen=True, slots=True)
class PivotedQR:
    """The factors of J P = Q R, and Qᵀ applied to the residuals.

    Attributes
    ----------
    packed
        (n_curves, n_params, n_points): R above, Householder vectors below, column by row.
    R
        (n_curves, n_params, n_params), upper triangular, R[curve, row, column].
    pivot
        (n_curves, n_params): column k of R belongs to parameter pivot[k].
    norms
        (n_curves, n_params): the norms of the columns of J, in the order of the parameters.
    qtf
        (n_curves, n_params): the first n_params components of Qᵀ fun.
    """

    packed: Floats
    R: Floats
    pivot: Ints
    norms: Floats
    qtf: Floats


def pivoted_qr(jac: Floats, fun: Floats) -> PivotedQR:
    """Factor Jacobians and rotate residuals along; `jac` is overwritten.

    Parameters
    ----------
    jac
        (n_curves, n_params, n_points), with n_points >= n_params.
    fun
        (n_curves, n_points).
    """
    n_curves, n_params, _ = jac.shape
    norms = enorm(jac)
    pivot = np.tile(np.arange(n_params), (n_curves, 1))
    left, reference = norms.copy(), norms.copy()
    rhs = fun.copy()
    for k in range(n_params):
        if k + 1 < n_params:
            _bring_largest_forward(k, jac, pivot, left, reference)
        jac[:, k, k] = _reflect(k, jac, rhs)
        if k + 2 < n_params:
            _downdate_norms(k, jac, left, reference)
    return PivotedQR(jac, _upper(jac), pivot, norms, rhs[:, :n_params].copy())


def triangularise(columns: Floats, rhs: Floats) -> Floats:
    """Reduce [A | b] to [R | Qᵀ b] without pivoting; both arguments are overwritten.

    Parameters
    ----------
    columns
        (n_curves, n, m), column by row, m >= n.
    rhs
        (n_curves, m); its first n components become those of Qᵀ b.

    Returns
    -------
    R, (n_curves, n, n).

    Notes
    -----
    The first components are summed apart, as products with the unit vector: a reflection subtracts
    them from numbers that may be 1e24 times larger, where the rows are graded as those of a damped
    step are, and MINPACK's rotations keep them.
    """
    for k in range(columns.shape[1]):
        column, later, rest = columns[:, k, k:], columns[:, k + 1 :, k:], rhs[:, k:]
        products = np.column_stack([dot(column, later), dot(column, rest)])
        diagonal = _reflect(k, columns, rhs)
        some = diagonal != 0
        first = products / np.where(some, diagonal, 1.0)[:, None]
        later[some, :, 0], rest[some, 0] = first[some, :-1], first[some, -1]
        columns[:, k, k] = diagonal
    return _upper(columns)


def _upper(packed: Floats) -> Floats:
    """Return R out of the packed factors, row by row."""
    n = packed.shape[1]
    return np.triu(packed[:, :, :n].transpose(0, 2, 1))


def _reflect(k: int, columns: Floats, rhs: Floats) -> Floats:
    """Reflect column k onto axis k, apply the same to later columns and to rhs; return R[k, k]."""
    v = columns[:, k, k:]
    norm = enorm(v)
    signed = np.where(v[:, 0] < 0, -norm, norm)
    divisor = np.where(signed == 0, 1.0, signed)
    v /= divisor[:, None]
    # A zero column is left alone: v = 0 and the divisor 1 make the reflection the identity.
    v[:, 0] += signed != 0
    head = np.where(v[:, 0] == 0, 1.0, v[:, 0])
    if k + 1 < columns.shape[1]:
        later = columns[:, k + 1 :, k:]
        later -= (dot(v, later) / head[:, None])[:, :, None] * v[:, None, :]
    rest = rhs[:, k:]
    rest -= (dot(v, rest) / head)[:, None] * v
    return -signed


def _bring_largest_forward(
    k: int, jac: Floats, pivot: Ints, left: Floats, reference: Floats
) -> None:
    """Swap the column with the largest remaining norm into place k."""
    largest = k + np.argmax(left[:, k:], axis=1)
    rows = np.flatnonzero(largest != k)
    if not rows.size:
        return
    source = largest[rows]
    for table in (jac, pivot):
        held = table[rows, k].copy()
        table[rows, k] = table[rows, source]
        table[rows, source] = held
    for norms in (left, reference):
        norms[rows, source] = norms[rows, k]


def _downdate_norms(k: int, jac: Floats, left: Floats, reference: Floats) -> None:
    """Take row k out of the norms of the later columns, anew where cancellation ate them."""
    for j in range(k + 1, jac.shape[1]):
        norm = left[:, j]
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(norm > 0, jac[:, j, k] / norm, 0.0)
            norm *= np.sqrt(np.maximum(0.0, 1.0 - share * share))
            kept = norm / reference[:, j]
        rows = np.flatnonzero((reference[:, j] > 0) & (kept * kept <= _NORM_LOST))
        if rows.size:
            norm[rows] = reference[rows, j] = enorm(jac[rows, j, k + 1 :])


def solve_upper(R: Floats, b: Floats) -> Floats:
    """Solve R x = b by back substitution; from the first zero on the diagonal on, x is zero.

    Parameters
    ----------
    R
        (n_curves, n, n), upper triangular.
    b
        (n_curves, n).
    """
    n = b.shape[1]
    x = np.where(leading_rank(R)[:, None] > np.arange(n), b, 0.0)
    for k in range(n - 1, -1, -1):
        pivot = R[:, k, k]
        x[:, k] /= np.where(pivot == 0, 1.0, pivot)
        if k:
            x[:, :k] -= R[:, :k, k] * x[:, k, None]
    return x


def solve_upper_transposed(R: Floats, b: Floats) -> Floats:
    """Solve Rᵀ x = b by forward substitution, R of full rank.

    Parameters
    ----------
    R
        (n_curves, n, n), upper triangular, no zero on the diagonal.
    b
        (n_curves, n).
    """
    x = b.copy()
    n = b.shape[1]
    for k in range(n):
        x[:, k] /= R[:, k, k]
        if k + 1 < n:
            x[:, k + 1 :] -= R[:, k, k + 1 :] * x[:, k, None]
    return x


def multiply_upper(R: Floats, p: Floats) -> Floats:
    """Return R p, (n_curves, n), summed column by column."""
    product = R[:, :, 0] * p[:, :1]
    for k in range(1, p.shape[1]):
        product += R[:, :, k] * p[:, k, None]
    return product


def multiply_upper_transposed(R: Floats, p: Floats) -> Floats:
    """Return Rᵀ p, (n_curves, n), summed row by row."""
    product = R[:, 0, :] * p[:, :1]
    for k in range(1, p.shape[1]):
        product += R[:, k, :] * p[:, k, None]
    return product


def leading_rank(R: Floats) -> Ints:
    """Return the place of the first exact zero on the diagonal, n where there is none."""
    zero = np.diagonal(R, axis1=1, axis2=2) == 0
    rank: Ints = np.where(zero.any(axis=1), zero.argmax(axis=1), R.shape[1])
    return rank
