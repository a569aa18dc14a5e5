"""Long rows: a curve is where its rows are, whatever row groups, batches and files do."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from manyfit.pipeline import scan
from manyfit.pipeline.dataset import Dataset, open_dataset
from manyfit.pipeline.errors import DatasetError
from manyfit.pipeline.memory import fit_table
from manyfit.pipeline.plan import plan_dataset
from manyfit.pipeline.rows import whole_curves

LENGTHS = st.lists(st.integers(1, 9), min_size=1, max_size=12)


def long_rows(lengths: list[int], ids: Any = None) -> pa.Table:
    names = np.arange(len(lengths)) if ids is None else np.asarray(ids)
    values = np.arange(sum(lengths), dtype=float)
    return pa.table({"curve_id": np.repeat(names, lengths), "x": values, "y": values})


def saved(folder: Path, table: pa.Table, rows: int, name: str = "in.parquet") -> Path:
    path = folder / name
    pq.write_table(table, path, row_group_size=rows)
    return path


@given(LENGTHS, st.lists(st.integers(0, 110), max_size=8))
def test_batches_that_end_anywhere_give_whole_curves(lengths: list[int], cuts: list[int]) -> None:
    table = long_rows(lengths)
    edges = sorted({0, len(table), *(c for c in cuts if c < len(table))})
    batches = [table.slice(start, stop - start).to_batches()[0] for start, stop in pairwise(edges)]
    found = []
    for rows, starts in whole_curves(batches, "curve_id"):
        ends = [*starts[1:], rows.num_rows]
        values = rows.column("y").to_pylist()
        found += [values[start:stop] for start, stop in zip(starts, ends, strict=True)]
    everything = list(range(sum(lengths)))
    last = np.cumsum(lengths)
    assert found == [everything[e - n : e] for e, n in zip(last, lengths, strict=True)]


def check_plan(dataset: Dataset, lengths: list[int], partition_bytes: int) -> None:
    """Every partition begins and ends with a curve, and together they are all rows once."""
    edges = dict(zip(np.concatenate([[0], np.cumsum(lengths)]).tolist(), range(99), strict=False))
    row = curve = 0
    for partition in plan_dataset(dataset, partition_bytes=partition_bytes).partitions:
        (piece,) = partition.slices
        assert piece.start == row
        assert partition.first_curve == curve
        row, curve = piece.stop, curve + partition.curves
        assert edges[row] == curve
    assert (row, curve) == (sum(lengths), len(lengths))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(
    LENGTHS, st.integers(1, 20), st.integers(1, 200), st.sampled_from(["up", "down", "no order"])
)
def test_partitions_begin_where_curves_begin(
    tmp_path: Path, lengths: list[int], rows: int, partition_bytes: int, order: str
) -> None:
    names = {"up": np.arange(99), "down": -np.arange(99), "no order": np.arange(99) * 5 % 99}
    table = long_rows(lengths, names[order][: len(lengths)])
    dataset = open_dataset(saved(tmp_path, table, rows))
    assert dataset.n_curves == len(lengths)
    check_plan(dataset, lengths, partition_bytes)


def test_marks_within_a_row_group_let_it_be_divided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan, "MARK_ROWS", 10)
    lengths = [3, 8, 1, 20, 2, 2, 2, 9]
    dataset = open_dataset(saved(tmp_path, long_rows(lengths), 1000))
    assert [b.row for b in dataset.blocks] == [0, 11, 32]
    check_plan(dataset, lengths, 80)


@pytest.mark.parametrize("rows", [1, 3, 4, 1000])
@pytest.mark.parametrize(
    "ids",
    [[1, 2, 1], [0, 1, 2, 0], [5, 4, 5], ["b", "a", "c", "b"], [1, 2, 3, 2, 1]],
    ids=str,
)
def test_an_id_that_comes_back_is_refused(ids: list[Any], rows: int, tmp_path: Path) -> None:
    table = long_rows([2] * len(ids), ids)
    message = (
        r"curve id .* comes back after other curves: at .*row \d+ and again at .*sort the rows"
    )
    with pytest.raises(DatasetError, match=message):
        open_dataset(saved(tmp_path, table, rows))
    with pytest.raises(DatasetError, match=message):
        fit_table(table, lambda x, a: a * x)


def test_where_an_id_comes_back_is_told(tmp_path: Path) -> None:
    path = saved(tmp_path, long_rows([2, 3, 2, 4], [7, 8, 9, 8]), 4)
    with pytest.raises(DatasetError, match=r"curve id 8 .* row 2 and again at .* row 7\."):
        open_dataset(path)


def test_the_same_id_in_two_files_is_refused(tmp_path: Path) -> None:
    saved(tmp_path, long_rows([2, 2], [1, 2]), 10, "a.parquet")
    saved(tmp_path, long_rows([2, 2], [2, 3]), 10, "b.parquet")
    with pytest.raises(DatasetError, match=r"curve id 2 .*a.parquet, row 2 and .*b.parquet, row 0"):
        open_dataset(tmp_path)
    assert open_dataset(tmp_path / "a.parquet").n_curves == 2


def test_ids_in_no_order_are_taken_if_none_comes_back(tmp_path: Path) -> None:
    ids = ["curve 9", "curve 10", "curve 11", "a"]
    dataset = open_dataset(saved(tmp_path, long_rows([3, 4, 5, 6], ids), 5))
    assert dataset.n_curves == 4


def test_a_null_id_is_refused(tmp_path: Path) -> None:
    table = pa.table({"curve_id": [1, 1, None, 2], "x": [1.0] * 4, "y": [1.0] * 4})
    with pytest.raises(DatasetError, match=r"curve_id is null at .*in.parquet, row 2: every row"):
        open_dataset(saved(tmp_path, table, 2))
    with pytest.raises(DatasetError, match=r"curve_id is null at row 2"):
        fit_table(table, lambda x, a: a * x)


def test_a_curve_of_many_row_groups_is_one_curve(client: Any, tmp_path: Path) -> None:
    from manyfit.pipeline.results import read_result
    from manyfit.pipeline.run import fit_dataset

    lengths = [5, 3000, 7]
    path = saved(tmp_path, long_rows(lengths), 100)
    dataset = open_dataset(path)
    assert [(b.row, b.rows) for b in dataset.blocks] == [(0, 3005), (3005, 7)]
    fit_dataset(dataset, lambda x, a, b: a + b * x, tmp_path / "out", cluster=client)
    assert read_result(tmp_path / "out").column("n_points").to_pylist() == lengths
