"""Arrays without a fit dimension: which curves they select, and what is kept of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import zarr

from manyfit.pipeline.columns import Columns
from manyfit.pipeline.dataset import open_dataset
from manyfit.pipeline.errors import DatasetError, JobMismatchError
from manyfit.pipeline.results import open_sink, read_result
from manyfit.pipeline.run import fit_dataset
from manyfit.pipeline.verify import verify_result

START = {"a": 1.0, "b": 1.0, "c": 1.0}
X = np.linspace(0.0, 4.0, 16)
TILE_BYTES = 100 * 16 * 8
WHERE = "intensity > 250 and plate != 'p7'"
NOT_SELECTED = -127

pytestmark = pytest.mark.usefixtures("small_tiles")


@pytest.fixture
def image(values: Any, tmp_path: Path) -> Path:
    """600 curves, 20 x 30, in six tiles of 10 x 10; intensity rises from 0 to 599."""
    path = tmp_path / "in.zarr"
    root = zarr.open_group(path, mode="w")

    def add(name: str, data: Any, *dims: str, chunks: Any = "auto", **attributes: Any) -> None:
        more: dict[str, Any] = {"dimension_names": dims, "attributes": attributes}
        root.create_array(name, data=np.asarray(data), chunks=chunks, **more)

    add("y", values.reshape(20, 30, 16), "row", "col", "time", chunks=(10, 10, 16))
    add("x", X, "time")
    add("intensity", np.arange(600, dtype="f4").reshape(20, 30), "row", "col", units="counts")
    add("plate", np.array([f"p{i}" for i in range(30)], dtype=np.dtypes.StringDType()), "col")
    counts = np.arange(600, dtype="i2").reshape(30, 20)
    add("counts", counts, "col", "row", _FillValue=7)
    packed = np.arange(20, dtype="u1")
    add("depth", packed, "row", scale_factor=0.5, add_offset=1.0, _FillValue=3, units="m")
    dirt = np.where(np.arange(600) % 3 == 0, np.nan, np.arange(600)).reshape(20, 30)
    add("dirt", dirt, "row", "col")
    add("well", np.arange(600)[::-1].reshape(20, 30), "row", "col")
    add("when", np.datetime64("2026-01-01", "s") + np.arange(20), "row")
    add("good", np.arange(20) > 3, "row")
    return path


def selected() -> Any:
    """Return which curves WHERE takes, by hand."""
    intensity = np.arange(600)
    return (intensity > 250) & (intensity % 30 != 7)


def run(image: Path, out: Path, model: Any, client: Any, **columns: Any) -> Any:
    given = Columns(axis="time", **columns)
    return fit_dataset(
        image, model, out, p0=START, cluster=client, columns=given, partition_bytes=TILE_BYTES
    )


def rows_of(out: Path) -> pa.Table:
    return read_result(out).sort_by("curve_id").combine_chunks()


@pytest.mark.parametrize("name", ["table", "maps.zarr"])
def test_curves_are_selected_by_arrays(
    name: str, image: Path, model: Any, client: Any, bits: Any, tmp_path: Path
) -> None:
    run(image, tmp_path / f"all {name}", model, client)
    summary = run(image, tmp_path / name, model, client, where=WHERE)
    wanted = rows_of(tmp_path / f"all {name}").filter(pa.array(selected()))
    assert (summary.curves, summary.fitted) == (338, 338)
    assert bits(rows_of(tmp_path / name)) == bits(wanted)
    assert verify_result(tmp_path / name).problems == ()
    again = run(image, tmp_path / name, model, "tcp://127.0.0.1:9", where=WHERE)
    assert (again.fitted, again.converged) == (0, 338)


@pytest.mark.parametrize(("last", "tiles"), [(310, 4), (255, 1)])
def test_maps_tell_what_was_not_selected(
    last: int, tiles: int, image: Path, model: Any, client: Any, tmp_path: Path
) -> None:
    where = f"intensity > 250 and intensity < {last}"
    dataset = open_dataset(image, Columns(axis="time", where=where))
    assert len({block.file for block in dataset.blocks}) == tiles
    run(image, tmp_path / "maps.zarr", model, client, where=where, keep=["well"])
    maps: Any = zarr.open_group(tmp_path / "maps.zarr", mode="r")
    intensity = np.arange(600).reshape(20, 30)
    inside = (intensity > 250) & (intensity < last)
    assert np.array_equal(maps["status"][:] == NOT_SELECTED, ~inside)
    assert (maps["status"][:][inside] > 0).all()
    for found in ("a", "b_stderr", "redchi"):
        assert np.array_equal(np.isfinite(maps[found][:]), inside)
    assert np.array_equal(np.isfinite(maps["cov"][:]).all(axis=(2, 3)), inside)
    assert np.array_equal(maps["well"][:], np.where(inside, intensity[::-1, ::-1], 0))
    meanings = maps["status"].attrs["flag_meanings"].split()
    assert dict(zip(maps["status"].attrs["flag_values"], meanings, strict=True))[-127] == (
        "NOT_SELECTED"
    )


@pytest.mark.parametrize("harm", ["record", "chunk"])
def test_a_selection_is_resumed(
    harm: str, image: Path, model: Any, client: Any, bits: Any, tmp_path: Path
) -> None:
    out = tmp_path / "maps.zarr"
    run(image, out, model, client, where=WHERE)
    whole, sink = bits(rows_of(out)), open_sink(out)
    index = max(k for k in range(6) if sink.record(k).exists())
    if harm == "record":
        sink.record(index).unlink()
    else:
        (out / "a" / "c" / "1" / "2").unlink()
    assert run(image, out, model, client, where=WHERE).fitted == 100
    assert bits(rows_of(out)) == whole
    with pytest.raises(JobMismatchError, match="Different: columns where"):
        run(image, out, model, client, where=WHERE.replace("250", "251"))


def test_what_is_kept_is_as_it_was(image: Path, model: Any, client: Any, tmp_path: Path) -> None:
    names = ["intensity", "plate", "counts", "depth", "dirt", "when", "good"]
    run(image, tmp_path / "out", model, client, keep=names, where=WHERE)
    found, n = rows_of(tmp_path / "out"), np.flatnonzero(selected())
    assert found.column_names[:10] == ["curve_id", "row_index", "col_index", *names]
    assert found["intensity"].to_pylist() == n.tolist()
    assert found["plate"].to_pylist() == [f"p{i % 30}" for i in n]
    assert found["counts"].to_pylist() == [20 * (i % 30) + i // 30 for i in n.tolist()]
    assert found["counts"].type == pa.int16()
    assert found["depth"].to_pylist() == [1.0 + 0.5 * (i // 30) for i in n.tolist()]
    assert np.array_equal(found["dirt"], np.where(n % 3 == 0, np.nan, n), equal_nan=True)
    assert found["dirt"].null_count == 0
    assert found["when"][0].as_py().isoformat() == "2026-01-01T00:00:08"
    assert found["good"].to_pylist() == [True] * len(n)


def test_what_is_kept_becomes_a_map(image: Path, model: Any, client: Any, tmp_path: Path) -> None:
    names = ["intensity", "plate", "depth", "good"]
    run(image, tmp_path / "maps.zarr", model, client, keep=names)
    maps: Any = zarr.open_group(tmp_path / "maps.zarr", mode="r")
    assert np.array_equal(maps["intensity"][:], np.arange(600).reshape(20, 30))
    assert maps["plate"][:][4].tolist() == [f"p{i}" for i in range(30)]
    depth = np.where(np.arange(20) == 3, np.nan, 1 + 0.5 * np.arange(20))
    assert np.array_equal(maps["depth"][:], np.tile(depth[:, None], 30), equal_nan=True)
    assert np.array_equal(maps["good"][:, 0], np.arange(20) > 3)
    assert dict(maps["intensity"].attrs) == {"units": "counts"}
    assert dict(maps["depth"].attrs) == {"units": "m"}  # and no scale: its numbers are as read
    kept = rows_of(tmp_path / "maps.zarr")
    assert kept["plate"].to_pylist() == [f"p{i % 30}" for i in range(600)]


@pytest.mark.parametrize(
    ("where", "taken"),
    [
        ("dirt != 1", lambda n: (n % 3 != 0) & (n != 1)),
        ("dirt is None", lambda n: n % 3 == 0),
        ("counts >= 0", lambda n: 20 * (n % 30) + n // 30 != 7),
        ("depth <= 3 and good", lambda n: n // 30 == 4),
        ("depth is None", lambda n: n // 30 == 3),
        ("when >= '2026-01-01T00:00:15'", lambda n: n // 30 >= 15),
    ],
)
def test_what_is_missing_is_null(where: str, taken: Any, image: Path) -> None:
    dataset = open_dataset(image, Columns(axis="time", where=where))
    assert dataset.n_curves == np.count_nonzero(taken(np.arange(600)))


def test_selected_curves_keep_their_names(
    image: Path, model: Any, client: Any, tmp_path: Path
) -> None:
    run(image, tmp_path / "out", model, client, where="intensity < 5", curve_id="well")
    assert rows_of(tmp_path / "out")["curve_id"].to_pylist() == [595, 596, 597, 598, 599]
    found = verify_result(tmp_path / "out", image)
    assert (found.problems, found.curves) == ((), 5)


def test_a_condition_that_takes_nothing_is_refused(image: Path) -> None:
    with pytest.raises(DatasetError, match=r"no curve of .*in.zarr is taken by where: inten"):
        open_dataset(image, Columns(axis="time", where="intensity > 1000"))


def test_a_condition_that_cannot_be_read_is_told(image: Path) -> None:
    chunk = image / "intensity" / "c" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:40])
    with pytest.raises(DatasetError, match=r"where: array 'intensity' of .* cannot be read"):
        open_dataset(image, Columns(axis="time", where="intensity > 10"))


def test_maps_refuse_what_they_cannot_hold(
    image: Path, model: Any, client: Any, tmp_path: Path
) -> None:
    out = tmp_path / "maps.zarr"
    with pytest.raises(ValueError, match=r"'counts' holds int16 with values that stand for miss"):
        run(image, out, model, client, keep="counts")
    coordinate = zarr.open_array(image, path="y", mode="r+")
    coordinate.attrs["coordinates"] = "depth"
    with pytest.raises(ValueError, match=r"keep: 'depth' is a coordinate, and in the maps already"):
        run(image, out, model, client, keep="depth")
    assert not out.exists()


def test_a_result_is_compared_with_its_arrays(
    image: Path, model: Any, client: Any, tmp_path: Path
) -> None:
    out = tmp_path / "maps.zarr"
    run(image, out, model, client, where=WHERE, keep="well")
    assert str(verify_result(out, image)).endswith("as the ledger says")
    y: Any = zarr.open_array(image, path="y", mode="r+")
    y[12, 3] = 0.0
    well: Any = zarr.open_array(image, path="well", mode="r+")
    well[0, 0] = -1
    found = verify_result(out, image)
    assert len(found.problems) == 2
    assert "y [row 10:20, col 0:10] is not what was fitted" in found.problems[0]
    assert "array well is not what was fitted with: it has changed" in found.problems[1]


def test_curves_of_other_names_are_found(
    image: Path, model: Any, client: Any, tmp_path: Path
) -> None:
    import json

    import pyarrow.parquet as pq

    out = tmp_path / "out"
    run(image, out, model, client)
    sink = open_sink(out)
    rows = pq.read_table(sink.part(2))
    wrong = pc.add(rows["curve_id"], 600).cast(pa.int64())
    pq.write_table(rows.set_column(0, "curve_id", wrong), sink.part(2))
    now = {"n_bytes": sink.part_bytes(2), "part_digest": sink.part_digest(2)}
    sink.record(2).write_text(json.dumps(json.loads(sink.record(2).read_text()) | now))
    assert verify_result(out).problems == ()
    (problem,) = verify_result(out, image).problems
    assert "has curve 620 in row 0, where the input has 20" in problem


def test_arrays_are_not_compared_with_rows(
    image: Path, layouts: Any, values: Any, model: Any, client: Any, tmp_path: Path
) -> None:
    path = layouts.write("list", values[:20])
    fit_dataset(path, model, tmp_path / "out", p0=START, cluster=client)
    with pytest.raises(DatasetError, match=r"in.zarr is Zarr, but what was fitted are files"):
        verify_result(tmp_path / "out", image)
