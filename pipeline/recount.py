"""Whether a result has a row for each curve of its input, and the input is what was planned."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from os import PathLike

import numpy as np
import pyarrow as pa

from .files import File, Paths, find_files, is_zarr, read_footers, root_of
from .hive import hive_types, hive_values
from .ledger import Job
from .plan import Partition
from .reading import read_rows
from .scan import plain, run_starts
from .selection import Selection
from .sink import Sink
from .where import parse_where


@dataclass(frozen=True, slots=True)
class Input:
    """The input of a job as it is now.

    Attributes
    ----------
    job
        The job of the ledger.
    files
        Its files that are what they were, by position.
    ids
        Gives the ids of the curves of a partition, as the input has them.
    problems
        What is not as it was.
    new
        Files that the job does not have.
    """

    job: Job
    files: dict[int, File]
    ids: Callable[[Partition], pa.Array]
    problems: tuple[str, ...]
    new: tuple[str, ...]

    def id_problem(self, sink: Sink, partition: Partition) -> str | None:
        """Compare the ids of a part with those of its rows in the input, one by one."""
        if any(s.file not in self.files for s in partition.slices):
            return None  # the files are not what they were: told, or known to the ledger
        found = joined(b.column(0) for b in sink.part_rows(partition.index, ["curve_id"]))
        expected = self.ids(partition).cast(found.type)
        if found.equals(expected):
            return None
        name = sink.part(partition.index).name
        if len(found) != len(expected):
            return f"{name} has {len(found):,} curves, its rows of the input {len(expected):,}"
        pairs = zip(found.to_pylist(), expected.to_pylist(), strict=True)
        row, (ours, theirs) = next((k, p) for k, p in enumerate(pairs) if p[0] != p[1])
        return f"{name} has curve {ours!r} in row {row}, where the input has {theirs!r}"


def open_input(job: Job, data: Paths) -> Input:
    """Compare the files of an input with those of a job.

    Raises
    ------
    DatasetError
        When the input cannot be read.
    """
    given = [data] if isinstance(data, str | PathLike) else list(data)
    if any(map(is_zarr, given)):
        from .arrays.recount import open_array_input  # noqa: PLC0415 - loads zarr

        return open_array_input(job, given)
    paths = find_files(given)
    hive = hive_types(map(hive_values, paths))
    footers = read_footers(paths, root_of(given), hive)
    here = {f.file.name: f.file for f in footers}
    same, selection = same_files(job, here), _selection(job, footers[0].schema, hive)

    def ids(partition: Partition) -> pa.Array:
        if job.numbered:
            return pa.array(np.arange(partition.curves) + partition.first_curve)
        found = joined(plain(b.column(0)) for b in read_rows(same, partition, selection))
        long = job.description["columns"]["layout"]["kind"] == "long"
        return found.take(pa.array(run_starts(found))) if long else found

    return Input(
        job=job,
        files=same,
        ids=ids,
        problems=tuple(file_problems(job, here)),
        new=tuple(name for name in here if name not in job.input),
    )


def same_files(job: Job, here: Mapping[str, File]) -> dict[int, File]:
    """Return the files that are what they were, by position; `here` by name."""
    places = {name: k for k, name in enumerate(job.input)}
    return {places[n]: f for n, f in here.items() if job.input.get(n) == [f.n_bytes, f.digest]}


def _selection(job: Job, schema: pa.Schema, hive: dict[str, pa.DataType]) -> Selection:
    """Return how the ids of the curves are read."""
    columns = job.description["columns"]
    text = (columns.get("where") or {}).get("text")
    where = parse_where(text, schema) if text else None
    name = columns["layout"]["curve_id"]
    return Selection(columns=(name,) if name else (), hive=hive, where=where)


def file_problems(job: Job, here: Mapping[str, File]) -> Iterator[str]:
    """Say which files are not what they were, unless the ledger knows."""
    for name, planned in job.input.items():
        known = job.kept.get(name, planned)
        now = [here[name].n_bytes, here[name].digest] if name in here else None
        if now in (known, planned):
            continue
        what = "is gone from the input" if now is None else "is not what was fitted: it has changed"
        yield f"{name} {what}; fit again with on_changed 'refit', or 'keep'"


def joined(arrays: Iterable[pa.Array]) -> pa.Array:
    """Return arrays as one."""
    found = list(arrays)
    return pa.concat_arrays(found) if found else pa.array([])
