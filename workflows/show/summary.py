"""What a result says: counts by status and flag, quantiles of parameters, the worst curves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...solver.arrays import Bools, Floats
from ...solver.status import Flag, Status
from .parts import Result

QUANTILES = (0.0, 0.05, 0.5, 0.95, 1.0)
"""Shares of the curves below the numbers that are shown of a parameter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How the values of one column are spread over the curves that were fitted.

    Attributes
    ----------
    name
        The parameter or derived quantity, or "redchi".
    quantiles
        One number for each of `QUANTILES`; NaN where there is no value.
    stderr
        The median standard error; NaN where there is none.
    """

    name: str
    quantiles: tuple[float, ...]
    stderr: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Odd:
    """One curve that is worth a look, and why."""

    curve_id: Any
    status: Status
    n_points: int
    redchi: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a result says.

    Attributes
    ----------
    n_curves, n_success
        All curves, and those with status 1 to 4.
    statuses, flags
        How many curves ended so, most first; without those that are not there.
    spreads
        One a parameter or derived quantity and one of redchi, of the curves with success.
    worst
        Curves with success and the largest redchi, largest first.
    failures
        The first curves without success.
    """

    n_curves: int
    n_success: int
    statuses: tuple[tuple[Status, int], ...]
    flags: tuple[tuple[Flag, int], ...]
    spreads: tuple[Spread, ...]
    worst: tuple[Odd, ...]
    failures: tuple[Odd, ...]


def summarise(result: Result, *, n_worst: int = 5) -> Summary:
    """Read a result, a column at a time, and sum it up.

    Parameters
    ----------
    result
        What to read.
    n_worst
        How many of the worst curves, and as many failures, to name.

    Raises
    ------
    ValueError
        When n_worst is negative.
    """
    if n_worst < 0:
        raise ValueError(f"--worst must be >= 0, got {n_worst}")
    status, flags = result.column("status"), result.column("flags")
    success = (status >= 1) & (status <= 4)
    redchi = result.column("redchi")
    largest = np.argsort(np.where(success & np.isfinite(redchi), -redchi, np.inf), kind="stable")
    worst = largest[: min(n_worst, np.count_nonzero(success & np.isfinite(redchi)))]
    failures = np.flatnonzero(~success)[:n_worst]
    return Summary(
        n_curves=len(status),
        n_success=int(np.count_nonzero(success)),
        statuses=tuple((Status(code), n) for code, n in _counts(status)),
        flags=tuple((f, n) for f in Flag if (n := int(np.count_nonzero(flags & f)))),
        spreads=(
            *(_spread(result, name, success) for name in (*result.params, *result.derived)),
            _spread_of(redchi, success),
        ),
        worst=_odd(result, worst, status, redchi),
        failures=_odd(result, failures, status, redchi),
    )


def _counts(codes: Any) -> list[tuple[int, int]]:
    """Count codes, most frequent first."""
    found, counts = np.unique(codes, return_counts=True)
    pairs = [(int(c), int(n)) for c, n in zip(found, counts, strict=True)]
    return sorted(pairs, key=lambda pair: -pair[1])


def _spread(result: Result, name: str, success: Bools) -> Spread:
    """Sum up one parameter or derived quantity."""
    values = result.column(name)[success]
    stderr = result.column(f"{name}_stderr")[success]
    return Spread(name=name, quantiles=_quantiles(values), stderr=_quantiles(stderr, [0.5])[0])


def _spread_of(redchi: Floats, success: Bools) -> Spread:
    """Sum up redchi."""
    return Spread(name="redchi", quantiles=_quantiles(redchi[success]), stderr=np.nan)


def _quantiles(values: Floats, shares: Sequence[float] = QUANTILES) -> tuple[float, ...]:
    """Return quantiles of the finite values, NaN if there is none."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return tuple(np.nan for _ in shares)
    return tuple(np.quantile(finite, shares).tolist())


def _odd(result: Result, rows: Any, status: Any, redchi: Floats) -> tuple[Odd, ...]:
    """Name the curves in some rows."""
    if not len(rows):
        return ()
    ids, n_points = result.pick("curve_id", rows), result.pick("n_points", rows)
    return tuple(
        Odd(curve_id=name, status=Status(int(status[i])), n_points=n, redchi=float(redchi[i]))
        for i, name, n in zip(rows, ids, n_points, strict=True)
    )
