"""What a result says of itself, and how it compares with a known truth."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import Result as Invoked
from scipy import stats

from manyfit.pipeline.results import read_result
from manyfit.solver.status import Flag, Status
from manyfit.workflows.show.parts import Result
from manyfit.workflows.show.report import show_result
from manyfit.workflows.show.summary import QUANTILES, Summary, summarise
from manyfit.workflows.show.truth import compare, coverage_of_t, quality_of
from manyfit.workflows.simulate.bad import KINDS
from manyfit.workflows.tables import figure, percent, table


@pytest.fixture
def result(fits: Path) -> Result:
    return Result.open(fits)


@pytest.fixture
def summary(result: Result) -> Summary:
    return summarise(result, n_worst=3)


@pytest.fixture
def rows(fits: Path) -> pa.Table:
    return read_result(fits)


def test_statuses_and_flags_are_counted(summary: Summary, rows: pa.Table) -> None:
    status, flags = rows["status"].to_numpy(), rows["flags"].to_numpy()
    assert dict(summary.statuses) == {Status(s): (status == s).sum() for s in np.unique(status)}
    assert summary.statuses[0][1] == max(n for _, n in summary.statuses)
    assert dict(summary.flags)[Flag.POINTS_OMITTED] == np.count_nonzero(flags & 1)
    assert summary.n_curves == 1200
    assert summary.n_success == np.count_nonzero((status >= 1) & (status <= 4))


def test_quantiles_are_of_the_fits_that_converged(summary: Summary, rows: pa.Table) -> None:
    status = rows["status"].to_numpy()
    good = (status >= 1) & (status <= 4)
    spread = {s.name: s for s in summary.spreads}
    assert list(spread) == ["a", "b", "c", "redchi"]
    b = rows["b"].to_numpy()[good]
    np.testing.assert_allclose(spread["b"].quantiles, np.quantile(b, QUANTILES))
    stderr = rows["b_stderr"].to_numpy()[good]
    assert spread["b"].stderr == np.median(stderr[np.isfinite(stderr)])
    assert math.isnan(spread["redchi"].stderr)


def test_the_worst_curves_are_named(summary: Summary, rows: pa.Table) -> None:
    status, redchi = rows["status"].to_numpy(), rows["redchi"].to_numpy()
    good = (status >= 1) & (status <= 4)
    largest = np.sort(redchi[good])[::-1][:3]
    assert [odd.redchi for odd in summary.worst] == largest.tolist()
    for odd in (*summary.worst, *summary.failures):
        row = rows["curve_id"].to_pylist().index(odd.curve_id)
        assert (odd.status, odd.n_points) == (status[row], rows["n_points"][row].as_py())
    assert all(not odd.status.success for odd in summary.failures)
    assert len(summary.failures) == 3


def test_bad_curves_of_every_kind_have_a_status(result: Result, decays: Path) -> None:
    ends = {(kind, status) for kind, status, _ in compare(result, str(decays)).bad}
    assert {kind for kind, _ in ends} == set(KINDS)
    expected = {
        ("all_nan", Status.NONFINITE_DATA),
        ("null", Status.NO_DATA),
        ("empty", Status.NO_DATA),
        ("too_short", Status.TOO_FEW_POINTS),
    }
    assert expected <= ends
    others = {status for kind, status in ends if kind in {"nan_points", "inf"}}
    assert all(status.success for status in others)


def test_intervals_cover_the_truth_as_often_as_they_should(result: Result, decays: Path) -> None:
    comparison = compare(result, str(decays))
    assert comparison.dof == 37
    for quality in comparison.qualities:
        limit = 4 * math.sqrt(0.6827 * 0.3173 / quality.n)
        assert quality.n == 1200 - 84
        assert abs(quality.coverage - comparison.expected) < limit
        assert abs(quality.bias_z) < 4 / math.sqrt(quality.n)
        assert abs(quality.rms_z - 1) < 0.1
        assert quality.far == 0


def test_truth_is_found_by_id_in_any_order(tmp_path: Path, result: Result, decays: Path) -> None:
    whole = pa.concat_tables([pq.read_table(f) for f in sorted(decays.glob("*.parquet"))])
    order = np.random.default_rng(0).permutation(whole.num_rows)
    pq.write_table(whole.take(order), tmp_path / "shuffled.parquet")
    here, there = compare(result, str(decays)), compare(result, str(tmp_path / "shuffled.parquet"))
    assert here == there


def test_truth_of_long_rows_stands_beside_them(
    tmp_path: Path, result: Result, invoke: Callable[..., Invoked]
) -> None:
    shape = ("--curves", 1200, "--points", 40, "--seed", 7, "--bad-share", 0.07)
    long = ("simulate", "-m", "exponential_decay", "--layout", "long", *shape)
    assert invoke(*long, "--out", tmp_path / "long.parquet").exit_code == 0
    truth = compare(result, str(tmp_path / "long.parquet"))
    assert [q.name for q in truth.qualities] == ["a", "b", "c"]


def test_truth_of_other_data_is_refused(tmp_path: Path, result: Result, decays: Path) -> None:
    few = pq.read_table(decays / "part-00000.parquet").slice(0, 100)
    pq.write_table(few, tmp_path / "few.parquet")
    with pytest.raises(ValueError, match=r"1100 curves of .* the first is 100: is this the data"):
        compare(result, str(tmp_path / "few.parquet"))
    pq.write_table(few.drop("true_b"), tmp_path / "some.parquet")
    with pytest.raises(ValueError, match=r"does not hold the truth of a, b, c: no column true_b"):
        compare(result, str(tmp_path / "some.parquet"))


def test_everything_is_shown(fits: Path, decays: Path, invoke: Callable[..., Invoked]) -> None:
    done = invoke("show", fits, "--truth", decays, "--worst", 2)
    assert done.exit_code == 0
    for text in (
        "1,200 curves fitted with exponential_decay: a*exp(-b*x) + c",
        "CONVERGED_FTOL",
        "points that are not finite were left out",
        "median stderr",
        "converged with the largest redchi",
        "not converged, the first 2 of",
        "within 1 se",
        "Student's t, 37 degrees of freedom",
        "how the bad curves ended",
    ):
        assert text in done.stdout
    assert all(line == line.rstrip() for line in done.stdout.splitlines())


def test_partitions_that_are_still_to_be_done_are_told(
    tmp_path: Path, decays: Path, manyfit: Callable[..., Any]
) -> None:
    out = tmp_path / "out"
    command = ("fit", decays, "-m", "exponential_decay", "-o", out, "--partition-size", "100kB")
    assert manyfit(*command, "--workers", 1).returncode == 0
    (out / "_manyfit" / "00001.json").unlink()
    assert "curves are not here: 1 partition(s) to be fitted by the same command" in show_result(
        out
    )


def test_a_negative_number_of_curves_is_refused(result: Result) -> None:
    with pytest.raises(ValueError, match=r"--worst must be >= 0, got -1"):
        summarise(result, n_worst=-1)


def test_nothing_to_show_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no results of manyfit"):
        show_result(tmp_path)


@pytest.mark.parametrize("dof", [1, 2, 5, 47, 1000, math.inf])
def test_expected_coverage_is_that_of_students_t(dof: float) -> None:
    law = stats.norm() if math.isinf(dof) else stats.t(dof)
    assert coverage_of_t(dof) == pytest.approx(law.cdf(1) - law.cdf(-1), abs=1e-9)


def test_no_degree_of_freedom_no_expectation() -> None:
    assert math.isnan(coverage_of_t(math.nan))


def test_nothing_to_compare_is_no_error() -> None:
    nothing = quality_of("a", np.empty(0), np.empty(0))
    assert nothing.n == nothing.far == 0
    assert math.isnan(nothing.coverage)


def test_tables_are_aligned() -> None:
    text = table("lr", ("name", "n"), [("a", "1"), ("long name", "1,000")])
    assert text.splitlines() == ["  name           n", "  a              1", "  long name  1,000"]
    assert table("lr", ("", ""), [("a", "1")]) == "  a  1"
    assert (figure(math.nan), figure(1 / 3), percent(math.nan)) == ("-", "0.333333", "-")
