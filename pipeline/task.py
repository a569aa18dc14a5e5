"""One partition: read, fit, write, commit. What a worker runs, and all that travels to it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..solver.model import Model
from ..solver.options import FitOptions
from .arrays.sink import MapSink
from .binding import Binding
from .curves import Curves
from .files import File
from .ledger import Record
from .lists import list_curves
from .packing import unpacked
from .places import Place, written_whole
from .plan import Partition
from .reading import BATCH_BYTES, read_rows
from .rows import row_curves, whole_curves
from .schema import index_name
from .sink import Sink, file_digest
from .table import count_status, fit_rows
from .wide import wide_curves

GROUP_BYTES = 16_000_000
"""About how many bytes a row group of the result has before it is compressed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """A partition, and all that belongs to it alone: what one task gets.

    Attributes
    ----------
    partition
        Which rows.
    fingerprint
        Of them and of how they are fitted (see `ledger`).
    files
        The files that have them, by position.
    """

    partition: Partition
    fingerprint: str
    files: Mapping[int, File]


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What a partition has written.

    Attributes
    ----------
    counts
        Curves by status code.
    n_bytes, digest
        Size of the part, and a hash of its bytes.
    """

    counts: Mapping[int, int]
    n_bytes: int
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What every partition of a job has in common; with an assignment, the work of one task."""

    binding: Binding
    model: Model
    options: FitOptions
    schema: pa.Schema
    sink: Sink

    def run(self, given: Assignment) -> Record:
        """Fit the curves of a partition, write their rows, and commit.

        A partition that is committed already, by a worker that was thought dead, is left as it is.

        Raises
        ------
        Exception
            Whatever reading, fitting or writing raises: the partition is not committed.
        """
        begun, partition = perf_counter(), given.partition
        done = Record.read(self.sink, partition.index)
        if done is not None and done.fingerprint == given.fingerprint:
            return done
        curves = read_curves(given.files, partition, self.binding)
        rows = (fit_rows(c, self.model, self.options, self.schema) for c in curves)
        return self.commit(given, rows, begun)

    def commit(self, given: Assignment, rows: Iterable[pa.RecordBatch], begun: float) -> Record:
        """Write the rows of a partition, and the record that says so.

        Parameters
        ----------
        given
            The partition.
        rows
            One a curve, in order.
        begun
            When work on it was begun, by `perf_counter`.
        """
        partition = given.partition
        written = self._write(partition, rows)
        record = Record(
            fingerprint=given.fingerprint,
            index=partition.index,
            curves=partition.curves,
            counts=written.counts,
            seconds=round(perf_counter() - begun, 3),
            n_bytes=written.n_bytes,
            part_digest=written.digest,
        )
        return record.write(self.sink)

    def _write(self, partition: Partition, rows: Iterable[pa.RecordBatch]) -> Written:
        """Write the rows of a partition."""
        index, n_curves = partition.index, partition.curves
        if not isinstance(self.sink, MapSink):
            return write_part(self.sink.part(index), rows, self.schema, n_curves)
        from .arrays.maps import write_maps  # noqa: PLC0415 - loads zarr

        tiles = [piece.file for piece in partition.slices]
        counts = write_maps(self.sink, index, tiles, rows, self.binding, n_curves)
        n_bytes, digest = self.sink.part_bytes(index), self.sink.part_digest(index)
        return Written(counts=counts, n_bytes=n_bytes, digest=digest)


def read_curves(
    files: Mapping[int, File],
    partition: Partition,
    binding: Binding,
    batch_bytes: int = BATCH_BYTES,
) -> Iterator[Curves]:
    """Read the curves of a partition in batches of bounded size, wherever they lie.

    Raises
    ------
    OSError
        When a file is not what it was when the data set was opened, or cannot be read.
    """
    if binding.layout.grid is not None:
        from .arrays.reading import read_tiles  # noqa: PLC0415 - loads zarr

        return read_tiles(files, partition, binding, batch_bytes)
    batches = read_rows(files, partition, binding.selection)
    return as_curves(batches, binding, partition.first_curve)


def as_curves(batches: Iterable[pa.RecordBatch], binding: Binding, first: int) -> Iterator[Curves]:
    """Turn rows into batches of curves, whatever their layout.

    Parameters
    ----------
    batches
        Rows that begin and end with whole curves.
    binding
        Which columns feed the model.
    first
        The running number of the first curve.
    """
    if binding.layout.kind == "long":
        for rows, starts in whole_curves(batches, str(binding.layout.curve_id)):
            yield row_curves(rows, starts, binding)
        return
    convert = list_curves if binding.layout.kind == "list" else wide_curves
    for batch in batches:
        yield convert(batch, binding, first)
        first += batch.num_rows


def write_part(
    place: Place, batches: Iterable[pa.RecordBatch], schema: pa.Schema, n_curves: int
) -> Written:
    """Write rows batch by batch, whole or not at all.

    Size and hash are of the file as it was written: an object need not be fetched again for them.

    Raises
    ------
    RuntimeError
        When there are not `n_curves` rows: nothing is dropped, nothing comes twice.
    """
    counts: Counter[int] = Counter()
    with written_whole(place) as temporary:
        with pq.ParquetWriter(temporary, schema, **_writing(schema)) as writer:
            for group in _groups(batches):
                counts.update(count_status(group))
                writer.write_table(group)
        if counts.total() != n_curves:
            raise RuntimeError(
                f"{place.name} has {counts.total()} curves, but {n_curves} were planned: the input "
                "has changed since the data set was opened"
            )
        n_bytes, digest = temporary.stat().st_size, file_digest(temporary)
    return Written(counts=dict(counts), n_bytes=n_bytes, digest=digest)


def _groups(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Put batches together until they make a row group."""
    held: list[pa.RecordBatch] = []
    n_bytes = 0
    for batch in batches:
        held.append(batch)
        n_bytes += batch.nbytes
        if n_bytes >= GROUP_BYTES:
            yield pa.Table.from_batches(held)
            held, n_bytes = [], 0
    if held:
        yield pa.Table.from_batches(held)


def _writing(schema: pa.Schema) -> dict[str, Any]:
    """Return how to write: noisy floats gain nothing from a dictionary, codes and names do.

    Nor do they gain from snappy, but for `cov`, whose numbers come twice: a seventh of the file for
    a quarter of the time. Numbers of curves, and their places in arrays, follow each other: their
    differences are stored. The statistics of `cov` would be of no use.
    """
    numbered = [n for n in schema.names if n == "curve_id" or n.endswith(index_name(""))]
    running = [n for n in numbered if pa.types.is_integer(schema.field(n).type)]
    floats = {f.name for f in schema if pa.types.is_float64(f.type) or f.name == "cov"}
    return {
        "compression": {n: "none" if n in floats else "snappy" for n in schema.names},
        "use_dictionary": [n for n in schema.names if n not in {*floats, *running}],
        "column_encoding": dict.fromkeys(running, "DELTA_BINARY_PACKED"),
        "write_statistics": [n for n in schema.names if n != "cov"],
    }


def run_partition(payload: bytes, given: Assignment) -> Record:
    """Run one task of the job that was pickled by `packed`; what Dask calls on a worker."""
    work: Task = unpacked(payload)
    return work.run(given)
