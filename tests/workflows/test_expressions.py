"""--tie, --derive and composed models: fitted, shown, and wrong ones refused before any work."""

from collections.abc import Callable
from math import log
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import Result as Invoked

from manyfit.pipeline.results import read_result
from manyfit.solver.library import constant, exponential_decay, gaussian
from manyfit.workflows import specs
from manyfit.workflows.models import resolve_model, with_expressions
from manyfit.workflows.show.parts import Result
from manyfit.workflows.show.summary import summarise
from manyfit.workflows.show.truth import compare

Command = Callable[..., "CompletedProcess[str]"]
Invoke = Callable[..., Invoked]


@pytest.fixture(scope="module")
def tied(tmp_path_factory: pytest.TempPathFactory, manyfit: Command, decays: Path) -> Path:
    """The decays, fitted with c tied to its true share of a where nothing varies."""
    path = tmp_path_factory.mktemp("tied") / "out"
    words = ["--tie", "c = a/4", "--derive", "half_life = log(2)/b", "--derive", "two=2*half_life"]
    done = manyfit("fit", decays, "-m", "exponential_decay", "-o", path, "--workers", 1, *words)
    assert done.returncode == 0, done.stderr
    return path


def test_ties_and_derived_quantities_are_columns_of_the_result(tied: Path) -> None:
    rows = read_result(tied)
    names = ["a", "b", "a_stderr", "b_stderr", "c", "half_life", "two"]
    assert rows.column_names[1:8] == names
    good = rows["status"].to_numpy() > 0
    columns = {name: rows[name].to_numpy()[good] for name in rows.column_names[1:11]}
    np.testing.assert_allclose(columns["c"], columns["a"] / 4, rtol=1e-14)
    np.testing.assert_allclose(columns["half_life"], log(2) / columns["b"], rtol=1e-14)
    by_hand = log(2) / columns["b"] ** 2 * columns["b_stderr"]
    np.testing.assert_allclose(columns["half_life_stderr"], by_hand, rtol=1e-12)


def test_they_are_shown_as_parameters_are(tied: Path, decays: Path, invoke: Invoke) -> None:
    result = Result.open(tied)
    spreads = summarise(result).spreads
    assert [s.name for s in spreads] == ["a", "b", "c", "half_life", "two", "redchi"]
    assert spreads[4].quantiles == pytest.approx([2 * q for q in spreads[3].quantiles])
    truth = compare(result, str(decays)).qualities
    assert [q.name for q in truth] == ["a", "b", "c"]  # of the tied c there is a truth
    shown = invoke("show", tied, "--truth", decays)
    assert shown.exit_code == 0
    assert "half_life" in shown.output


def test_a_plan_tells_them(decays: Path, tmp_path: Path, invoke: Invoke) -> None:
    words = ["fit", decays, "-m", "exponential_decay", "-o", tmp_path / "out", "--plan"]
    done = invoke(*words, "--tie", "c=a/4", "--derive", "h = log(2)/b")
    assert done.exit_code == 0, done.output
    assert "derived    c = a/4\nderived    h = log(2)/b\n" in done.output
    assert "params a, b\n" in done.output


def test_models_of_the_library_are_composed_on_the_command_line(
    tmp_path: Path, manyfit: Command, invoke: Invoke
) -> None:
    x = np.linspace(0, 10, 60)
    centres = np.linspace(6, 7, 20)[:, None]
    y = 2 * np.exp(-((x - 3) ** 2)) + np.exp(-0.5 * ((x - centres) / 0.5) ** 2) + 0.25
    y = y + 0.01 * np.random.default_rng(1).standard_normal(y.shape)
    pq.write_table(pa.table({"x": [x] * 20, "y": list(y)}), tmp_path / "peaks.parquet")
    spec = "gaussian(prefix=g1_) + gaussian(prefix=g2_) + constant()"
    words = ["-m", spec, "--tie", "g2_s = 0.5", "--derive", "apart = g2_mu - g1_mu"]
    out = tmp_path / "out"
    done = manyfit("fit", tmp_path / "peaks.parquet", "-o", out, "--workers", 1, *words)
    assert done.returncode == 0, done.stderr
    rows = read_result(out)
    np.testing.assert_allclose(np.abs(rows["apart"]), centres[:, 0] - 3, atol=0.1)
    assert f"fitted with {spec}: " in invoke("show", out).stdout


def test_specs_and_python_make_the_same_model() -> None:
    model = resolve_model("gaussian(prefix=g_) + constant()")
    ours = gaussian(prefix="g_") + constant()
    assert (model.graph, model.guess, model.params) == (ours.graph, ours.guess, ours.params)
    changed = with_expressions(exponential_decay(), ["c = a"], ["h=1/b", "z = h*c"])
    by_hand = exponential_decay().tied(c="a").deriving(h="1/b").deriving(z="h*c")
    assert (changed.params, changed.derived) == (by_hand.params, by_hand.derived)
    assert with_expressions(exponential_decay(), [], []) == exponential_decay()


def test_an_expression_is_split_at_its_first_sign() -> None:
    read: Any = specs.expressions_by_name(["c = 2*a", "h=max(a, b)", "t = a == b"], "--o")
    assert read == {"c": "2*a", "h": "max(a, b)", "t": "a == b"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--tie", "c"], "--tie: expected name = expression, such as 'c = 2*a', got 'c'"),
        (["--tie", "= 2*a"], "--tie: expected name = expression"),
        (["--derive", "h ="], "--derive: expected name = expression"),
        (["--tie", "c=a", "--tie", "c=b"], "--tie: 'c' is given twice"),
        (["--tie", "q = 2*a"], "--tie: model 'exponential_decay' has no parameter q to tie; it"),
        (
            ["--tie", "c = 2*q"],
            "--tie: 'q' is not among the names declared: a, b, c, x (column 3)\n    2*q\n      ^",
        ),
        (["--derive", "h = log(2)/b +"], "--derive: this is not a formula: invalid syntax (column"),
        (["--derive", "h = a*x"], "--derive: h = a*x depends on x: it is to be one number a curve"),
        (["--derive", "b = 2*a"], "--derive: model 'exponential_decay' has b already"),
        (["--tie", "c = 2*a", "--p0", "c=1"], "p0 names 'c', which is no parameter; there are"),
        (["--tie", "c = 2*a", "--bounds", "c=0:"], "bounds names 'c', which is no parameter"),
        (["--derive", "status = a"], "two columns ['status']"),
        (["-m", "gaussian() + gaussian()"], "both have a, mu, s: give the names of one a prefix"),
        (["-m", "gaussian() + x"], "numbers, + - * / and brackets can stand"),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(
    decays: Path, tmp_path: Path, invoke: Invoke, words: list[str], message: str
) -> None:
    model = [] if "-m" in words else ["-m", "exponential_decay"]
    done = invoke("fit", decays, "-o", tmp_path / "out", "--workers", 1, *model, *words)
    assert done.exit_code == 2, done.output
    assert message in done.output
    assert not (tmp_path / "out").exists()
    assert "Traceback" not in done.output


def test_a_tie_of_a_function_that_is_no_formula_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "branches.py").write_text("def f(x, a, b):\n    return a * x if a > 0 else b\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    model = resolve_model("branches:f")
    with pytest.raises(ValueError, match=r"--tie: branches.py:2, in f: .*np.where"):
        with_expressions(model, ["b = a"], [])
    assert with_expressions(model, [], ["h = 2*a"]).derived == {"h": "2*a"}
