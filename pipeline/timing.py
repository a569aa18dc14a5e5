"""How long partitions take, told from some of their curves, treated as by a worker.

Reading is timed by what is read at once: a batch of rows, or a stretch of tiles. What comes before
the first batch, as opening the file and going to where the partition begins, counts once. So that
what a call costs is not taken for the cost of its curves, fitting is timed by two sizes,

    t(m) = t(n) + (m - n) (t(n) - t(n / 4)) / (3/4 n),

where m are the curves of a batch, and n grows until t(n) is long and curves are most of it.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

import numpy as np
import pyarrow as pa

from .arrays.sink import MapSink, sink_of
from .curves import Curves
from .table import fit_rows
from .task import Assignment, Task, read_curves

FEWEST = 8
"""Curves that are fitted first; then four times as many, and so on."""

ENOUGH_S, MOST_S = 0.06, 0.5
"""How long it takes to fit the most curves: as each size is fitted twice, half a second for four
partitions; with slow models longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """What one partition takes a thread.

    Attributes
    ----------
    curves
        Of the partition.
    n_fits
        Curves that were fitted to find out.
    read_s, fit_s, write_s
        Seconds for all of its curves.
    """

    curves: int
    n_fits: int
    read_s: float
    fit_s: float
    write_s: float

    @property
    def seconds(self) -> float:
        """All together."""
        return self.read_s + self.fit_s + self.write_s

    @property
    def fits_per_s(self) -> float:
        """Curves a second and thread."""
        return self.curves / max(self.seconds, 1e-9)


def time_partition(task: Task, given: Assignment) -> Timing:
    """Do as much of a partition as shows how long it takes; what was written is removed."""
    curves, at_once, read_s = _read(task, given)
    fit_s, rows = _fit(task, curves)
    n_curves = given.partition.curves
    return Timing(
        curves=n_curves,
        n_fits=rows.num_rows,
        read_s=read_s,
        fit_s=fit_s * n_curves,
        write_s=_write(task, given, rows, at_once) * n_curves,
    )


def first_curves(task: Task, given: Assignment) -> Curves:
    """Read the first batch of a partition that has curves."""
    return next(_filled(read_curves(given.files, given.partition, task.binding)))


def _read(task: Task, given: Assignment) -> tuple[Curves, int, float]:
    """Read some of a partition.

    Returns the first batch, how many curves are written at once, and how long reading all takes.
    """
    partition = given.partition
    begun = perf_counter()
    if task.binding.layout.grid is not None:
        from .arrays.reading import first_stretch  # noqa: PLC0415 - loads zarr

        few = first_stretch(given.files, partition, task.binding)
        batches = _filled(read_curves(given.files, few, task.binding))
        first = next(batches)
        n_curves = len(first) + sum(map(len, batches))
        seconds = (perf_counter() - begun) * partition.curves / n_curves
        return first, max(1, n_curves // len(few.slices)), seconds
    batches = _filled(read_curves(given.files, partition, task.binding))
    first = next(batches)
    seconds = perf_counter() - begun
    begun, others = perf_counter(), partition.curves - len(first)
    following = next(batches, None)
    if following is None:
        return first, len(first), seconds * partition.curves / len(first)
    seconds += (perf_counter() - begun) * others / len(following)
    return first, len(first), seconds


def _fit(task: Task, curves: Curves) -> tuple[float, pa.RecordBatch]:
    """Return what fitting takes a curve, and the rows of those that were fitted."""
    n, fewer, shorter = min(FEWEST, len(curves)), 0, 0.0
    while True:
        seconds, rows = _fitted(task, curves.first(n))
        told = fewer > 0 and seconds > max(ENOUGH_S, 2 * shorter)
        if n == len(curves) or seconds > MOST_S or told:
            break
        n, fewer, shorter = min(4 * n, len(curves)), n, seconds
    slope = max((seconds - shorter) / (n - fewer), 0.0)
    return (seconds + slope * (len(curves) - n)) / len(curves), rows


def _fitted(task: Task, curves: Curves) -> tuple[float, pa.RecordBatch]:
    """Fit a batch, twice unless it takes long, since at first something may be compiled.

    Returns the shorter time, and the rows.
    """
    times: list[float] = []
    while len(times) < 2 and sum(times) < MOST_S:
        begun = perf_counter()
        rows = fit_rows(curves, task.model, task.options, task.schema)
        times.append(perf_counter() - begun)
    return min(times), rows


def _write(task: Task, given: Assignment, rows: pa.RecordBatch, n_curves: int) -> float:
    """Write and commit as many curves as are read at once; return what that takes a curve."""
    partition = given.partition
    rows = rows.take(pa.array(np.arange(n_curves) % rows.num_rows))
    small = replace(partition, slices=partition.slices[:1], curves=n_curves)
    with tempfile.TemporaryDirectory() as folder:
        elsewhere = replace(task, sink=sink_of(Path(folder) / task.sink.path.name))
        Path(str(elsewhere.sink.ledger)).mkdir(parents=True)
        if isinstance(elsewhere.sink, MapSink):
            from .arrays.maps import prepare_maps  # noqa: PLC0415 - loads zarr

            source = next(iter(given.files.values())).path
            prepare_maps(elsewhere.sink, task.schema, task.binding, source)
        begun = perf_counter()
        elsewhere.commit(replace(given, partition=small), [rows], begun)
        return (perf_counter() - begun) / n_curves


def _filled(batches: Iterator[Curves]) -> Iterator[Curves]:
    """Pass over batches without a curve."""
    return (curves for curves in batches if len(curves))
