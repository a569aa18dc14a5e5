"""Reading results back."""

import json
from typing import Any

import pyarrow as pa

from .arrays.sink import MapSink, sink_of
from .ledger import Job
from .places import AnyPlace, place_of
from .schema import METADATA_KEY
from .sink import Sink


def read_result(path: AnyPlace) -> pa.Table:
    """Return the rows of all partitions that are committed, in the order of the input.

    Parameters
    ----------
    path
        An output directory of `fit_dataset`, or its URL. For results larger than memory read its
        parts one by one, or with ``pyarrow.dataset``.

    Raises
    ------
    FileNotFoundError
        When there are no results.
    """
    sink, done = _committed(path)
    tables = [pa.Table.from_batches(sink.part_rows(i), sink.part_schema(i)) for i in done]
    return pa.concat_tables(tables)


def result_metadata(path: AnyPlace) -> dict[str, Any]:
    """Return what results say of themselves: model, options, input, versions, meaning of codes.

    Raises
    ------
    FileNotFoundError
        When there are no results.
    """
    sink, done = _committed(path)
    schema = sink.part_schema(done[0])
    found: dict[str, Any] = json.loads(schema.metadata[METADATA_KEY])
    return found


def _committed(path: AnyPlace) -> tuple[Sink, list[int]]:
    """Return a sink, and the indices of the partitions that its ledger knows, in order."""
    sink = open_sink(path)
    done = [record.index for record in open_job(sink).committed(sink)]
    if not done:
        raise FileNotFoundError(f"no partition of {path} is committed yet: run the job to its end")
    return sink, done


def open_sink(path: AnyPlace) -> Sink:
    """Return the sink that an output directory, or its URL, is, whatever its name is now."""
    maps = MapSink(place_of(path))
    return maps if maps.rows.exists() else sink_of(maps.path)


def open_job(sink: Sink) -> Job:
    """Return the job of an output directory.

    Raises
    ------
    FileNotFoundError
        When there is none.
    JobMismatchError
        When its ledger is of another version.
    """
    job = Job.read(sink)
    if job is None:
        raise FileNotFoundError(f"{sink} holds no results of manyfit: there is no {sink.job}")
    return job
