"""A result's columns, one at a time, part by part."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa

from ...pipeline.parquet import open_parquet
from ...pipeline.places import AnyPlace, Place
from ...pipeline.results import open_job, open_sink, result_metadata
from ...pipeline.sink import Sink, read_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a fit wrote: parts, what they say of themselves, and what is not there.

    Attributes
    ----------
    sink
        The output directory.
    parts
        The committed partitions, in the order of the input.
    sizes
        Their numbers of curves.
    metadata
        See `pipeline.schema.describe`.
    planned
        Curves of the data set, those of partitions that are not there among them.
    failed
        Why partitions failed, by index.
    missing
        How many partitions have not been tried yet.
    """

    sink: Sink
    parts: tuple[int, ...]
    sizes: tuple[int, ...]
    metadata: Mapping[str, Any]
    planned: int
    failed: Mapping[int, str]
    missing: int

    @classmethod
    def open(cls, path: AnyPlace) -> Self:
        """Open an output directory.

        Raises
        ------
        FileNotFoundError
            When there are no results.
        """
        metadata = result_metadata(path)
        sink = open_sink(path)
        job = open_job(sink)
        plan, done = job.plan, list(job.committed(sink))
        others = {p.index for p in plan.partitions} - {r.index for r in done}
        errors = {i: (read_json(sink.record(i)) or {}).get("error") for i in sorted(others)}
        failed = {i: str(error) for i, error in errors.items() if error}
        return cls(
            sink=sink,
            parts=tuple(r.index for r in done),
            sizes=tuple(r.curves for r in done),
            metadata=metadata,
            planned=plan.n_curves,
            failed=failed,
            missing=len(others) - len(failed),
        )

    @property
    def params(self) -> tuple[str, ...]:
        """Names of the parameters."""
        return tuple(self.metadata["model"]["params"])

    @property
    def derived(self) -> tuple[str, ...]:
        """Names of the derived quantities."""
        return tuple(self.metadata["model"].get("derived", ()))

    @property
    def n_curves(self) -> int:
        """Curves in the parts."""
        return sum(self.sizes)

    def column(self, name: str) -> Any:
        """Return one column of numbers, (n_curves,)."""
        return self.arrow(name).to_numpy()

    def arrow(self, name: str) -> pa.ChunkedArray:
        """Return one column, group by group."""
        return self._read(self.parts, name)

    def pick(self, name: str, rows: Sequence[int]) -> list[Any]:
        """Return the values of a column in some rows, reading only the parts where they are."""
        edges = np.cumsum([0, *self.sizes])
        where = np.searchsorted(edges, rows, side="right") - 1
        read = {int(p): self._read([self.parts[p]], name) for p in np.unique(where)}
        return [read[int(p)][int(i - edges[p])].as_py() for p, i in zip(where, rows, strict=True)]

    def _read(self, parts: Sequence[int], name: str) -> pa.ChunkedArray:
        """Return one column of some partitions."""
        batches = (batch for index in parts for batch in self.sink.part_rows(index, [name]))
        return pa.chunked_array([batch.column(0) for batch in batches])


def read_column(files: Sequence[Place], name: str) -> pa.ChunkedArray:
    """Return one column of several files, row group by row group."""
    chunks = list(_chunks(files, name))
    return pa.chunked_array(chunks)


def _chunks(files: Sequence[Place], name: str) -> Iterator[pa.Array]:
    """Yield one column of several files."""
    for file in files:
        with open_parquet(file) as opened:
            for group in range(opened.parquet.num_row_groups):
                table = opened.parquet.read_row_group(group, columns=[name], use_threads=False)
                yield from table.column(0).chunks
