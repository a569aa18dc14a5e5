"""A function of the user is read once, before the run: its formula travels, and is written down."""

import json
import math
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest

from manyfit.pipeline.dataset import open_dataset
from manyfit.pipeline.errors import JobMismatchError
from manyfit.pipeline.memory import fit_table
from manyfit.pipeline.packing import packed
from manyfit.pipeline.results import read_result, result_metadata
from manyfit.pipeline.run import checked_work, fit_dataset
from manyfit.pipeline.schema import METADATA_KEY
from manyfit.pipeline.table import fit_rows
from manyfit.solver import formulas
from manyfit.solver.graph.graph import GraphFunction
from manyfit.solver.model import Model
from manyfit.solver.options import FitOptions
from manyfit.solver.pointwise import ModelWarning

START = {"a": 1.0, "b": 1.0, "c": 1.0}


@pytest.fixture(autouse=True)
def forget() -> None:
    """Have each test told what others were told before."""
    formulas._tell.cache_clear()


def branching(x: Any, a: Any, b: Any, c: Any) -> Any:
    if np.all(b > 1e6):
        return c + 0 * x
    return a * np.exp(-b * x) + c


def told(caught: list[warnings.WarningMessage]) -> list[str]:
    """Return the messages on formulas."""
    return [str(w.message) for w in caught if "no formula can be read" in str(w.message)]


def test_the_formula_travels_and_not_the_function(
    layouts: Any, values: Any, client: Any, tmp_path: Path
) -> None:
    lock, scale = threading.Lock(), 2.0  # which no pickle takes

    def decay(x: Any, a: Any, b: Any, c: Any) -> Any:
        with lock:
            return a * np.exp(-b * x) + c / scale

    path = layouts.write("list", values, rows=100)
    work = checked_work(open_dataset(path), decay, FitOptions(), START, tmp_path / "out")
    assert isinstance(work.model.func, GraphFunction)
    assert work.options == FitOptions()
    assert b"scale" not in packed(work.task, work.model)
    summary = fit_dataset(path, decay, tmp_path / "out", p0=START, cluster=client)
    assert summary.fitted == 600
    found = read_result(tmp_path / "out")
    assert result_metadata(tmp_path / "out")["model"]["expression"] == "a*exp(-b*x) + c/2"
    here = fit_table(layouts.table("list", values), decay, p0=START)
    assert json.loads(here.schema.metadata[METADATA_KEY])["model"]["expression"].endswith("c/2")
    for name in START:
        np.testing.assert_array_equal(found[name].to_numpy(), here[name].to_numpy())
    plain = fit_table(
        layouts.table("list", values), decay, p0=START, options=FitOptions(engine="reference")
    )
    np.testing.assert_allclose(found["b"].to_numpy(), plain["b"].to_numpy(), rtol=1e-5)


def test_what_is_no_formula_is_told_once_and_the_workers_have_nothing_to_decide(
    layouts: Any, values: Any, client: Any, tmp_path: Path
) -> None:
    path = layouts.write("list", values[:60], rows=10)
    with pytest.warns(ModelWarning) as caught:
        summary = fit_dataset(
            path, branching, tmp_path / "out", p0=START, cluster=client, partition_bytes=2_000
        )
    assert summary.partitions > 2
    assert len(told(caught.list)) == 1
    assert result_metadata(tmp_path / "out")["model"]["expression"] is None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ModelWarning)
        work = checked_work(open_dataset(path), branching, FitOptions(), START, tmp_path / "out")
    assert work.options == FitOptions(engine="reference")
    assert work.model.func is branching


def test_a_table_is_told_once_however_many_batches_it_has(
    layouts: Any, values: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("manyfit.pipeline.streams.BATCH_BYTES", 2_000)
    monkeypatch.setattr(formulas, "_tell", formulas._tell.__wrapped__)  # each time
    with pytest.warns(ModelWarning) as caught:
        fit_table(layouts.table("list", values[:60]), branching, p0=START)
    assert len(told(caught.list)) == 1


def test_no_formula_where_one_is_asked_for_is_said_before_any_worker_starts(
    layouts: Any, values: Any, tmp_path: Path
) -> None:
    path = layouts.write("list", values[:9])
    with pytest.raises(ValueError, match=r"engine='simd' fits formulas, .*`if np.all\(b > 1e6\):`"):
        fit_dataset(path, branching, tmp_path / "out", p0=START, options=FitOptions(engine="simd"))
    assert not (tmp_path / "out").exists()


def test_a_formula_that_fails_where_the_first_curves_end_does_not_travel(
    layouts: Any, values: Any, tmp_path: Path
) -> None:
    def by_stealth(x: Any, a: Any, b: Any, c: Any) -> Any:
        near_the_end = type(b) in {float, np.float64} and 1.2 < b < 1.8
        return a * np.exp(-b * x) + c + (0.05 if near_the_end else 0.0)

    path = layouts.write("list", values[:9])
    with pytest.warns(ModelWarning) as caught:
        work = checked_work(open_dataset(path), by_stealth, FitOptions(), START, tmp_path / "out")
    assert "the function and the formula read from it differ" in told(caught.list)[0]
    assert work.model.graph is None
    assert work.options.engine == "reference"


RATE = math.log(3.0)


def with_a_rate(x: Any, a: Any, c: Any) -> Any:
    return a * np.exp(-RATE * x) + c


def test_a_job_is_the_same_in_the_last_digits_of_its_formula_and_another_in_the_others(
    layouts: Any, values: Any, client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = layouts.write("list", values[:30])
    dataset = open_dataset(path)

    def description() -> Any:
        return checked_work(dataset, with_a_rate, FitOptions(), None, tmp_path / "x").description

    before = description()
    assert before["model"]["expression"] == "a*exp(-1.09861228867*x) + c"
    assert description() == before
    fit_dataset(path, with_a_rate, tmp_path / "out", cluster=client)
    assert fit_dataset(path, with_a_rate, tmp_path / "out", cluster="nowhere").skipped == 1
    written = result_metadata(tmp_path / "out")["model"]["expression"]
    assert written == f"a*exp(-{math.log(3.0)!r}*x) + c"
    monkeypatch.setitem(globals(), "RATE", 1.5)
    with pytest.raises(JobMismatchError, match=r"there, 'a\*exp\(-1.5\*x\) \+ c' here"):
        fit_dataset(path, with_a_rate, tmp_path / "out", cluster=client)


def test_a_model_of_the_library_is_known_as_before(layouts: Any, tmp_path: Path) -> None:
    path = layouts.write("list", np.ones((3, 16)))
    model = Model.from_expression("a*exp(-b*x) + c")
    work = checked_work(open_dataset(path), model, FitOptions(), None, tmp_path / "out")
    assert work.model is model


def test_workers_do_not_look_into_a_settled_model_again(
    layouts: Any, values: Any, tmp_path: Path
) -> None:
    calls = 0

    def decay(x: Any, a: Any, b: Any, c: Any) -> Any:
        nonlocal calls
        calls += 1
        return a * np.exp(-b * x) + c

    def slopes(x: Any, a: Any, b: Any, _c: Any) -> list[Any]:
        return [np.exp(-b * x), -a * x * np.exp(-b * x), np.ones_like(x)]

    model = Model.from_function(decay, jac=slopes)  # keeps both beside its formula
    path = layouts.write("list", values)
    work = checked_work(open_dataset(path), model, FitOptions(), START, tmp_path / "out")
    assert work.model.func is decay
    assert work.model.expression == "a*exp(-b*x) + c"
    assert calls > 0
    calls = 0
    rows = fit_rows(work.first, work.model, work.options, work.schema)
    assert pc.all(rows.column("compiled")).as_py()
    assert calls == 0
