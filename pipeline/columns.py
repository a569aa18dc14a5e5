"""Which column is what, as the user says it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from .errors import DatasetError

Values: TypeAlias = tuple[float, ...]
Points: TypeAlias = str | float | tuple[str, ...] | Values
"""A column, a glob, or names of columns; or values shared by all curves; or one number: what
`Columns` makes of whatever is given for the points of curves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Which columns hold the curves and what belongs to them.

    Names that are not given are looked for: `x` and `curve_id` under these names, predictors and
    constants of the model under their own, start values under ``p0_<param>``. In a Zarr group a
    column is an array, or the path of one.

    Attributes
    ----------
    y
        The values: a list column (one curve a row), a scalar column (one point a row), or several
        columns (one a point) as a glob such as ``"y_*"``, in natural order of their numbers, or
        as a sequence of names, in the order given.
    x
        Where the values were taken: a column, or numbers shared by all curves, (n_points,). With
        several predictors, a mapping of predictor to such.
    sigma
        Standard deviation of y: a column (or columns, as many as of y), one number, or numbers
        shared by all curves. None: every point counts the same.
    curve_id
        The column that names the curves. None: ``"curve_id"`` if there is one, else curves are
        numbered from 0 in the order of the data set.
    p0
        Start values from columns, ``{param: column}``.
    constants
        Constants of the model, ``{constant: column or number}``.
    keep
        Columns that are carried through to the result, behind the curve id; of long rows the first
        of each curve. Zarr: arrays that do not run along a curve; they become maps as well.
    where
        Which rows are taken, such as ``"plate == 'A1' and dose > 3"`` (see `where`). Curves without
        an id are numbered among those that are taken. Zarr: which curves are taken, by arrays that
        do not run along a curve; numbers are those of all. Maps say ``NOT_SELECTED`` of the others.
    axis
        Zarr: the dimension of y along which a curve runs, or several for a model of several
        predictors; names, or positions. Default: the only one that y shares with x, else the last
        of two.
    mask
        Zarr: an array that is not zero where a point is left out, as in NumPy's masked arrays.

    Raises
    ------
    DatasetError
        When a value is neither a name, names, nor numbers.
    """

    y: str | Sequence[str] = "y"
    x: npt.ArrayLike | Mapping[str, npt.ArrayLike] | None = None
    sigma: npt.ArrayLike | None = None
    curve_id: str | None = None
    p0: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, str | float] = field(default_factory=dict)
    keep: Sequence[str] = ()
    where: str | None = None
    axis: str | int | Sequence[str | int] = ()
    mask: str | None = None

    def __post_init__(self) -> None:
        """Turn sequences and arrays into tuples, so that the value is frozen and compares."""
        settle = object.__setattr__
        settle(self, "y", _points(self.y, "y"))
        if not (isinstance(self.y, str) or _are_names(self.y)):
            raise DatasetError(f"y must name a column or columns, got {_short(self.y)}")
        if isinstance(self.x, Mapping):
            settle(self, "x", {k: _points(v, f"x[{k!r}]") for k, v in self.x.items()})
        elif self.x is not None:
            settle(self, "x", _points(self.x, "x"))
        if self.sigma is not None:
            settle(self, "sigma", _points(self.sigma, "sigma"))
        settle(self, "p0", dict(self.p0))
        settle(self, "constants", dict(self.constants))
        settle(self, "keep", (self.keep,) if isinstance(self.keep, str) else tuple(self.keep))
        settle(self, "axis", self.axes)

    @property
    def axes(self) -> tuple[str, ...]:
        """Return `axis` as a tuple of texts."""
        axes = [self.axis] if isinstance(self.axis, str | int) else self.axis
        return tuple(map(str, axes))

    def __str__(self) -> str:
        """Say what was chosen, on one line; long values are cut."""
        chosen = [(f.name, getattr(self, f.name)) for f in fields(self)]
        return ", ".join(f"{name}={_short(value)}" for name, value in chosen if value)


def _points(given: Any, what: str) -> Points:
    """Return a name, a number, names or numbers, from whatever stands for them."""
    if isinstance(given, Iterable) and not isinstance(given, np.ndarray | str):
        given = tuple(given)
    if isinstance(given, str) or (_are_names(given) and given != ()):
        named: str | tuple[str, ...] = given
        return named
    try:
        values = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DatasetError(
            f"{what} must be the name of a column, names of columns or numbers, got {_short(given)}"
        ) from error
    if values.ndim == 0:
        return float(values)
    if values.ndim > 1 or not values.size:
        raise DatasetError(
            f"{what} must be one-dimensional and not empty, got shape {values.shape}: give one "
            "number a point; several predictors as a mapping {predictor: numbers}"
        )
    return tuple(values.tolist())


def _are_names(given: Any) -> bool:
    """Tell names of columns from numbers."""
    return isinstance(given, tuple) and all(isinstance(item, str) for item in given)


def _short(value: Any) -> str:
    """Write a value for people, long tuples cut."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k}: {_short(v)}" for k, v in value.items()) + "}"
    if isinstance(value, tuple) and len(value) > 4:
        return f"({value[0]!r}, {value[1]!r}, ... {value[-1]!r}: {len(value)})"
    return repr(value)
