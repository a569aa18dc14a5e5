"""The kinds of bad curves: what real data sets hold that is no curve to fit.

Curve i is bad when ``floor((i + 1) share) > floor(i share)``: the share is met exactly in every
stretch of curves, and the kinds come in turn, so even a small data set has them all.
"""

import numpy as np
import numpy.typing as npt

from ...solver.arrays import Floats, Ints

KINDS = ("nan_points", "all_nan", "inf", "null", "too_short", "constant", "empty")
"""Some points NaN; every point NaN; one point infinite; a null instead of a curve; fewer points
than parameters; the same y at every point; no points. The last cannot be told apart from no
curve at all where a row is a point, nor from null where a column is one: list layout only."""

GOOD = -1
"""The kind of a curve that is not bad."""


def kinds_in(layout: str) -> tuple[str, ...]:
    """Return the kinds that a layout can hold."""
    return KINDS if layout == "list" else KINDS[:-1]


def kinds_of(start: int, stop: int, share: float, n_kinds: int) -> npt.NDArray[np.int8]:
    """Return the index of the kind of each curve from `start` to `stop`, `GOOD` for the good."""
    before = np.floor(np.arange(start, stop + 1) * share).astype(np.int64)
    return np.where(np.diff(before) > 0, before[:-1] % n_kinds, GOOD).astype(np.int8)


def spoil(y: Floats, kind: npt.NDArray[np.int8], n_params: int, draws: Floats) -> tuple[Ints, Ints]:
    """Make curves bad, in place.

    Parameters
    ----------
    y
        (n_curves, n_points), written to.
    kind
        (n_curves,) indices into `KINDS`, or `GOOD`.
    n_params
        A curve that is too short has one point less than this.
    draws
        (n_curves,) uniform numbers in [0, 1) that choose where.

    Returns
    -------
    Number of points of each curve, and the numbers of the curves that are null.
    """
    n_curves, n_points = y.shape
    length = np.full(n_curves, n_points)
    rows = {name: np.flatnonzero(kind == k) for k, name in enumerate(KINDS)}
    where = (draws * n_points).astype(np.intp)
    step = max(2, n_points // 5)
    for i in rows["nan_points"]:
        y[i, where[i] % step :: step] = np.nan
    y[rows["all_nan"]] = np.nan
    y[rows["inf"], where[rows["inf"]]] = np.inf
    y[rows["constant"]] = y[rows["constant"], :1]
    length[rows["too_short"]] = min(n_params - 1, n_points)
    length[rows["empty"]] = 0
    length[rows["null"]] = 0
    return length, rows["null"]
