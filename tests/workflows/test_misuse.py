"""What is wrong is said in one message with exit code 2, before any worker starts."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import Result

from manyfit.pipeline import run

Invoke = Callable[..., Result]


@pytest.fixture(autouse=True)
def _no_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> NoReturn:
        raise AssertionError("workers were started")

    monkeypatch.setattr(run, "connected", refuse)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with data in each layout, and with what is no data."""
    rng = np.random.default_rng(0)
    y, x = rng.normal(size=(6, 8)), np.arange(8.0)
    lists = {"x": pa.array([x] * 6), "y": pa.array(list(y)), "name": pa.array(list("abcdef"))}
    pq.write_table(pa.table({**lists, "p0_a": pa.array(np.ones(6))}), tmp_path / "list.parquet")
    points = {"curve_id": np.repeat(np.arange(6), 8), "x": np.tile(x, 6), "y": y.ravel()}
    pq.write_table(pa.table(points), tmp_path / "long.parquet")
    wide = {f"y_{j}": y[:, j] for j in range(8)}
    pq.write_table(pa.table(wide), tmp_path / "wide.parquet")
    short = pa.table({"x": pa.array([x[:5]] * 6), "y": lists["y"]})
    pq.write_table(short, tmp_path / "short.parquet")
    pq.write_table(pa.table({"y": pa.array(["1", "2"])}), tmp_path / "text.parquet")
    pq.write_table(pa.table(lists).slice(0, 0), tmp_path / "none.parquet")
    whole = (tmp_path / "list.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "empty").mkdir()
    (tmp_path / "mine.py").write_text(
        "def broken(x, a): return a * undefined_name\n"
        "def flat(x): return 0 * x\n"
        "def plane(x, z, a): return a * x + z\n"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("nowhere.parquet", r"there is no file or folder 'nowhere.parquet'"),
        ("*.orc", r"no file matches '\*.orc'"),
        ("empty", r"the folder 'empty' has no Parquet file .* nothing at all"),
        ("notes.txt", r"notes.txt cannot be read as Parquet"),
        ("cut.parquet", r"cut.parquet cannot be read as Parquet"),
        ("none.parquet", r"without a row"),
        ("text.parquet", r"column 'y' is of type string; expected numbers"),
        ("list.parquet --y intensity", r"y: there is no column 'intensity'; there are x, y"),
        ("list.parquet --x t", r"x: there is no column 't'"),
        ("list.parquet --id well", r"curve_id: there is no column 'well'"),
        ("list.parquet --sigma s", r"sigma: there is no column 's'"),
        ("list.parquet --y name", r"column 'name' is of type string"),
        ("list.parquet --layout long", r"--layout long: the data are list .* leave --layout out"),
        ("wide.parquet --layout wide", r"x: no column for the predictor\(s\) x"),
        ("wide.parquet --y y_* --x-values 0:7:7", r"x has 7 values, but each curve has 8 points"),
        ("list.parquet --x-values 0:7:7", r"x has 7 values, but y \(y\) of the same curve has 8"),
        ("short.parquet", r"x has 5 values, but y .* 8 points; .* each of the first 6 curves"),
        ("long.parquet --x-values 0:7:8", r"x is given as 8 numbers, but the data are long rows"),
        ("list.parquet --x x --x-values 0:7:8", r"x is given 2 times \(x, 0:7:8\)"),
        ("list.parquet --x x=x --x-values x=0:7:8", r"x of 'x' is given twice"),
        ("list.parquet --x t=x", r"predictors \('x',\), but x names \('t',\)"),
        ("list.parquet --model gausian", r"did you mean gaussian\?"),
        ("list.parquet --model a*q+b", r"'a\*q\+b' does not depend on x: if the predictor has"),
        ("list.parquet --model a*foo(x)", r"there is no function 'foo'"),
        (
            "list.parquet --model mine:broken",
            r"NameError: .*'undefined_name'.* \(.*mine.py, line 1",
        ),
        ("list.parquet --model mine:flat", r"'flat' needs at least one predictor and one param"),
        ("list.parquet --model mine:plane --x x=x --x z=t", r"x\['z'\]: there is no column 't'"),
        ("list.parquet --p0 1,2", r"p0 has shape \(2,\), expected \(4,\) for params"),
        (
            "list.parquet --p0 a=1,z=2",
            r"p0 names 'z', which is no parameter; there are \('a', 'mu'",
        ),
        ("list.parquet --p0 a=one", r"there is no column 'one'"),
        ("list.parquet --p0 a=inf", r"p0 must be finite"),
        ("list.parquet --bounds a=5:2", r"--bounds a: the lower end must be below .* '5:2'"),
        ("list.parquet --bounds z=0:1", r"bounds names 'z', which is no parameter"),
        ("list.parquet --bounds a=2:3 --p0 a=1", r"p0 of 'a' is 1.0, outside its bounds \(2, 3\)"),
        ("list.parquet --fixed z", r"fixed names 'z', which is no parameter"),
        ("list.parquet --fixed a,mu,s,c", r"all parameters .* are fixed"),
        ("list.parquet --constant k=3", r"model 'gaussian' has no constant \['k'\]"),
        ("list.parquet --model mine:plane --constant k=3", r"plane has no argument \['k'\]"),
        ("list.parquet --ftol -1", r"ftol must be finite and >= 0, got -1.0"),
        ("list.parquet --maxfev -1", r"maxfev must be >= 0"),
        ("list.parquet --workers 0", r"--workers must be at least 1, got 0"),
        ("list.parquet --retries -1", r"--retries must be at least 0, got -1"),
        ("list.parquet --workers 2 --scheduler tcp://h:1", r"--scheduler and --workers exclude"),
        ("list.parquet --partition-size huge", r"--partition-size: expected a size such as"),
        ("list.parquet --out notes.txt", r"--out 'notes.txt' is a file: expected a directory"),
        (". --out fits", r"--out 'fits' lies in .*, where the data are"),
        ("list.parquet --out .", r"the output directory .* holds input"),
        ("list.parquet list.parquet", r"list.parquet is named twice"),
        (
            "list.parquet --nan-policy ignore",
            r"'ignore' is not one of 'omit', 'propagate', 'raise'",
        ),
        ("list.parquet --maxfev many", r"'many' is not a valid integer"),
    ],
)
def test_one_message_and_exit_code_2(
    folder: Path, invoke: Invoke, arguments: str, message: str
) -> None:
    words = arguments.split()
    words += [] if "--model" in words else ["--model", "gaussian"]
    words += [] if "--out" in words else ["--out", str(folder / "out")]
    done = invoke("fit", *words)
    assert done.exit_code == 2, done.output
    assert re.search(message, done.stderr), done.stderr
    assert "Traceback" not in done.output
