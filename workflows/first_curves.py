"""A look at the first curves: a list of x that fits no curve is a mistake, not a bad curve."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ..pipeline.binding import Binding
from ..pipeline.dataset import Dataset
from ..pipeline.exchange import as_numpy
from ..pipeline.plan import Partition, Slice
from ..pipeline.reading import read_rows
from ..pipeline.selection import Selection
from ..pipeline.sources import PerPoint, Shared, Source

LOOKED_AT = 1 << 12
"""How many curves are looked at."""

Lengths = npt.NDArray[np.int64]


def check_lengths(dataset: Dataset, binding: Binding) -> None:
    """Refuse x or sigma whose length is that of no curve; where some agree, others are bad curves.

    Raises
    ------
    ValueError
        When x or sigma and y are of different length in each of the first curves.
    """
    if dataset.layout.kind != "list":
        return
    name = dataset.layout.y[0]
    sources = dict(_lists(binding))
    batch = _first_rows(dataset, [name, *(c for s in sources.values() for c in s.columns)])
    n_points = _lengths(batch, name)
    filled = np.flatnonzero(n_points > 0)
    for what, source in sources.items():
        n_values = _values(batch, source)
        if filled.size and not np.any(n_values[filled] == n_points[filled]):
            first = filled[0]
            raise ValueError(
                f"{what} has {n_values[first]} values, but y ({name}) of the same curve has "
                f"{n_points[first]} points; it is so in each of the first {filled.size} curves: "
                "expected one value a point"
            )


def _lists(binding: Binding) -> Iterator[tuple[str, Source]]:
    """Yield the inputs that have a value a point."""
    for name, source in {**binding.predictors, "sigma": binding.layout.sigma}.items():
        if isinstance(source, PerPoint | Shared):
            yield name, source


def _first_rows(dataset: Dataset, columns: list[str]) -> pa.RecordBatch:
    """Read the first rows that there are."""
    first = dataset.blocks[0]
    rows = min(first.rows, LOOKED_AT)
    piece = Slice(first.file, first.row, first.row + rows)
    n_bytes = first.n_bytes * rows // first.rows
    partition = Partition(index=0, slices=(piece,), first_curve=0, curves=0, n_bytes=n_bytes)
    selection = Selection(columns=tuple(columns), hive=dataset.hive, where=dataset.where)
    batches = read_rows({first.file: dataset.files[first.file]}, partition, selection)
    return next(batches)


def _values(batch: pa.RecordBatch, source: Source) -> Lengths:
    """Return how many values each curve has of an input, (n_rows,)."""
    if isinstance(source, Shared):
        return np.full(batch.num_rows, len(source.values))
    return _lengths(batch, source.columns[0])


def _lengths(batch: pa.RecordBatch, name: str) -> Lengths:
    """Return the lengths of the lists of a column, 0 for null, (n_rows,)."""
    lengths = as_numpy(pc.list_value_length(batch.column(name)))  # fill_null would load pandas
    return np.asarray(np.nan_to_num(lengths), dtype=np.int64)
