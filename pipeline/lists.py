"""Rows with a list column a curve -> curves."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from .binding import Binding
from .curves import (
    Curves,
    Floats,
    Offsets,
    constant_values,
    curve_ids,
    equal_length,
    kept_columns,
    numbers,
    one_row,
    over_curves,
    over_points,
    per_curve,
    start_values,
)
from .exchange import as_numpy
from .sources import PerPoint, Shared, Source


@dataclass(frozen=True, slots=True)
class Lists:
    """A list column: the values of all lists, (n_values,), and where each begins, (n + 1,)."""

    values: Floats
    offsets: Offsets

    @classmethod
    def of(cls, array: pa.Array) -> Self:
        """Take the lists of an Arrow array; null ones become empty. Float64 is not copied."""
        if pa.types.is_fixed_size_list(array.type):
            size = array.type.list_size
            offsets = np.arange(len(array) + 1, dtype=np.int64) * size
            values = array.values[array.offset * size : (array.offset + len(array)) * size]
        else:
            offsets = as_numpy(array.offsets).astype(np.int64)
            values = array.values[offsets[0] : offsets[-1]]
            offsets -= offsets[0]
        lists = cls(numbers(values), offsets)
        if not array.null_count:
            return lists
        return lists.without(as_numpy(array.is_null()))

    @property
    def lengths(self) -> Offsets:
        """(n,) values in each list."""
        return np.diff(self.offsets)

    def without(self, drop: npt.NDArray[np.bool_]) -> Self:
        """Return the same lists with some of them, (n,) bool, emptied."""
        lengths = self.lengths
        if not lengths[drop].any():
            return self
        offsets = np.concatenate([[0], np.cumsum(np.where(drop, 0, lengths))])
        return type(self)(self.values[np.repeat(~drop, lengths)], offsets)


def list_curves(batch: pa.RecordBatch, binding: Binding, first: int) -> Curves:
    """Return the curves of a batch, one a row; `first` is the running number of the first."""
    layout = binding.layout
    sources = [s for s in (*binding.predictors.values(), layout.sigma) if s is not None]
    names = {name for s in sources if isinstance(s, PerPoint) for name in s.columns}
    lists = {name: Lists.of(batch.column(name)) for name in {layout.y[0], *names}}
    uneven = _uneven(lists[layout.y[0]].lengths, lists, sources)
    drop = uneven | (lists[layout.y[0]].lengths == 0)
    lists = {name: values.without(drop) for name, values in lists.items()}
    y = lists[layout.y[0]]
    n_points = equal_length(y.offsets)

    def arranged(source: Source) -> Floats:
        if isinstance(source, Shared) and n_points:
            return np.array(source.values)
        flat = _flat(source, batch, lists, y.offsets)
        return flat.reshape(-1, n_points) if n_points else flat

    x = {name: arranged(source) for name, source in binding.predictors.items()}
    return Curves(
        ids=curve_ids(batch, binding, first),
        x={name: one_row(v) if v.ndim == 2 else v for name, v in x.items()},
        y=y.values.reshape(-1, n_points) if n_points else y.values,
        offsets=None if n_points else y.offsets,
        sigma=None if layout.sigma is None else arranged(layout.sigma),
        p0=start_values(batch, binding),
        constants=constant_values(batch, binding),
        keep=kept_columns(batch, binding),
        uneven=uneven if uneven.any() else None,
    )


def _flat(
    source: Source, batch: pa.RecordBatch, lists: Mapping[str, Lists], offsets: Offsets
) -> Floats:
    """Return a value a point, flat."""
    if isinstance(source, PerPoint):
        return lists[source.columns[0]].values
    if isinstance(source, Shared):
        return over_curves(source, offsets)
    return over_points(per_curve(batch, source), offsets)


def _uneven(
    lengths: Offsets, lists: Mapping[str, Lists], sources: list[Source]
) -> npt.NDArray[np.bool_]:
    """Find curves with points whose other lists have more or fewer than y."""
    wrong = np.zeros(len(lengths), dtype=np.bool_)
    for source in sources:
        if isinstance(source, PerPoint):
            wrong |= lists[source.columns[0]].lengths != lengths
        elif isinstance(source, Shared):
            wrong |= lengths != len(source.values)
    return wrong & (lengths > 0)
