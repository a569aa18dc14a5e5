"""Reading results back."""

import json
from os import PathLike
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from .ledger import Record
from .schema import METADATA_KEY
from .sink import Sink, read_json


def read_result(path: str | PathLike[str]) -> pa.Table:
    """Return the rows of all partitions that are committed, in the order of the input.

    Parameters
    ----------
    path
        An output directory of `fit_dataset`. For results larger than memory read its parts one by
        one, or with ``pyarrow.dataset``.

    Raises
    ------
    FileNotFoundError
        When there are no results.
    """
    return pa.concat_tables([pq.read_table(part) for part in _parts(path)])


def result_metadata(path: str | PathLike[str]) -> dict[str, Any]:
    """Return what results say of themselves: model, options, input, versions, meaning of codes.

    Raises
    ------
    FileNotFoundError
        When there are no results.
    """
    schema = pq.read_schema(_parts(path)[0])
    found: dict[str, Any] = json.loads(schema.metadata[METADATA_KEY])
    return found


def _parts(path: str | PathLike[str]) -> list[Path]:
    """Return the parts that the ledger knows, in order."""
    sink = Sink(Path(path))
    job = read_json(sink.job)
    if job is None:
        raise FileNotFoundError(f"{path} holds no results of manyfit: there is no {sink.job}")
    records = (Record.read(sink, i) for i in range(len(job["plan"]["partitions"])))
    done = [record for record in records if record is not None]
    if not done:
        raise FileNotFoundError(f"no partition of {path} is committed yet: run the job to its end")
    return [sink.part(record.index) for record in done]
