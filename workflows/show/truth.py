"""Fits against a known truth: how far off estimates are, and whether their errors are right.

With z = (estimate - truth) / stderr, a right standard error gives rms z = 1, and |z| < 1 in 68.27 %
of the curves if the scale of the noise is known. If it is estimated with the fit, z is
distributed as Student's t with the degrees of freedom of the fit, and a little less is expected.
"""

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from ...pipeline.files import find_files
from ...pipeline.parquet import open_parquet
from ...pipeline.places import Place, place_of
from ...solver.arrays import Bools, Floats
from ...solver.status import Status
from ..simulate.recipe import TRUTH_PREFIX
from ..simulate.write import truth_path
from .parts import Result, read_column

FAR = 5.0
"""An estimate further from the truth than so many standard errors is no matter of chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """How near the estimates of one parameter are to its truth, over whole curves with success.

    Attributes
    ----------
    name
        The parameter.
    n
        Curves with a standard error.
    bias, rms
        Mean of (estimate - truth), and root of the mean of its square.
    bias_z, rms_z
        The same in standard errors.
    coverage
        Share of curves with |z| < 1.
    far
        Curves with |z| > `FAR`.
    """

    name: str
    n: int
    bias: float
    rms: float
    bias_z: float
    rms_z: float
    coverage: float
    far: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A result against the truth of its data.

    Attributes
    ----------
    qualities
        One a parameter, and one a derived quantity of known truth, such as a tied parameter.
    dof
        The median of the degrees of freedom, infinite if sigma was absolute.
    expected
        The coverage that is expected with so many.
    bad
        How the curves that were simulated bad ended: (kind, status, curves).
    """

    qualities: tuple[Quality, ...]
    dof: float
    expected: float
    bad: tuple[tuple[str, Status, int], ...]


def compare(result: Result, data: str) -> Comparison:
    """Compare a result with the truth in a simulated data set.

    Parameters
    ----------
    result
        The fits.
    data
        The data set: a file, a folder or a glob.

    Raises
    ------
    ValueError
        When there is no truth in `data`, or not that of these curves.
    """
    files = _truth_files(data)
    columns = _check(files, result, data)
    rows = _rows(result, files, data)
    kind = _take(read_column(files, "bad"), rows) if "bad" in columns else None
    status = result.column("status")
    success = (status >= 1) & (status <= 4)
    whole = success if kind is None else success & kind.is_null().to_numpy(zero_copy_only=False)
    dof = _dof(result, whole)
    known = (name for name in result.derived if TRUTH_PREFIX + name in columns)
    names = (*result.params, *known)
    qualities = (_quality(result, files, name, rows, whole) for name in names)
    return Comparison(
        qualities=tuple(qualities),
        dof=dof,
        expected=coverage_of_t(dof),
        bad=_bad(kind, status),
    )


def coverage_of_t(dof: float) -> float:
    """Return the probability of |t| < 1 for Student's t; of a normal variable if dof is infinite.

    The density is integrated by Simpson's rule, which is exact to 1e-12 here.
    """
    if not dof > 0:
        return math.nan
    t = np.linspace(0.0, 1.0, 65)
    if math.isinf(dof):
        density = np.exp(-0.5 * t * t) / math.sqrt(2 * math.pi)
    else:
        scale = math.lgamma((dof + 1) / 2) - math.lgamma(dof / 2) - 0.5 * math.log(dof * math.pi)
        density = np.exp(scale - 0.5 * (dof + 1) * np.log1p(t * t / dof))
    weights = np.where(np.arange(t.size) % 2, 4.0, 2.0)
    weights[[0, -1]] = 1.0
    return float(2.0 * np.dot(weights, density) / (3.0 * (t.size - 1)))


def _truth_files(data: str) -> list[Place]:
    """Return the files that hold the truth of a data set."""
    path = place_of(data)
    beside = truth_path(path) if isinstance(path, Path) else None
    return [beside] if beside and beside.exists() else find_files(data)


def _check(files: list[Place], result: Result, data: str) -> list[str]:
    """Return the columns there are, if the truth is among them.

    Raises
    ------
    ValueError
        When a true parameter or the curve id is missing.
    """
    with open_parquet(files[0]) as opened:
        names: list[str] = opened.parquet.schema_arrow.names
    needed = ["curve_id", *(TRUTH_PREFIX + p for p in result.params)]
    missing = [name for name in needed if name not in names]
    if missing:
        raise ValueError(
            f"{data!r} does not hold the truth of {', '.join(result.params)}: no column "
            f"{', '.join(missing)}; expected a data set of `manyfit simulate`"
        )
    return names


def _rows(result: Result, files: list[Place], data: str) -> Any:
    """Return where each curve of the result stands in the truth; None if in the same order.

    Raises
    ------
    ValueError
        When a curve is not there.
    """
    there, here = read_column(files, "curve_id"), result.arrow("curve_id")
    if there.type == here.type and there.equals(here):
        return None
    rows = pc.index_in(here.cast(there.type), value_set=there.combine_chunks())
    if rows.null_count:
        lost = here.filter(rows.is_null())[0].as_py()
        raise ValueError(
            f"{rows.null_count} curves of {str(result.sink)!r} are not in {data!r}, the first is "
            f"{lost!r}: is this the data set that was fitted?"
        )
    return rows


def _take(column: Any, rows: Any) -> Any:
    """Put a column of the truth into the order of the result."""
    return column if column is None or rows is None else column.take(rows)


def _dof(result: Result, whole: Bools) -> float:
    """Return the median degrees of freedom, infinite if the scale of sigma was known."""
    if result.metadata["options"].get("absolute_sigma"):
        return math.inf
    cost, redchi = result.column("cost")[whole], result.column("redchi")[whole]
    there = np.isfinite(redchi) & (redchi > 0)
    return float(np.median(np.round(2 * cost[there] / redchi[there]))) if there.any() else math.nan


def _quality(result: Result, files: list[Place], name: str, rows: Any, whole: Bools) -> Quality:
    """Compare one parameter."""
    truth = _take(read_column(files, TRUTH_PREFIX + name), rows).to_numpy()
    stderr = result.column(f"{name}_stderr")
    known = whole & np.isfinite(stderr) & (stderr > 0)
    error = (result.column(name) - truth)[known]
    return quality_of(name, error, error / stderr[known])


def quality_of(name: str, error: Floats, z: Floats) -> Quality:
    """Sum up errors, in units of the parameter and of its standard error."""
    some = error.size > 0
    return Quality(
        name=name,
        n=error.size,
        bias=float(error.mean()) if some else math.nan,
        rms=float(np.sqrt(np.mean(error**2))) if some else math.nan,
        bias_z=float(z.mean()) if some else math.nan,
        rms_z=float(np.sqrt(np.mean(z**2))) if some else math.nan,
        coverage=float(np.mean(np.abs(z) < 1)) if some else math.nan,
        far=int(np.count_nonzero(np.abs(z) > FAR)),
    )


def _bad(kind: Any, status: Any) -> tuple[tuple[str, Status, int], ...]:
    """Count how the curves of each bad kind ended."""
    if kind is None:
        return ()
    marked = kind.is_valid().to_numpy(zero_copy_only=False)
    pairs = zip(kind.filter(kind.is_valid()).to_pylist(), status[marked].tolist(), strict=True)
    counts = Counter(pairs)
    return tuple((name, Status(code), n) for (name, code), n in sorted(counts.items()))
