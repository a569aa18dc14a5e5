"""Long rows, a point each -> curves: a window slides over the rows.

A batch of rows ends anywhere, so its last curve may go on in the next batch. It is held back and
put before the next one; a curve longer than a batch is held until it ends.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from .binding import Binding
from .curves import (
    Curves,
    Floats,
    Offsets,
    constant_values,
    equal_length,
    kept_columns,
    numbers,
    one_row,
    over_points,
    plain_ids,
    start_values,
)
from .exchange import as_arrow
from .scan import run_starts
from .sources import Constant, PerPoint, Source

Whole = tuple[pa.RecordBatch, npt.NDArray[np.int64]]


def whole_curves(batches: Iterable[pa.RecordBatch], curve_id: str) -> Iterator[Whole]:
    """Yield rows of whole curves, and the rows at which curves begin."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        starts = run_starts(batch.column(curve_id))
        first = batch.column(curve_id)[0].as_py()
        goes_on = bool(held) and held[-1].column(curve_id)[-1].as_py() == first
        if goes_on and len(starts) == 1:
            held.append(batch)
            continue
        n_held = sum(piece.num_rows for piece in held)
        rows = pa.concat_batches([*held, batch]) if held else batch
        starts = starts + n_held
        if held:
            starts = np.concatenate([[0], starts[int(goes_on) :]])
        last = int(starts[-1])
        held = [rows.slice(last)]
        if last:
            yield rows.slice(0, last), starts[:-1]
    if held:
        rows = held[0] if len(held) == 1 else pa.concat_batches(held)
        yield rows, np.zeros(1, dtype=np.int64)


def row_curves(rows: pa.RecordBatch, starts: npt.NDArray[np.int64], binding: Binding) -> Curves:
    """Return the curves of rows that are whole curves, which begin at `starts`."""
    layout = binding.layout
    assert layout.curve_id is not None
    offsets = np.append(starts, rows.num_rows)
    n_points = equal_length(offsets)
    heads = rows.select(_curve_columns(binding)).take(as_arrow(starts))

    def arranged(source: Source) -> Floats:
        flat = _flat(source, rows, offsets)
        return flat.reshape(-1, n_points) if n_points else flat

    x = {name: arranged(source) for name, source in binding.predictors.items()}
    return Curves(
        ids=plain_ids(heads.column(layout.curve_id), binding),
        x={name: one_row(v) if v.ndim == 2 else v for name, v in x.items()},
        y=arranged(PerPoint(layout.y)),
        offsets=None if n_points else offsets,
        sigma=None if layout.sigma is None else arranged(layout.sigma),
        p0=start_values(heads, binding),
        constants=constant_values(heads, binding),
        keep=kept_columns(heads, binding),
    )


def _curve_columns(binding: Binding) -> list[str]:
    """Return the columns of which only the first row of a curve counts."""
    sources = [*binding.constants.values(), *binding.p0.values()]
    names = [name for source in sources for name in source.columns]
    names += [field.name for field in binding.keep]
    return list(dict.fromkeys([str(binding.layout.curve_id), *names]))


def _flat(source: Source, rows: pa.RecordBatch, offsets: Offsets) -> Floats:
    """Return a value a point, flat; all sources of long rows are columns or numbers."""
    if isinstance(source, Constant):
        return over_points(source.value, offsets)
    return numbers(rows.column(source.columns[0]))
