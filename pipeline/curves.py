"""A batch of curves, as the solver takes them, and the numbers of Arrow arrays as float64.

Lists become flat values and offsets without a copy where Arrow has float64; a null list is a
curve without points, a null value is NaN. If all curves have one length the values are reshaped
to (n_curves, n_points), and if they have one x it is passed once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from .binding import Binding
from .exchange import as_arrow, as_numpy
from .sources import Constant, PerCurve, Shared

Floats: TypeAlias = npt.NDArray[np.float64]
Numbers: TypeAlias = npt.NDArray[Any]
Offsets: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """Curves that are fitted together; the arguments of `fit_curves`.

    Attributes
    ----------
    ids
        (n_curves,) the curve ids, of their type in the result.
    index
        (n_curves,) the position of each curve along every map dimension of Zarr arrays.
    keep
        (n_curves,) columns that are carried through to the result.
    x
        A predictor each: (n_points,) shared, or of the shape of y.
    y
        (n_curves, n_points), or flat with `offsets`.
    offsets
        (n_curves + 1,) where the values of each curve begin; None: y has two dimensions.
    sigma
        Of the shape of y, or None.
    p0
        Start values of parameters that have some: a number or (n_curves,).
    constants
        A constant each: a number or (n_curves,).
    uneven
        (n_curves,) curves whose lists are not of one length, so that they cannot be fitted; here
        they have no points. None: there are none.
    """

    ids: pa.Array
    x: Mapping[str, Numbers]
    y: Numbers
    offsets: Offsets | None
    sigma: Numbers | None
    p0: Mapping[str, Any]
    constants: Mapping[str, Any]
    uneven: npt.NDArray[np.bool_] | None = None
    index: tuple[pa.Array, ...] = ()
    keep: tuple[pa.Array, ...] = ()

    def __len__(self) -> int:
        """Return the number of curves."""
        return len(self.ids)

    def first(self, count: int) -> Self:
        """Return the first curves, without copying."""
        few = slice(count)
        points = few if self.offsets is None else slice(self.offsets[min(count, len(self))])

        def cut(values: Numbers) -> Numbers:
            shared = self.offsets is None and values.ndim == 1
            return values if shared else values[points]

        return replace(
            self,
            ids=self.ids[few],
            index=tuple(positions[few] for positions in self.index),
            keep=tuple(column[few] for column in self.keep),
            x={name: cut(values) for name, values in self.x.items()},
            y=self.y[points],
            offsets=None if self.offsets is None else self.offsets[: count + 1],
            sigma=None if self.sigma is None else cut(self.sigma),
            p0={name: v[few] if np.ndim(v) else v for name, v in self.p0.items()},
            constants={name: v[few] if np.ndim(v) else v for name, v in self.constants.items()},
            uneven=None if self.uneven is None else self.uneven[few],
        )


def numbers(array: pa.Array) -> Floats:
    """Return the numbers of an Arrow array as float64, null as NaN, not copied if they are such."""
    return np.asarray(as_numpy(array), dtype=np.float64)


def curve_ids(batch: pa.RecordBatch, binding: Binding, first: int) -> pa.Array:
    """Return the ids of a batch whose rows are curves: the column, or running numbers."""
    layout = binding.layout
    if layout.curve_id is None:
        return as_arrow(np.arange(first, first + batch.num_rows, dtype=np.int64))
    return plain_ids(batch.column(layout.curve_id), binding)


def plain_ids(ids: pa.Array, binding: Binding) -> pa.Array:
    """Return ids of their type in the result."""
    return ids if ids.type == binding.layout.id_type else ids.cast(binding.layout.id_type)


def kept_columns(batch: pa.RecordBatch, binding: Binding) -> tuple[pa.Array, ...]:
    """Return the columns that are carried through, for rows that are curves."""
    columns = ((batch.column(field.name), field.type) for field in binding.keep)
    return tuple(c if c.type == kind else c.cast(kind) for c, kind in columns)


def start_values(batch: pa.RecordBatch, binding: Binding) -> dict[str, Any]:
    """Return start values for rows that are curves: a number or (n_curves,) for each parameter."""
    return {name: per_curve(batch, source) for name, source in binding.p0.items()}


def constant_values(batch: pa.RecordBatch, binding: Binding) -> dict[str, Any]:
    """Return the constants for rows that are curves."""
    return {name: per_curve(batch, source) for name, source in binding.constants.items()}


def per_curve(batch: pa.RecordBatch, source: PerCurve | Constant) -> Any:
    """Return one value a curve, (n_curves,), or the number that all have."""
    if isinstance(source, Constant):
        return source.value
    return numbers(batch.column(source.column))


def over_points(values: Any, offsets: Offsets) -> Floats:
    """Repeat a number, or one a curve (n_curves,), for every point."""
    lengths = np.diff(offsets)
    if np.ndim(values) == 0:
        return np.full(int(lengths.sum()), values)
    return np.repeat(values, lengths)


def over_curves(source: Shared, offsets: Offsets) -> Floats:
    """Repeat values that curves share; curves without points take none."""
    filled = int(np.count_nonzero(np.diff(offsets)))
    return np.tile(np.array(source.values), filled)


def equal_length(offsets: Offsets) -> int | None:
    """Return the points that every curve has, or None if they differ or there are none."""
    lengths = np.diff(offsets)
    if len(lengths) == 0 or lengths[0] == 0 or (lengths != lengths[0]).any():
        return None
    return int(lengths[0])


def one_row(values: Numbers) -> Numbers:
    """Return the row that all rows of (n_curves, n_points) are; all rows if they are not one.

    The last row is looked at first, so that different x cost next to nothing.
    """
    first = values[0]
    if np.array_equal(first, values[-1]) and (values == first).all():
        row: Numbers = first
        return row
    return values
