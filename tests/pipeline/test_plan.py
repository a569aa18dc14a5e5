"""Partitions: enough of them, not too many, always the same."""

import json
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import manyfit
from manyfit.pipeline import plan as planning
from manyfit.pipeline.blocks import Block
from manyfit.pipeline.columns import Columns
from manyfit.pipeline.dataset import Dataset, open_dataset
from manyfit.pipeline.files import File
from manyfit.pipeline.layout import Layout
from manyfit.pipeline.plan import Plan, plan_dataset


def dataset_of(groups: list[tuple[int, int]], points: int = 50) -> Dataset:
    """Return a data set of row groups (file, curves), of which nothing is on disk."""
    rows = dict.fromkeys((file for file, _ in groups), 0)
    blocks = []
    for file, curves in groups:
        blocks.append(
            Block(
                file=file,
                row=rows[file],
                rows=curves,
                curves=curves,
                n_bytes=8 * points * curves,
                head=True,
            )
        )
        rows[file] += curves
    layout = Layout(kind="list", y=("y",), curve_id=None, id_type=pa.int64(), n_points=None)
    return Dataset(
        files=(),
        schema=pa.schema([]),
        differences={},
        columns=Columns(),
        layout=layout,
        blocks=tuple(blocks),
    )


GROUPS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(1, 2_000_000)), min_size=1, max_size=12
).map(sorted)


@given(GROUPS, st.integers(1, 200), st.none() | st.integers(1_000_000, 1_000_000_000))
def test_every_curve_is_in_one_partition(
    groups: list[tuple[int, int]], n_threads: int, partition_bytes: int | None
) -> None:
    dataset = dataset_of(groups)
    plan = plan_dataset(dataset, n_threads=n_threads, partition_bytes=partition_bytes)
    covered = [(s.file, s.start, s.stop) for p in plan.partitions for s in p.slices]
    ends: dict[int, int] = {}
    for file, start, stop in covered:
        assert start == ends.get(file, 0)
        assert stop > start
        ends[file] = stop
    totals: dict[int, int] = {}
    for file, curves in groups:
        totals[file] = totals.get(file, 0) + curves
    assert ends == totals
    assert [p.index for p in plan.partitions] == list(range(len(plan.partitions)))
    firsts = np.cumsum([0, *(p.curves for p in plan.partitions)])
    assert [p.first_curve for p in plan.partitions] == firsts[:-1].tolist()
    assert plan.n_curves == dataset.n_curves
    assert min(p.curves for p in plan.partitions) > 0


@given(GROUPS)
def test_a_plan_is_a_value(groups: list[tuple[int, int]]) -> None:
    plan = plan_dataset(dataset_of(groups), n_threads=3)
    assert plan == plan_dataset(dataset_of(groups), n_threads=3)
    assert pickle.loads(pickle.dumps(plan)) == plan
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


@given(GROUPS, st.integers(1_000_000, 1_000_000_000), st.randoms(use_true_random=False))
def test_what_is_taken_back_is_planned_again_and_nothing_else(
    groups: list[tuple[int, int]], partition_bytes: int, dice: Any
) -> None:
    dataset = dataset_of(groups)
    plan = plan_dataset(dataset, partition_bytes=partition_bytes)
    back = [p for p in plan.partitions if dice.random() < 0.4]
    left = tuple(p for p in plan.partitions if p not in back)
    retired = tuple(p.index for p in back)
    reduced = replace(plan, partitions=left, retired=retired)
    assert Plan.from_json(json.loads(json.dumps(reduced.to_json()))).retired == retired
    again = plan_dataset(
        dataset,
        partition_bytes=partition_bytes // dice.choice([1, 2, 3]),
        after=reduced,
        again={s.file for p in back for s in p.slices},
    )
    slices = {p.index: p.slices for p in again.partitions}
    assert all(slices[p.index] == p.slices for p in left)
    covered = sorted((s.file, s.start, s.stop) for found in slices.values() for s in found)
    whole = sorted((s.file, s.start, s.stop) for p in plan.partitions for s in p.slices)
    assert merged(covered) == merged(whole)
    indices = sorted([*slices, *again.retired])
    assert indices == list(range(len(indices)))
    assert again.n_curves == plan.n_curves


def merged(rows: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Join rows that follow each other; rows that come twice stay apart."""
    found: list[tuple[int, int, int]] = []
    for file, start, stop in rows:
        if found and found[-1][0] == file and found[-1][2] == start:
            found[-1] = (file, found[-1][1], stop)
        else:
            found.append((file, start, stop))
    return found


@pytest.mark.parametrize("groups", [[(0, 1_000_000)], [(0, 100_000)] * 10, [(0, 10)] * 100_000])
def test_every_thread_gets_several_partitions(groups: list[tuple[int, int]]) -> None:
    plan = plan_dataset(dataset_of(groups), n_threads=8)
    assert 8 * 2 <= len(plan.partitions) <= 8 * 2 * planning.PARTITIONS_PER_THREAD


def test_few_curves_are_not_divided_for_the_sake_of_threads() -> None:
    plan = plan_dataset(dataset_of([(0, 9_000)]), n_threads=64)
    assert len(plan.partitions) == 2


def test_few_curves_of_many_points_are_divided() -> None:
    plan = plan_dataset(dataset_of([(0, 100)], points=100_000), n_threads=4)
    assert len(plan.partitions) == 16


def test_row_groups_stay_whole_when_there_are_many() -> None:
    plan = plan_dataset(dataset_of([(0, 1_000_000)] * 100), n_threads=2)
    assert len(plan.partitions) == 100


@pytest.mark.parametrize(("groups", "local", "remote"), [(1, 16, 4), (2, 16, 4), (6, 18, 6)])
def test_row_groups_of_objects_are_divided_only_to_give_every_thread_one(
    groups: int, local: int, remote: int
) -> None:
    here = dataset_of([(0, 1_200_000 // groups)] * groups)
    files = [
        File(path=f"{at}/a.parquet", name="a", n_bytes=9, digest="d") for at in ("/x", "s3://x")
    ]
    plans = [plan_dataset(replace(here, files=(file,)), n_threads=4) for file in files]
    assert [len(plan.partitions) for plan in plans] == [local, remote]


def test_a_partition_is_bounded_however_much_there_is() -> None:
    plan = plan_dataset(dataset_of([(0, 10_000)] * 2000), n_threads=1)
    assert max(p.curves for p in plan.partitions) <= planning.PARTITION_CURVES
    assert max(p.n_bytes for p in plan.partitions) <= planning.PARTITION_BYTES
    assert len(plan.partitions) < 2000 / 4


def test_a_curve_is_never_divided() -> None:
    plan = plan_dataset(dataset_of([(0, 3)], points=10_000_000), n_threads=100)
    assert [p.curves for p in plan.partitions] == [1, 1, 1]


def test_a_plan_says_what_it_is(tmp_path: Path) -> None:
    table = pa.table({f"v{j}": np.zeros(100) for j in (1, 2, 10)})
    pq.write_table(table, tmp_path / "in.parquet")
    dataset = open_dataset(tmp_path / "in.parquet", Columns(y="v*"))
    assert dataset.layout.y == ("v1", "v2", "v10")
    text = str(plan_dataset(dataset, partition_bytes=1000))
    assert "3 partition(s) of 33 .. 34 curves, 100 curves and 0.0 MB of float64" in text
    assert "wide (a column a point), y: v1 .. v10 (3 columns), curves numbered" in text
    assert "100 curves in 1 file(s)" in str(dataset)


def test_what_the_model_gets_is_printed(tmp_path: Path) -> None:
    from manyfit.solver.model import Model
    from manyfit.solver.options import FitOptions

    made: dict[str, Any] = {"y": [[1.0, 2.0]], "s": [1.0], "p0_a": [1.0], "k": [2.0]}
    pq.write_table(pa.table(made), tmp_path / "in.parquet")
    columns = Columns(x=[0.0, 1.0], sigma="s")
    model = Model.from_function(lambda x, k, a: a * x * k, constants=["k"])
    binding = open_dataset(tmp_path, columns).bind(model, FitOptions())
    assert str(binding).splitlines() == [
        "layout     list (a list a row), y: y, sigma: s (one value a curve), curves numbered",
        "x          2 values, 0 .. 1",
        "k          k (one value a curve)",
        "p0 a       p0_a (one value a curve)",
    ]
    assert binding.columns == ("y", "k", "s", "p0_a")
    assert str(columns) == "y='y', x=(0.0, 1.0), sigma='s'"


def test_a_dataset_and_its_columns_are_values(tmp_path: Path) -> None:
    pq.write_table(pa.table({"y": [[1.0, 2.0]], "x": [[1.0, 2.0]]}), tmp_path / "in.parquet")
    dataset = open_dataset(tmp_path, Columns(x=np.array([0, 1]), sigma=0.5))
    assert pickle.loads(pickle.dumps(dataset)) == dataset
    assert dataset.columns == Columns(x=[0.0, 1.0], sigma=0.5)


def test_planning_and_tables_load_no_cluster() -> None:
    code = (
        "import sys, manyfit.pipeline.memory, manyfit.pipeline.plan, manyfit.pipeline.results\n"
        "assert not {'dask', 'distributed', 'pandas'} & set(sys.modules)\n"
        "import manyfit.pipeline.run\n"
        "assert not {'dask.dataframe', 'pandas'} & set(sys.modules)\n"
    )
    root = str(Path(str(manyfit.__file__)).parents[1])
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": root})
