"""Layouts: every way to hand over curves, and the rectangles they become."""

import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manyfit.solver import curves as curves_module
from manyfit.solver.arrays import Floats
from manyfit.solver.curves import Curves, Slab, as_curves, padded_width
from manyfit.solver.model import Model

LINE = Model.from_function(lambda x, a, b: a + b * x, name="line")
PLANE = Model.from_function(lambda u, v, a, b: a * u + b * v, x=("u", "v"), name="plane")

# Widths --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("length", "width"),
    [(0, 0), (1, 1), (7, 7), (15, 15), (16, 16), (17, 18), (50, 52), (100, 104), (1000, 1024)],
)
def test_lengths_are_rounded_up_to_four_significant_bits(length: int, width: int) -> None:
    assert padded_width(np.array([length]))[0] == width


def test_at_most_one_point_in_nine_is_padding() -> None:
    length = np.arange(1, 20_000)
    width = padded_width(length)
    assert np.all(width >= length)
    assert np.all((width - length) * 9 <= width)
    np.testing.assert_array_equal(padded_width(width), width)


def test_few_widths_occur() -> None:
    assert np.unique(padded_width(np.arange(1024, 2048))).size <= 9


# Slabs ---------------------------------------------------------------------------------------


def points_of(slabs: list[Slab], row: int) -> tuple[Floats, Floats, Floats | None]:
    """Return x, y and sigma of the points of a curve that count."""
    (slab,) = (s for s in slabs if row in s.rows)
    i = int(np.flatnonzero(slab.rows == row)[0])
    x = slab.predictors[0]
    keep = slab.valid[i]
    sigma = None if slab.sigma is None else slab.sigma[i, keep]
    return x[0 if len(x) == 1 else i, keep], slab.y[i, keep], sigma


def ragged(lengths: list[int], seed: int = 0) -> tuple[Floats, Floats, Floats, list[int]]:
    """Return flat x, y, sigma and offsets."""
    rng = np.random.default_rng(seed)
    x, y, sigma = rng.normal(size=(3, sum(lengths)))
    return x, y, np.exp(sigma), [0, *np.cumsum(lengths).tolist()]


@settings(derandomize=True, max_examples=100)
@given(st.lists(st.integers(0, 40), max_size=12), st.integers(0, 1000), st.floats(0, 0.5))
def test_the_points_that_count_are_the_finite_points_of_each_curve(
    lengths: list[int], seed: int, share: float
) -> None:
    x, y, sigma, offsets = ragged(lengths, seed)
    rng = np.random.default_rng(seed)
    for values in (x, y, sigma):
        values[rng.random(values.size) < share / 3] = rng.choice([np.nan, np.inf, -np.inf])
    slabs = list(as_curves(LINE, x, y, offsets, sigma).slabs())
    rows = np.sort(np.concatenate([np.arange(0), *(s.rows for s in slabs)]))
    np.testing.assert_array_equal(rows, np.flatnonzero(lengths))
    for row in rows:
        own = slice(offsets[row], offsets[row + 1])
        keep = np.isfinite(x[own]) & np.isfinite(y[own]) & np.isfinite(sigma[own])
        for found, values in zip(points_of(slabs, row), (x, y, sigma), strict=True):
            np.testing.assert_array_equal(found, values[own][keep])


@settings(derandomize=True, max_examples=50)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=8), st.integers(0, 1000))
def test_points_that_do_not_count_repeat_one_that_does_with_weight_zero(
    lengths: list[int], seed: int
) -> None:
    x, y, sigma, offsets = ragged(lengths, seed)
    y[np.random.default_rng(seed).random(y.size) < 0.2] = np.nan
    for slab in as_curves(LINE, x, y, offsets, sigma).slabs():
        for i in np.flatnonzero(slab.valid.any(axis=1)):
            keep = slab.valid[i]
            pairs = set(zip(slab.predictors[0][i, keep], slab.y[i, keep], strict=True))
            assert set(zip(slab.predictors[0][i], slab.y[i], strict=True)) == pairs
            assert slab.weight is not None
            np.testing.assert_array_equal(slab.weight[i, ~keep], 0)
            np.testing.assert_array_equal(slab.weight[i, keep], 1 / slab.sigma[i, keep])  # type: ignore[index]


@settings(derandomize=True, max_examples=50)
@given(st.lists(st.integers(1, 70), min_size=1, max_size=10))
def test_the_width_of_a_curve_depends_on_its_own_length_alone(lengths: list[int]) -> None:
    x, y, _, offsets = ragged(lengths)
    for slab in as_curves(LINE, x, y, offsets, None).slabs():
        widths = padded_width(np.array(lengths)[slab.rows])
        np.testing.assert_array_equal(widths, slab.y.shape[1])


def test_curves_with_points_to_omit_are_laid_out_apart() -> None:
    y = np.ones((5, 16))
    y[[1, 3], 4] = np.nan
    slabs = list(as_curves(LINE, np.arange(16), y, None, None).slabs())
    found = {slab.omitted: slab.rows.tolist() for slab in slabs}
    assert found == {False: [0, 2, 4], True: [1, 3]}


def test_a_curve_without_a_finite_point_keeps_its_values() -> None:
    y = np.full((2, 8), np.nan)
    (slab,) = as_curves(LINE, np.arange(8), y, None, None).slabs()
    assert not slab.valid.any()
    np.testing.assert_array_equal(slab.y, y)


def test_a_shared_predictor_stays_one_row_until_a_point_is_omitted() -> None:
    y = np.ones((3, 20))
    (slab,) = as_curves(LINE, np.arange(20.0), y, None, None).slabs()
    assert slab.predictors[0].shape == (1, 20)
    y[0, 5] = np.nan
    dirty = [s for s in as_curves(LINE, np.arange(20.0), y, None, None).slabs() if s.omitted]
    assert dirty[0].predictors[0].shape == (1, 20)
    assert dirty[0].predictors[0][0, 5] == 4.0


def test_a_curve_alone_has_its_own_finite_points() -> None:
    u, v = np.arange(6.0).reshape(2, 3), np.array([1.0, np.nan, 3.0])
    rectangle = as_curves(PLANE, {"u": u, "v": v}, np.ones((2, 3)), None, None)
    np.testing.assert_array_equal(rectangle.alone(1), [[3, 5], [1, 3]])
    flat = np.array([1.0, 2.0, 3.0, 4.0, np.inf, 6.0])
    ragged = as_curves(PLANE, {"u": flat, "v": -flat}, np.ones(6), [0, 2, 2, 6], None)
    alone = [np.array(ragged.alone(i)).tolist() for i in range(3)]
    assert alone == [[[1, 2], [-1, -2]], [[], []], [[3, 4, 6], [-3, -4, -6]]]


def test_weights_of_one_are_none() -> None:
    curves = as_curves(LINE, np.arange(16), np.ones((2, 16)), None, None)
    (slab,) = curves.slabs()
    assert slab.weight is None


def test_padding_alone_makes_weights_of_one_and_zero() -> None:
    curves = as_curves(LINE, np.arange(17), np.ones((2, 17)), None, None)
    (slab,) = curves.slabs()
    np.testing.assert_array_equal(slab.weight, [[1.0] * 17 + [0.0]] * 2)


def test_slabs_are_of_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curves_module, "_SLAB_POINTS", 64)
    y = np.arange(170.0).reshape(17, 10)
    slabs = list(as_curves(LINE, np.arange(10), y, None, None).slabs())
    assert [len(s.rows) for s in slabs] == [6, 6, 5]
    np.testing.assert_array_equal(np.concatenate([s.y for s in slabs]), y)


def test_a_curve_longer_than_a_slab_is_a_slab(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curves_module, "_SLAB_POINTS", 4)
    slabs = list(as_curves(LINE, np.arange(10), np.ones((3, 10)), None, None).slabs())
    assert [s.y.shape for s in slabs] == [(1, 10)] * 3


BIG = np.random.default_rng(0).normal(size=(2000, 50))


@pytest.mark.parametrize(
    ("x", "y", "sigma"),
    [
        (BIG[0], BIG, None),
        (BIG, BIG, np.exp(BIG)),
        (BIG[0], BIG, 2.0),
        (BIG[0], BIG, np.ones(50)),
        (BIG[0], BIG, np.ones((2000, 1))),
        (BIG[0], np.asfortranarray(BIG), None),
        (np.repeat(BIG, 2, axis=1)[:, ::2], BIG, None),
    ],
    ids=["plain", "own", "number", "shared-sigma", "sigma-a-curve", "fortran-y", "strided-x"],
)
def test_memory_goes_by_the_slab_and_not_by_the_batch(
    x: Floats, y: Floats, sigma: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(curves_module, "_SLAB_POINTS", 1000)
    curves = as_curves(LINE, x, y, None, sigma)
    tracemalloc.start()
    try:
        assert sum(len(slab.rows) for slab in curves.slabs()) == 2000
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 0.5 * y.nbytes


# Layouts -------------------------------------------------------------------------------------

MATRIX = np.random.default_rng(0).normal(size=(4, 12))
SHARED = np.linspace(0, 1, 12)


def laid_out(curves: Curves) -> list[tuple[list[float], list[float], list[float] | None]]:
    """Return the points of each curve as lists."""
    slabs = list(curves.slabs())
    found = [points_of(slabs, row) for row in range(len(curves))]
    return [(x.tolist(), y.tolist(), s if s is None else s.tolist()) for x, y, s in found]


OFFSETS = np.arange(0, 49, 12)
OWN_X = np.tile(SHARED, (4, 1))


@pytest.mark.parametrize(
    ("x", "y", "offsets"),
    [
        (OWN_X, MATRIX, None),
        (OWN_X.ravel(), MATRIX, None),
        (SHARED[None], MATRIX, None),
        (SHARED.tolist(), MATRIX.tolist(), None),
        ({"x": SHARED}, MATRIX, None),
        (SHARED, MATRIX.ravel(), OFFSETS),
        (OWN_X.ravel(), MATRIX.ravel(), OFFSETS),
        (OWN_X, MATRIX.ravel(), OFFSETS),
        (OWN_X.ravel(), MATRIX.ravel(), OFFSETS.astype(np.int32)),
        (OWN_X.ravel(), MATRIX.ravel(), OFFSETS.astype(np.uint64)),
        (SHARED, np.asfortranarray(MATRIX), None),
        (SHARED, np.repeat(MATRIX, 2, axis=1)[:, ::2], None),
        (SHARED[::-1][::-1], MATRIX[::-1][::-1], None),
        (np.ma.masked_invalid(SHARED), np.ma.masked_invalid(MATRIX), None),
    ],
)
def test_every_layout_gives_the_same_curves(x: Any, y: Any, offsets: Any) -> None:
    expected = laid_out(as_curves(LINE, SHARED, MATRIX, None, None))
    assert laid_out(as_curves(LINE, x, y, offsets, None)) == expected


@pytest.mark.parametrize("slab_points", [1 << 21, 30])
def test_layouts_that_are_not_contiguous_survive_being_cut(
    slab_points: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(curves_module, "_SLAB_POINTS", slab_points)
    expected = laid_out(as_curves(LINE, OWN_X, MATRIX, None, np.exp(MATRIX)))
    fortran = [np.asfortranarray(v) for v in (OWN_X, MATRIX, np.exp(MATRIX))]
    assert laid_out(as_curves(LINE, fortran[0], fortran[1], None, fortran[2])) == expected


def test_offsets_may_leave_values_out_at_both_ends() -> None:
    x, y, sigma, _ = ragged([30])
    curves = as_curves(LINE, x, y, [3, 8, 8, 20], sigma)
    slabs = list(curves.slabs())
    for row, own in ((0, slice(3, 8)), (2, slice(8, 20))):
        for found, values in zip(points_of(slabs, row), (x, y, sigma), strict=True):
            np.testing.assert_array_equal(found, values[own])
    assert curves.length.tolist() == [5, 0, 12]


@pytest.mark.parametrize(
    ("sigma", "expected"),
    [
        (2.0, np.full((4, 12), 2.0)),
        (SHARED + 1, np.tile(SHARED + 1, (4, 1))),
        ([[1], [2], [3], [4]], np.repeat([[1.0], [2], [3], [4]], 12, axis=1)),
        (np.exp(MATRIX), np.exp(MATRIX)),
        (np.exp(MATRIX).ravel(), np.exp(MATRIX)),
        (np.float32(2), np.full((4, 12), 2.0)),
    ],
)
def test_sigma_broadcasts_to_the_shape_of_y(sigma: Any, expected: Floats) -> None:
    found = laid_out(as_curves(LINE, SHARED, MATRIX, None, sigma))
    assert [s for _, _, s in found] == expected.tolist()


def test_sigma_of_ragged_curves_is_flat_or_a_number() -> None:
    x, y, sigma, offsets = ragged([5, 9])
    flat = laid_out(as_curves(LINE, x, y, offsets, sigma))
    assert [s for _, _, s in flat] == [sigma[:5].tolist(), sigma[5:].tolist()]
    number = laid_out(as_curves(LINE, x, y, offsets, 0.5))
    assert [s for _, _, s in number] == [[0.5] * 5, [0.5] * 9]


def test_masked_values_do_not_count() -> None:
    y = np.ma.masked_equal(np.arange(10).reshape(2, 5), 1)
    x = np.ma.masked_equal(np.arange(5.0), 4)
    assert laid_out(as_curves(LINE, x, y, None, None)) == [
        ([0, 2, 3], [0, 2, 3], None),
        ([0, 1, 2, 3], [5, 6, 7, 8], None),
    ]


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int64, np.float32, np.float16, bool])
def test_any_real_numbers_become_double(dtype: type) -> None:
    y: Any = np.array([[0, 1, 1, 0]]).astype(dtype)
    (slab,) = as_curves(LINE, np.arange(4), y, None, None).slabs()
    assert slab.y.dtype == np.float64
    assert slab.y.tolist() == [[0, 1, 1, 0]]


def test_several_predictors_each_have_their_own_layout() -> None:
    curves = as_curves(PLANE, {"v": OWN_X + MATRIX, "u": SHARED}, MATRIX, None, None)
    (slab,) = curves.slabs()
    np.testing.assert_array_equal(slab.predictors[0], SHARED[None])
    np.testing.assert_array_equal(slab.predictors[1], OWN_X + MATRIX)


@pytest.mark.parametrize(
    ("y", "offsets"), [(np.empty((0, 5)), None), (np.empty(0), [0]), (np.empty((0, 0)), None)]
)
def test_no_curves_are_no_slabs(y: Floats, offsets: Any) -> None:
    curves = as_curves(LINE, np.empty(y.shape[-1]), y, offsets, None)
    assert len(curves) == 0
    assert list(curves.slabs()) == []


def test_nothing_is_copied_on_the_way_in() -> None:
    x, y, _, offsets = ragged([5, 9])
    curves = as_curves(LINE, x, y, offsets, None)
    assert np.shares_memory(curves.y, y)
    assert np.shares_memory(curves.predictors[0], x)


# What cannot be ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "y", "offsets", "sigma", "message"),
    [
        (SHARED, SHARED, None, None, r"got shape \(12,\); for one curve give y\[None\]"),
        (SHARED, MATRIX[None], None, None, r"y must be \(n_curves, n_points\).*got shape \(1, 4"),
        (SHARED, 3.0, None, None, r"y must be \(n_curves, n_points\).*got shape \(\)"),
        (SHARED, MATRIX + 0j, None, None, r"y must be real numbers, got dtype complex128"),
        (SHARED, [["a"] * 12], None, None, r"y must be real numbers, got dtype <U1"),
        (SHARED, [[None] * 12], None, None, r"y must be real numbers, got dtype object"),
        (["a"] * 12, MATRIX, None, None, r"x\['x'\] must be real numbers"),
        (SHARED, MATRIX, None, "wide", r"sigma must be real numbers"),
        (SHARED, MATRIX, OFFSETS, None, r"with offsets y must be flat, got shape \(4, 12\)"),
        (SHARED, SHARED, [], None, r"offsets must be n_curves \+ 1 integers, got shape \(0,\)"),
        (SHARED, SHARED, [0.0, 12.0], None, r"offsets must be n_curves \+ 1 integers.*float64"),
        (SHARED, SHARED, [[0, 12]], None, r"offsets must be n_curves \+ 1 integers, got shape"),
        (SHARED, SHARED, [0, 13], None, r"offsets must ascend.*at most len\(y\) = 12, got 0..13"),
        (SHARED, SHARED, [-1, 5], None, r"offsets must ascend from >= 0"),
        (SHARED, SHARED, [0, 8, 5, 12], None, r"offsets must ascend.*, descending"),
        (SHARED[:5], MATRIX, None, None, r"x\['x'\] must have shape \(4, 12\) like y.*got \(5,\)"),
        (MATRIX.T, MATRIX, None, None, r"x\['x'\] must have shape .*got \(12, 4\)"),
        (3.0, MATRIX, None, None, r"x\['x'\] must have shape .*got \(\)"),
        (SHARED[:5], SHARED, [0, 5, 12], None, r"flat like y \(curves differ in length"),
        (SHARED, MATRIX, None, np.ones(5), r"sigma must be a number.*\(4, 12\); got \(5,\)"),
        (SHARED, SHARED, [0, 5, 12], np.ones(2), r"sigma must be a number.*\(12,\); got \(2,\)"),
        ({"t": SHARED}, MATRIX, None, None, r"model 'line' needs x for \('x',\), got \('t',\)"),
    ],
)
def test_data_that_do_not_fit_are_refused(
    x: Any, y: Any, offsets: Any, sigma: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        as_curves(LINE, x, y, offsets, sigma)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (SHARED, r"model 'plane' needs x as a mapping with \('u', 'v'\)"),
        ({"u": SHARED}, r"model 'plane' needs x for \('u', 'v'\), got \('u',\)"),
        ({"u": SHARED, "v": SHARED[:3]}, r"x\['v'\] must have shape"),
    ],
)
def test_predictors_that_are_missing_or_do_not_fit_are_refused(x: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        as_curves(PLANE, x, MATRIX, None, None)
