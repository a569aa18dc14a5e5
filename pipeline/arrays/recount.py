"""Whether a result has a row for each curve of its arrays, and these are what was planned."""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from ..columns import Columns
from ..dataset import Dataset
from ..errors import DatasetError
from ..ledger import Job
from ..plan import Partition
from ..recount import Input, file_problems, joined, same_files
from .binding import stamp_of
from .dataset import open_arrays
from .grid import Grid
from .reading import running_numbers
from .single import column_of, taken_curves
from .store import Arrays


def open_array_input(job: Job, paths: Sequence[str | os.PathLike[str]]) -> Input:
    """Compare the arrays of a group with those of a job.

    Raises
    ------
    DatasetError
        When the input cannot be read, or the job was of files.
    """
    known = job.description["columns"]
    if known["layout"].get("grid") is None:
        raise DatasetError(
            f"the input {paths[0]} is Zarr, but what was fitted are files: {next(iter(job.input))} "
            "among them. Name these"
        )
    was = Grid.from_json(known["layout"]["grid"])
    dataset = open_arrays(list(paths), _columns(known, was))
    grid = dataset.layout.grid
    assert grid is not None
    arrays = Arrays(dataset.files[0].path)
    here = {file.name: file for file in dataset.files}
    ids = dataset.layout.curve_id

    def ids_of(partition: Partition) -> pa.Array:
        return joined(_ids(arrays, grid, ids, dataset, piece.file) for piece in partition.slices)

    return Input(
        job=job,
        files=same_files(job, here),
        ids=ids_of,
        problems=(*file_problems(job, here), *_array_problems(was, arrays)),
        new=tuple(name for name in here if name not in job.input),
    )


def _columns(known: Mapping[str, Any], was: Grid) -> Columns:
    """Return what has to be named to find the curves that a job has."""
    return Columns(
        y=known["layout"]["y"][0],
        curve_id=known["layout"]["curve_id"],
        where=(known.get("where") or {}).get("text"),
        axis=[str(k) for k in was.fit],
    )


def _array_problems(was: Grid, arrays: Arrays) -> Iterator[str]:
    """Find arrays that feed the model, other than y, and are not what they were."""
    for name, placed in was.arrays.items():
        if placed.stamp and (name not in arrays or stamp_of(arrays, was, name) != placed.stamp):
            yield (
                f"array {name} is not what was fitted with: it has changed; fit again, into "
                "another output directory"
            )


def _ids(arrays: Arrays, grid: Grid, name: str | None, dataset: Dataset, tile: int) -> pa.Array:
    """Return the ids of the curves of a tile that are taken."""
    region = grid.region(tile)
    if name is None:
        ids = pa.array(running_numbers(grid, region))
    else:
        ids = column_of(arrays, grid, name, region, dataset.layout.id_type)
    taken = taken_curves(arrays, grid, dataset.where, tile)
    return ids if taken is None else ids.take(pa.array(taken))
