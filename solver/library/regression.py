"""Linear regressions from the sums of one pass: y against columns, with or without a constant.

With n points, S_i the sum of column i, P_ij of products of columns and T_i of products with y,
y ≈ Σ a_i v_i + c has

    A a = t,    A_ij = P_ij - S_i S_j / n,    t_i = T_i - S_i Σy / n,    c = (Σy - Σ a_i S_i)/n

and it lowers the sum of squares about the mean by its gain tᵀa. In simple units, where columns and
y are about 1 in size, the products lose a few digits to their means, which a start can spare. What
several regressions need of the same columns is summed once.
"""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .passes import Curves, Point, Value

DEPENDENT = 1e-13
"""A column that keeps less than this of its square beside the others is one of them."""


@dataclass(frozen=True, slots=True)
class Regression:
    """The best coefficients `a` and constant `c`, and by how much they lower the sum of squares."""

    a: list[Value]
    c: Value
    gain: Value


@dataclass(frozen=True, slots=True)
class Moments:
    """The sums over products of columns and y, centred where there is a constant.

    Attributes
    ----------
    products
        A_ij, j <= i, by (i, j).
    sizes
        P_ii, to which the rounding of A_ii is relative.
    along
        t_i.
    means
        S_i / n, or None: no constant.
    mean
        Σy / n.
    """

    xp: Any
    products: dict[tuple[int, int], Value]
    sizes: list[Value]
    along: list[Value]
    means: list[Value] | None
    mean: Value

    def regression(self, n: int | None = None) -> Regression:
        """Return the regression on the first n columns, or on all.

        A column that depends on those before it has coefficient 0.
        """
        xp, A = self.xp, self.products
        n = len(self.along) if n is None else n
        L: dict[tuple[int, int], Value] = {}
        W: dict[tuple[int, int], Value] = {}
        z: list[Value] = []
        inverse: list[Value] = []
        gain: Value = 0.0
        for i in range(n):
            rest, along = A[i, i], self.along[i]
            for k in range(i):
                W[i, k] = A[i, k]
                for m in range(k):
                    W[i, k] = W[i, k] - L[k, m] * W[i, m]
                L[i, k] = W[i, k] * inverse[k]
                rest = rest - L[i, k] * W[i, k]
                along = along - L[i, k] * z[k]
            z.append(along)
            inverse.append(xp.where(rest > DEPENDENT * self.sizes[i], 1.0 / rest, 0.0))
            gain = gain + along * along * inverse[i]
        a = [value * scale for value, scale in zip(z, inverse, strict=True)]
        for i in range(n - 1, 0, -1):
            for k in range(i):
                a[k] = a[k] - L[i, k] * a[i]
        c = self.mean
        for a_i, mean in zip(a, self.means or [], strict=False):
            c = c - a_i * mean
        return Regression(a, c, gain)

    def damped(self, damping: Value) -> "Moments":
        """Return the moments with a share of each diagonal product added to it."""
        products = {
            (i, j): value * (1.0 + damping) if i == j else value
            for (i, j), value in self.products.items()
        }
        return replace(self, products=products)

    def with_last(self, weights: Sequence[Value]) -> "Moments":
        """Return the moments with the last columns replaced by one, their sum with weights."""
        m = len(weights)
        n = len(self.along) - m
        A = dict(self.products)

        def summed(values: Sequence[Value]) -> Value:
            first, *others = (w * v for w, v in zip(weights, values, strict=True))
            return sum(others, start=first)

        def product(i: int, j: int) -> Value:
            return A[max(i, j), min(i, j)]

        products = {place: value for place, value in A.items() if place[0] < n}
        for j in range(n):
            products[n, j] = summed([product(n + k, j) for k in range(m)])
        rows = [summed([product(n + i, n + k) for k in range(m)]) for i in range(m)]
        products[n, n] = summed(rows)
        means = None if self.means is None else [*self.means[:n], summed(self.means[n:])]
        along = [*self.along[:n], summed(self.along[n:])]
        return Moments(
            self.xp, products, [*self.sizes[:n], products[n, n]], along, means, self.mean
        )


def moments(
    curves: Curves,
    columns: Callable[[Point], Sequence[Value]],
    *,
    constant: bool = True,
    target: Callable[[Point], Value] = operator.attrgetter("y"),
) -> Moments:
    """Sum up what regressions of y on the columns need, in one pass.

    Parameters
    ----------
    curves
        The curves.
    columns
        Gives the columns at a point; each varies from point to point.
    constant
        Whether there is a constant beside the columns.
    target
        What stands for y.
    """
    n = 0

    def terms(p: Point) -> list[Value]:
        nonlocal n
        v, y = list(columns(p)), target(p)
        n = len(v)
        products = [v[i] * v[j] for i in range(n) for j in range(i + 1)]
        return [*products, *(v_i * y for v_i in v), *([*v, y] if constant else [])]

    sums = curves.totals(terms)
    places = [(i, j) for i in range(n) for j in range(i + 1)]
    P = dict(zip(places, sums, strict=False))
    sizes = [P[i, i] for i in range(n)]
    along = sums[len(places) : len(places) + n]
    if not constant:
        return Moments(curves.xp, P, sizes, along, None, 0.0)
    *S, y_sum = sums[len(places) + n :]
    means = [S_i / curves.count for S_i in S]
    A = {(i, j): value - S[i] * means[j] for (i, j), value in P.items()}
    t = [T_i - mean * y_sum for T_i, mean in zip(along, means, strict=True)]
    return Moments(curves.xp, A, sizes, t, means, y_sum / curves.count)
