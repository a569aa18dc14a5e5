"""What is wrong is said at once: what was given, what was expected, what to do."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manyfit.pipeline.columns import Columns
from manyfit.pipeline.dataset import open_dataset
from manyfit.pipeline.errors import DatasetError
from manyfit.pipeline.memory import fit_table
from manyfit.pipeline.plan import plan_dataset
from manyfit.pipeline.run import fit_dataset
from manyfit.solver.model import Model
from manyfit.solver.options import FitOptions

Y = pa.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
POINT = pa.array([1.0, 2.0])


def line(x: Any, a: Any, b: Any) -> Any:
    return a + b * x


def saved(folder: Path, name: str = "in.parquet", **columns: Any) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"y": 3.0}, r"y must name a column or columns, got 3.0"),
        ({"y": ["a", 1]}, r"y must be the name of a column, names of columns or numbers"),
        ({"x": np.zeros((2, 3))}, r"x must be one-dimensional.* got shape \(2, 3\)"),
        ({"x": []}, r"x must be one-dimensional and not empty"),
        ({"x": {"u": object()}}, r"x\['u'\] must be the name of a column"),
        ({"sigma": np.zeros((1, 1))}, r"sigma must be one-dimensional"),
    ],
)
def test_columns_are_names_or_numbers(given: dict[str, Any], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        Columns(**given)


@pytest.mark.parametrize(
    ("table", "columns", "message"),
    [
        ({"z": Y}, {}, r"y: there is no column 'y'; there are z"),
        ({"signal": Y}, {"y": "signl"}, r"did you mean 'signal'\? there are signal"),
        ({"y": Y}, {"y": "y_*"}, r"y: no column matches 'y_\*'; there are y"),
        ({"y": Y}, {"y": ["y", "y"]}, r"names the column 'y' twice"),
        ({"y": pa.array(["a", "b"])}, {}, r"column 'y' is of type string; expected numbers"),
        ({"y": pa.array([["a"], ["b"]])}, {}, r"expected a list of numbers: cast it"),
        ({"y": POINT}, {}, r"nothing says to which curve it belongs"),
        ({"y": POINT, "curve_id": POINT}, {}, r"for long rows expected integers or strings"),
        ({"y": Y, "curve_id": Y}, {}, r"type list<.*expected a plain value"),
        ({"y": Y}, {"curve_id": "id"}, r"curve_id: there is no column 'id'"),
        ({"y": Y}, {"sigma": "s"}, r"sigma: there is no column 's'"),
        (
            {"y": Y, "s": pa.array(["a", "b"])},
            {"sigma": "s"},
            r"sigma: column 's' is of type string",
        ),
        (
            {"y": Y, "s": pa.array([["a"], []])},
            {"sigma": "s"},
            r"sigma: column 's'.*list of numbers",
        ),
        ({"y": Y, "s": Y, "t": Y}, {"sigma": ["s", "t"]}, r"sigma names 2 columns .*'s'"),
        (
            {"y_0": POINT, "y_1": POINT, "s_0": POINT},
            {"y": "y_*", "sigma": "s_*"},
            r"sigma has 1 columns \(s_0\), but y has 2 \(y_0 .. y_1 \(2 columns\)\)",
        ),
        (
            {"y": Y.cast(pa.list_(pa.float64(), 3)), "s": POINT.cast("int64")},
            {"sigma": [1.0, 2.0]},
            r"sigma has 2 values, but each curve has 3 points",
        ),
        (
            {"y": POINT, "curve_id": pa.array([1, 2])},
            {"sigma": [1.0, 2.0]},
            r"sigma is given as 2 numbers, but the data are long rows",
        ),
    ],
)
def test_a_dataset_is_checked_when_it_is_opened(
    table: dict[str, Any], columns: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(DatasetError, match=message):
        open_dataset(saved(tmp_path, **table), Columns(**columns))
    with pytest.raises(DatasetError, match=message):
        fit_table(pa.table(table), line, columns=Columns(**columns))


@pytest.mark.parametrize(
    ("table", "columns", "message"),
    [
        ({}, {}, r"no column for the predictor\(s\) x of model 'line'"),
        ({}, {"x": {"t": [1.0]}}, r"predictors \('x',\), but x names \('t',\)"),
        ({}, {"x": "t"}, r"x: there is no column 't'"),
        ({"x": pa.array([["a"], ["b"]])}, {}, r"x: column 'x'.* expected a list of numbers"),
        ({"x": pa.array([b"a", b"b"])}, {}, r"x: column 'x' is of type binary"),
        ({"x": POINT}, {"constants": {"k": 1.0}}, r"has no constant \['k'\]"),
        ({"x": POINT}, {"x": [1.0, 2, 3], "sigma": [1.0, 2]}, r"must be as many each"),
        ({"x": POINT}, {"p0": {"z": "x"}}, r"columns.p0 names 'z', which is no parameter"),
        ({"x": POINT}, {"p0": {"a": "start"}}, r"p0 of 'a': there is no column 'start'"),
        ({"x": Y}, {"p0": {"a": "x"}}, r"p0 of 'a': column 'x'.* expected one number a curve"),
    ],
)
def test_columns_are_checked_against_the_model(
    table: dict[str, Any], columns: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        fit_table(pa.table({"y": Y, **table}), line, columns=Columns(**columns))
    dataset = open_dataset(saved(tmp_path, y=Y, **table), Columns(**columns))
    with pytest.raises(ValueError, match=message):
        fit_dataset(dataset, line, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_fixed_size_lists_must_agree() -> None:
    table = pa.table({"y": Y.cast(pa.list_(pa.float64(), 3)), "x": pa.array([[1.0], [2.0]])})
    table = table.set_column(1, "x", table["x"].cast(pa.list_(pa.float64(), 1)))
    with pytest.raises(DatasetError, match="x: column 'x' has 1 values a curve, but y has 3"):
        fit_table(table, line)
    with pytest.raises(DatasetError, match="x has 2 values, but each curve has 3 points"):
        fit_table(table, line, columns=Columns(x=[1.0, 2.0]))


def test_two_predictors_need_a_mapping() -> None:
    model = Model.from_function(lambda u, v, a: a * u * v, x=["u", "v"], name="product")
    with pytest.raises(DatasetError, match=r"'product' has 2 predictors: give x as a mapping"):
        fit_table(pa.table({"y": Y, "u": Y}), model, columns=Columns(x="u"))
    with pytest.raises(DatasetError, match=r"predictor\(s\) v of model 'product'"):
        fit_table(pa.table({"y": Y, "u": Y}), model)


def test_a_name_that_two_columns_have_is_refused() -> None:
    table = pa.Table.from_arrays([Y, Y], names=["y", "y"])
    with pytest.raises(DatasetError, match="there are several columns 'y'"):
        fit_table(table, line)


@pytest.mark.parametrize(
    ("options", "p0", "message"),
    [
        ({"bounds": {"q": (0, 1)}}, None, r"bounds names 'q', which is no parameter"),
        ({"bounds": {"a": (1, 0)}}, None, r"each lower bound must be below"),
        ({"fixed": ["a", "b"]}, None, r"all parameters .* are fixed"),
        ({"fixed": {"a": [1.0, 2.0]}}, None, r"fixed gives several values for \['a'\]"),
        ({"diag": [1.0]}, None, r"diag must be 2 positive numbers"),
        ({"bounds": {"a": (0, 1)}}, [2.0, 0.0], r"p0 of 'a' is 2.0, outside its bounds \(0, 1\)"),
        ({}, [1.0], r"p0 has shape \(1,\), expected \(2,\)"),
        ({}, [1.0, np.nan], r"p0 must be finite, got \{'b': nan\}"),
        ({}, {"z": 1.0}, r"p0 names 'z', which is no parameter"),
    ],
)
def test_options_are_checked_against_the_model(
    options: dict[str, Any], p0: Any, message: str, tmp_path: Path
) -> None:
    path = saved(tmp_path, y=Y, x=Y)
    with pytest.raises(ValueError, match=message):
        fit_dataset(path, line, tmp_path / "out", options=FitOptions(**options), p0=p0)
    assert not (tmp_path / "out").exists()


def test_a_start_value_is_given_once() -> None:
    table = pa.table({"y": Y, "x": Y, "s": POINT})
    with pytest.raises(ValueError, match=r"p0 and columns.p0 both give \['a'\]"):
        fit_table(table, line, columns=Columns(p0={"a": "s"}), p0={"a": 1.0})


def test_a_model_that_raises_is_found_before_a_worker_starts(tmp_path: Path) -> None:
    def wrong(x: Any, a: Any) -> Any:
        return a * x + undefined  # type: ignore[name-defined]  # noqa: F821

    path = saved(tmp_path, y=Y, x=Y)
    with pytest.raises(NameError, match="undefined") as caught:
        fit_dataset(path, wrong, tmp_path / "out")
    assert "before any worker was started" in caught.value.__notes__[0]
    assert not (tmp_path / "out").exists()


def test_a_parameter_may_not_have_the_name_of_a_column(tmp_path: Path) -> None:
    path = saved(tmp_path, y=Y, x=Y)
    with pytest.raises(ValueError, match=r"two columns \['status'\]: rename the parameter"):
        fit_dataset(path, lambda x, status: status * x, tmp_path / "out")
    with pytest.raises(ValueError, match=r"two columns \['a_stderr'\]"):
        fit_table(pa.table({"y": Y, "x": Y}), lambda x, a, a_stderr: a * x + a_stderr)


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ([], r"no path was given"),
        ("nothing.parquet", r"there is no file or folder 'nothing.parquet'"),
        ("*.nothing", r"no file matches '\*.nothing'"),
        ("empty", r"the folder 'empty' has no Parquet file .* nothing at all"),
        ("other", r"the folder 'other' has no Parquet file .* \['note.txt'\]"),
        (["good.parquet", "good.par*"], r"good.parquet is named twice"),
        ("torn.parquet", r"torn.parquet cannot be read as Parquet: .* Write the file again"),
        ("text.parquet", r"text.parquet cannot be read as Parquet"),
        ("zero.parquet", r"zero.parquet cannot be read as Parquet: .*0 bytes"),
        ("norows.parquet", r"1 file\(s\) without a row: .* has the columns y"),
    ],
)
def test_files_are_checked(
    paths: Any, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    good = saved(tmp_path, "good.parquet", y=Y)
    (tmp_path / "torn.parquet").write_bytes(good.read_bytes()[:-20])
    (tmp_path / "text.parquet").write_text("a,b,c\n1,2,3\n" * 10)
    (tmp_path / "zero.parquet").touch()
    saved(tmp_path, "norows.parquet", y=Y[:0])
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "note.txt").touch()
    with pytest.raises(DatasetError, match=message):
        open_dataset(paths)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({"y": Y.cast(pa.list_(pa.float32()))}, r"'y' is list<.*double> in a.parquet and list<"),
        ({"x": Y}, r"column 'y' is list<.*> in a.parquet and missing in b.parquet"),
    ],
)
def test_files_must_agree(second: dict[str, Any], message: str, tmp_path: Path) -> None:
    saved(tmp_path, "in/a.parquet", y=Y, x=Y)
    saved(tmp_path, "in/b.parquet", **second)
    with pytest.raises(DatasetError, match=message):
        open_dataset(tmp_path / "in")


def test_files_may_differ_in_columns_that_are_not_used(tmp_path: Path) -> None:
    saved(tmp_path, "in/a.parquet", y=Y, x=Y, p0_a=POINT)
    saved(tmp_path, "in/b.parquet", y=Y, x=Y, note=pa.array(["u", "v"]))
    dataset = open_dataset(tmp_path / "in", Columns(p0={"a": "p0_a"}))
    assert dataset.n_curves == 4
    with pytest.raises(DatasetError, match=r"'p0_a' is double in a.parquet and missing in b"):
        dataset.bind(Model.from_function(line), FitOptions())


def test_a_glob_must_find_the_same_points_in_every_file(tmp_path: Path) -> None:
    saved(tmp_path, "in/a.parquet", y_0=POINT, y_1=POINT)
    saved(tmp_path, "in/b.parquet", y_0=POINT, y_1=POINT, y_2=POINT)
    with pytest.raises(DatasetError, match=r"column 'y_2' is missing in a.parquet and double in b"):
        open_dataset(tmp_path / "in", Columns(y="y_*"))


def test_a_plan_needs_positive_sizes(tmp_path: Path) -> None:
    dataset = open_dataset(saved(tmp_path, y=Y))
    message = r"n_threads and partition_bytes must be >= 1"
    with pytest.raises(ValueError, match=message):
        plan_dataset(dataset, n_threads=0)
    with pytest.raises(ValueError, match=message):
        plan_dataset(dataset, partition_bytes=0)


def test_the_output_is_not_the_input(tmp_path: Path) -> None:
    path = saved(tmp_path, y=Y, x=Y)
    with pytest.raises(DatasetError, match=r"holds input: .*in.parquet. Choose an output dir"):
        fit_dataset(path, line, tmp_path)


def test_a_bad_curve_may_not_raise_in_a_dataset(tmp_path: Path) -> None:
    path = saved(tmp_path, y=Y, x=Y)
    with pytest.raises(ValueError, match=r"nan_policy='raise' would lose all curves"):
        fit_dataset(path, line, tmp_path / "out", options=FitOptions(nan_policy="raise"))


def test_calls_that_contradict_themselves_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, y=Y, x=Y)
    with pytest.raises(ValueError, match="retries must be >= 0, got -1"):
        fit_dataset(path, line, tmp_path / "out", retries=-1)
    with pytest.raises(ValueError, match="columns belong to open_dataset"):
        fit_dataset(open_dataset(path), line, tmp_path / "out", columns=Columns())
    message = re.escape("the table has no rows; its columns are ['y', 'x']")
    with pytest.raises(DatasetError, match=message):
        fit_table(pa.table({"y": Y[:0], "x": Y[:0]}), line)
