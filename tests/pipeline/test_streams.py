"""Whatever gives an Arrow stream is fitted, and its batches may be of any size."""

import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manyfit.pipeline import streams
from manyfit.pipeline.columns import Columns
from manyfit.pipeline.errors import DatasetError
from manyfit.pipeline.memory import fit_table
from manyfit.pipeline.streams import sized
from manyfit.solver.batch import fit_curves

KINDS = ("list", "long", "wide")
START = {"a": 1.0, "b": 1.0, "c": 1.0}


def as_polars(table: pa.Table, friend: Callable[[str], Any]) -> Any:
    return friend("polars").from_arrow(table)


def as_pandas(table: pa.Table, friend: Callable[[str], Any]) -> Any:
    friend("pandas")
    return table.to_pandas()


def as_relation(table: pa.Table, friend: Callable[[str], Any]) -> Any:
    return friend("duckdb").from_arrow(table)


def as_reader(table: pa.Table, _: Callable[[str], Any]) -> Any:
    return table.to_reader(max_chunksize=7)


def as_batch(table: pa.Table, _: Callable[[str], Any]) -> Any:
    return table.combine_chunks().to_batches()[0]


@pytest.mark.parametrize("made", [as_polars, as_pandas, as_relation, as_reader, as_batch])
@pytest.mark.parametrize("kind", KINDS)
def test_what_gives_a_stream_gives_the_same_bits(
    kind: str, made: Any, layouts: Any, values: Any, model: Any, bits: Any, friend: Any
) -> None:
    table, columns = layouts.table(kind, values[:200]), layouts.columns(kind)
    found = fit_table(made(table, friend), model, columns=columns, p0=START)
    assert isinstance(found, pa.Table)
    assert found["curve_id"].to_pylist() == [3 * i for i in range(200)]
    wanted = fit_curves(model, np.linspace(0.0, 4.0, 16), values[:200], p0=[1.0, 1.0, 1.0])
    assert np.array_equal(found["a"], wanted.params[:, 0])
    assert bits(found) == bits(fit_table(table, model, columns=columns, p0=START))


@pytest.mark.parametrize("rows", [1, 5, 16, 333, 10_000])
def test_long_rows_may_be_cut_anywhere(
    rows: int, layouts: Any, values: Any, model: Any, bits: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = layouts.table("long", values[:60])
    wanted = fit_table(table, model, p0=START)
    assert bits(fit_table(table.to_reader(rows), model, p0=START)) == bits(wanted)
    monkeypatch.setattr(streams, "BATCH_BYTES", 40 * 8)
    assert bits(fit_table(table.to_reader(rows), model, p0=START)) == bits(wanted)


def test_names_come_as_views_or_dictionaries_and_leave_as_texts(
    layouts: Any, values: Any, model: Any, bits: Any, friend: Any
) -> None:
    pl = friend("polars")
    names = [f"curve {i}" for i in range(40)]
    for kind, repeat in (("list", 1), ("long", 16)):
        ids = np.repeat(names, repeat).tolist()
        table = layouts.table(kind, values[:40]).set_column(0, "curve_id", pa.array(ids))
        columns = Columns(where="curve_id != 'curve 7'", keep=() if repeat > 1 else ("plate",))
        table = table.append_column("plate", pa.array([i[-1] for i in ids]))
        wanted = fit_table(table, model, columns=columns, p0=START)
        assert wanted["curve_id"].to_pylist() == names[:7] + names[8:]
        frame = pl.from_arrow(table)
        assert fit_table(frame, model, columns=columns, p0=START).equals(wanted)
        frame = frame.with_columns(pl.col("curve_id").cast(pl.Categorical))
        plain = Columns(keep=columns.keep)
        found = fit_table(frame, model, columns=plain, p0=START)
        assert found["curve_id"].to_pylist() == names
        assert bits(found) == bits(fit_table(table, model, columns=plain, p0=START))


def test_batches_with_dictionaries_of_their_own_are_put_together(
    layouts: Any, values: Any, model: Any, bits: Any
) -> None:
    table = layouts.table("long", values[:40])
    batches = []
    for k in range(4):
        part = table.slice(160 * k, 160)
        names = pa.array([f"c{i}" for i in part["curve_id"].to_pylist()]).dictionary_encode()
        batches += part.set_column(0, "curve_id", names).to_batches()
    found = fit_table(
        pa.RecordBatchReader.from_batches(batches[0].schema, batches), model, p0=START
    )
    assert found["curve_id"].to_pylist() == [f"c{3 * i}" for i in range(40)]
    plain = fit_table(table, model, p0=START)
    assert bits(found.drop_columns("curve_id")) == bits(plain.drop_columns("curve_id"))


@pytest.mark.parametrize("kind", ["ListViewArray", "LargeListViewArray"])
def test_list_views_are_lists(kind: str, layouts: Any, values: Any, model: Any, bits: Any) -> None:
    table = layouts.table("list", values[:30])
    flat = pa.array(values[29::-1].reshape(-1))
    offsets, sizes = pa.array(np.arange(29, -1, -1) * 16), pa.array(np.full(30, 16))
    whole = pa.int64() if kind.startswith("Large") else pa.int32()
    views = getattr(pa, kind).from_arrays(offsets.cast(whole), sizes.cast(whole), flat)
    seen = table.set_column(2, "y", views)
    wanted = fit_table(table, model, p0=START)
    for source in (seen, seen.slice(3)):
        found = fit_table(source, model, p0=START)
        assert bits(found) == bits(wanted.slice(30 - len(source)))
    nulls = pa.array([None, values[0].tolist()], views.type)
    found = fit_table(
        pa.table({"y": nulls}), model, columns=Columns(x=table["x"][0].as_py()), p0=START
    )
    assert found["status"][0].as_py() == -1
    assert found["a"][1] == wanted["a"][0]


def test_lists_of_structs_of_polars_and_duckdb(
    layouts: Any, values: Any, model: Any, bits: Any, friend: Any
) -> None:
    table = layouts.table("list", values[:30])
    points = [
        [{"x": u, "y": v} for u, v in zip(x, y, strict=True)]
        for x, y in zip(table["x"].to_pylist(), table["y"].to_pylist(), strict=True)
    ]
    nested = pa.table({"curve_id": table["curve_id"], "points": points})
    wanted = bits(fit_table(table, model, p0=START))
    for made in (as_polars, as_relation):
        assert bits(fit_table(made(nested, friend), model, p0=START)) == wanted


def test_a_query_of_duckdb_is_fitted_as_it_comes(
    layouts: Any, values: Any, model: Any, bits: Any, friend: Any
) -> None:
    long = layouts.table("long", values[:50])
    connection = friend("duckdb").connect()
    connection.register("points", long)
    relation = connection.sql("select * from points where curve_id >= 30 order by curve_id, x")
    wanted = fit_table(long.filter(pa.compute.field("curve_id") >= 30), model, p0=START)
    assert bits(fit_table(relation, model, p0=START)) == bits(wanted)


@pytest.mark.parametrize("rows", [1, 2, 3, 100])
@pytest.mark.parametrize(
    ("ids", "place"),
    [
        ([1, 2, 3, 4, 5, 6, 1], "row 0 and again at row 12"),
        ([3, 1, 2, 7, 5, 1], "row 2 and again at row 10"),
        ([9, 8, 7, 8], "row 2 and again at row 6"),
        (["b", "a", "c", "a"], "row 2 and again at row 6"),
    ],
)
def test_an_id_that_comes_back_later_is_refused(
    ids: list[Any], place: str, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pa.table(
        {
            "curve_id": np.repeat(ids, 2),
            "x": np.ones(2 * len(ids)),
            "y": np.ones(14)[: 2 * len(ids)],
        }
    )
    monkeypatch.setattr(streams, "BATCH_BYTES", 8 * rows)
    with pytest.raises(DatasetError, match=f"comes back after other curves: at {place}"):
        fit_table(table.to_reader(rows), lambda x, a: a * x)


def test_ids_in_no_order_are_fitted_if_none_comes_back(values: Any, model: Any) -> None:
    ids = np.repeat(np.arange(40) * 17 % 40, 16)
    table = pa.table(
        {"curve_id": ids, "x": np.tile(np.linspace(0, 4, 16), 40), "y": values[:40].reshape(-1)}
    )
    found = fit_table(table.to_reader(50), model, p0=START)
    assert found["curve_id"].to_pylist() == ids[::16].tolist()
    wanted = fit_curves(model, np.linspace(0.0, 4.0, 16), values[:40], p0=[1.0, 1.0, 1.0])
    assert np.array_equal(found["b"], wanted.params[:, 1])


def test_a_null_id_late_in_a_stream_is_refused() -> None:
    table = pa.table({"curve_id": [1, 1, 2, 2, None], "x": [1.0] * 5, "y": [1.0] * 5})
    with pytest.raises(DatasetError, match="curve_id is null at row 4"):
        fit_table(table.to_reader(2), lambda x, a: a * x)


def test_what_goes_wrong_in_a_stream_is_heard(layouts: Any, values: Any, model: Any) -> None:
    table = layouts.table("list", values[:30])

    def batches() -> Iterator[pa.RecordBatch]:
        yield from table.slice(0, 20).to_batches()
        raise OSError("the cable is out")

    reader = pa.RecordBatchReader.from_batches(table.schema, batches())
    with pytest.raises(OSError, match="the cable is out"):
        fit_table(reader, model, p0=START)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"y": [[1.0]]},
            r"got a dict, which gives no Arrow stream.*pyarrow.table\(\{...\}\)",
        ),
        ("in.parquet", r"got a str, .*: fit_dataset fits files"),
        (Path("in.parquet"), r"got a pathlib.PosixPath, .*: fit_dataset fits files"),
        (np.ones((2, 3)), r"got a numpy.ndarray, .*: fit_curves fits arrays"),
        ([1.0], r"got a list, .*: make it a pyarrow.Table"),
        (
            pa.chunked_array([[1.0]]),
            r"whose Arrow stream is no table .*: give a table",
        ),
    ],
)
def test_what_is_no_table_is_refused_with_the_way_out(given: Any, message: str, model: Any) -> None:
    with pytest.raises(DatasetError, match=message):
        fit_table(given, model)


def test_lazy_frames_are_refused_with_the_way_out(model: Any, friend: Any) -> None:
    with pytest.raises(DatasetError, match=r"polars.LazyFrame.* call its collect\(\) first"):
        fit_table(friend("polars").LazyFrame({"y": [1.0]}), model)
    pd, dd = friend("pandas"), friend("dask.dataframe")
    frame = dd.from_pandas(pd.DataFrame({"y": [1.0]}))
    with pytest.raises(DatasetError, match="fit_dataframe fits dataframes of Dask"):
        fit_table(frame, model)
    with pytest.raises(DatasetError, match=r"pandas.DataFrame, whose Arrow stream is no table"):
        fit_table(pd.DataFrame({"y": [[1.0], "a"]}), model)


@given(
    st.lists(st.lists(st.integers(0, 40), max_size=12), max_size=8),
    st.integers(8, 400),
    st.integers(1, 30),
)
def test_batches_are_resized_without_loss(
    lengths: list[list[int]], batch_bytes: int, most_rows: int
) -> None:
    kind = pa.list_(pa.float64())
    batches = [
        pa.record_batch({"y": pa.array([[1.0] * n for n in part], kind)}) for part in lengths
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams, "BATCH_BYTES", batch_bytes)
        patch.setattr(streams, "MOST_ROWS", most_rows)
        made = list(sized(batches, ["y"]))
    rows = [row for batch in made for row in batch["y"].to_pylist()]
    assert rows == [[1.0] * n for part in lengths for n in part]
    assert all(batch.num_rows <= 2 * most_rows for batch in made)
    for batch in (b for b in made[:-1] if {len(row) for row in b["y"].to_pylist()} == {40}):
        assert 320 * batch.num_rows >= batch_bytes / 3 or batch.num_rows >= most_rows / 3


MEMORY = """
    import sys
    from pathlib import Path
    import numpy as np, pyarrow as pa
    from manyfit import fit_table, Columns, Model
    kind, n_batches = sys.argv[1], int(sys.argv[2])
    x = np.arange(200.0)
    schema = pa.schema([("curve_id", pa.int64()), ("y", pa.list_(pa.float64()))])
    if kind == "long":
        schema = pa.schema([("curve_id", pa.int64()), ("x", pa.float64()), ("y", pa.float64())])

    def batches():
        rng = np.random.default_rng(0)
        for k in range(n_batches):
            y, ids = rng.normal(size=10_000 * 200), np.arange(10_000) + 10_000 * k
            lists = pa.ListArray.from_arrays(np.arange(0, y.size + 1, 200, dtype="i4"), y)
            arrays = [ids, lists]
            if kind == "long":
                arrays = [np.repeat(ids, 200), np.tile(x, 10_000), y]
            yield pa.record_batch([pa.array(a) for a in arrays], schema=schema)

    columns = Columns(x="x" if kind == "long" else x)
    found = fit_table(
        pa.RecordBatchReader.from_batches(schema, batches()),
        Model.from_expression("a + b*x"), columns=columns,
    )
    assert found.num_rows == 10_000 * n_batches
    lines = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    print(peak, found.nbytes / 2**20)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("kind", ["list", "long"])
def test_of_a_stream_only_a_batch_and_the_result_are_held(kind: str) -> None:
    """Of 16 MB batches: 64 MB of values in all, then 512 MB."""
    peaks = {}
    for n_batches in (4, 32):
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(MEMORY), kind, str(n_batches)],
            capture_output=True,
            text=True,
            check=True,
        )
        peak, result = map(float, done.stdout.split())
        peaks[n_batches] = peak - result
    print(f"peak less the result, MB, {kind}: {peaks}")
    assert peaks[32] < peaks[4] + 60
