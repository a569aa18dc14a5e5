"""One block of arrays -> blocks of maps: curves become rows of results, and these maps again."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ...solver.model import Model
from ...solver.options import FitOptions
from ..curves import Curves, one_row
from ..packing import unpacked
from ..reading import BATCH_BYTES
from ..table import fit_rows
from .inputs import OF_POINTS, Place

Numbers = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrangement:
    """What the arrays of a block are to the curves.

    Attributes
    ----------
    n_fit
        How many dimensions of y, the last, are fit dimensions.
    places
        What the arrays behind y are; each broadcasts to y, or to its map dimensions.
    shared
        What all curves share.
    """

    n_fit: int
    places: tuple[Place, ...]
    shared: Mapping[Place, Any]

    def curves(self, y: Numbers, *arrays: Numbers) -> Iterator[Curves]:
        """Yield the curves of a block, some at a time; the last map dimension runs fastest."""
        shape = y.shape[: -self.n_fit]
        n_curves, n_points = prod(shape), prod(y.shape[-self.n_fit :])
        given = dict(self.shared)
        for place, array in zip(self.places, arrays, strict=True):
            wide = place[0] in OF_POINTS
            full = np.broadcast_to(array, y.shape if wide else shape)
            given[place] = full.reshape((n_curves, n_points) if wide else (n_curves,))
        flat = y.reshape(n_curves, n_points)
        step = max(1, BATCH_BYTES // (8 * n_points))
        for start in range(0, n_curves, step):
            yield self._some(flat, given, slice(start, min(start + step, n_curves)))

    def _some(self, y: Numbers, given: Mapping[Place, Any], rows: slice) -> Curves:
        """Return some of the curves."""
        differing = set(self.places)
        part = {
            place: values[rows] if place in differing else values for place, values in given.items()
        }
        named = {role: {n: v for (r, n), v in part.items() if r == role} for role, _ in part}
        x = named["x"]
        return Curves(
            ids=pa.array(np.arange(rows.start, rows.stop)),
            x={name: one_row(v) if v.ndim == 2 else v for name, v in x.items()},
            y=np.ascontiguousarray(y[rows]),
            offsets=None,
            sigma=part.get(("sigma", "")),
            p0={name: np.asarray(v, dtype=np.float64) for name, v in named.get("p0", {}).items()},
            constants=named.get("constants", {}),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """What all blocks have in common; with arrays, the work of one task.

    Attributes
    ----------
    arrangement
        What the arrays are.
    model, options
        What is fitted, and how.
    schema
        Of the rows of the result; its columns, but for the first, become maps.
    """

    arrangement: Arrangement
    model: Model
    options: FitOptions
    schema: pa.Schema

    def fit(self, y: Numbers, *arrays: Numbers) -> tuple[Numbers, ...]:
        """Fit all curves of a block.

        Parameters
        ----------
        y
            Map dimensions, then fit dimensions.
        arrays
            As the arrangement says.

        Returns
        -------
        A map for each column of the schema but the first; that of "cov" has two dimensions more.
        """
        rows = [
            fit_rows(curves, self.model, self.options, self.schema)
            for curves in self.arrangement.curves(y, *arrays)
        ]
        table = pa.Table.from_batches(rows, schema=self.schema)
        shape = y.shape[: -self.arrangement.n_fit]
        return tuple(
            _as_map(table.column(name).combine_chunks(), shape) for name in self.schema.names[1:]
        )


def _as_map(column: pa.Array, shape: tuple[int, ...]) -> Numbers:
    """Return a column as an array over the map dimensions."""
    if pa.types.is_fixed_size_list(column.type):
        side = round(column.type.list_size**0.5)
        return np.asarray(column.flatten().to_numpy()).reshape((*shape, side, side))
    return np.asarray(column.to_numpy(zero_copy_only=False)).reshape(shape)  # of bits: a copy


def fit_packed(payload: bytes, *arrays: Numbers) -> tuple[Numbers, ...]:
    """Fit a block, of work that was pickled by `packed`; what Dask calls."""
    work: Block = unpacked(payload)
    return work.fit(*arrays)
