"""Faddeeva's function and its derivative against mpmath, over the plane, on every machine."""

from functools import cache

import mpmath
import numpy as np
import numpy.typing as npt
import pytest
from scipy.special import wofz

from manyfit.solver.graph.faddeeva import STEP, Faddeeva
from manyfit.solver.graph.faddeeva import faddeeva as by_numpy
from manyfit.solver.simd.elementary import faddeeva
from manyfit.solver.simd.machine import Machine, machines
from tests.solver.simd.elementary.kernels import Floats, kernel
from tests.solver.simd.elementary.reference import binades

MACHINES = pytest.mark.parametrize("machine", machines(), ids=lambda machine: machine.name)

# Bounds of the relative errors; of the derivative as a complex number
RE, IM, SLOPE = 1.5e-15, 7e-15, 5e-14


@cache
def plane() -> tuple[Floats, Floats]:
    """Return x and y in the first quadrant: the core, near the axes, nodes, wings, and far out."""
    rng = np.random.default_rng(4)
    n = 60
    nodes = np.arange(n) * (STEP / 4.0)
    parts = [
        (rng.uniform(0, 7, 3 * n), rng.uniform(0, 7, 3 * n)),
        (rng.uniform(0, 9, 3 * n), 10.0 ** rng.uniform(-9, 0.7, 3 * n)),
        (rng.uniform(0, 26, n), 10.0 ** rng.uniform(-300, 0, n)),
        (rng.uniform(0, 26, n), np.zeros(n)),
        (nodes, 10.0 ** rng.uniform(-12, 0, n)),
        (nodes * (1.0 + 1e-15), np.full(n, 1e-7)),
        (10.0 ** rng.uniform(-9, 0, n), 10.0 ** rng.uniform(-9, 1, n)),
        (np.zeros(n), 10.0 ** rng.uniform(-3, 3, n)),
        (rng.uniform(0, 9, n), rng.uniform(5.5, 6.8, n)),
        (10.0 ** rng.uniform(1.5, 11, n), 10.0 ** rng.uniform(-9, 11, n)),
        (binades(500, 1000, n), binades(-1000, 1000, n)[::-1]),
    ]
    x, y = (np.concatenate(column) for column in zip(*parts, strict=True))
    return x, y


def exact(x: float, y: float) -> tuple[complex, complex]:
    """Return w and dw/dz: far out by the asymptotic series, else by erfc at high precision."""
    size = max(x, y)
    digits = 60 + (int(size * size) if size < 27 else 0)
    digits += sum(int(-np.log10(v)) for v in (x, y) if 0.0 < v < 1.0)
    with mpmath.workdps(digits):
        z, root = mpmath.mpc(x, y), mpmath.sqrt(mpmath.pi)
        if size < 27:
            w = mpmath.exp(-z * z) * mpmath.erfc(-1j * z)
            return complex(w), complex(2j / root - 2 * z * w)
        terms = [mpmath.mpf(1)]
        for n in range(1, 30):
            terms.append(terms[-1] * (2 * n - 1) / (2 * z * z))
        return complex(1j * sum(terms) / (root * z)), complex(-2j / root * sum(terms[1:]))


@cache
def exact_values() -> tuple[Floats, ...]:
    """Return Re w, Im w, Re dw/dz and Im dw/dz at the points of the plane."""
    values = [exact(float(x), float(y)) for x, y in zip(*plane(), strict=True)]
    w, slope = (np.array(column) for column in zip(*values, strict=True))
    return w.real, w.imag, slope.real, slope.imag


def assert_right(found: tuple[Floats, ...], wanted: tuple[Floats, ...]) -> None:
    re, im, slope_re, slope_im = (f - w for f, w in zip(found, wanted, strict=True))
    least = 1e-290  # smaller ones have fewer digits
    assert np.max(np.abs(re) / np.maximum(np.abs(wanted[0]), least)) <= RE
    assert np.max(np.abs(im) / np.maximum(np.abs(wanted[1]), least)) <= IM
    size = np.maximum(np.hypot(wanted[2], wanted[3]), least)
    assert np.max(np.hypot(slope_re, slope_im) / size) <= SLOPE


def parts(value: Faddeeva) -> tuple[Floats, ...]:
    return value.real, value.imag, value.slope_real, value.slope_imag


@MACHINES
def test_the_upper_half_plane_is_right_to_few_units(machine: Machine) -> None:
    x, y = plane()
    one, two = (
        kernel(faddeeva, machine, width, 2, 4)(x, y)
        for width in (machine.register, 2 * machine.register)
    )
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a.view(np.int64), b.view(np.int64))
    assert_right(one, exact_values())
    re, im, slope_re, slope_im = kernel(faddeeva, machine, machine.register, 2, 4)(-x, y)
    for found, wanted in zip((re, -im, -slope_re, slope_im), one, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_numpy_is_as_right() -> None:
    assert_right(parts(by_numpy(*plane())), exact_values())


@cache
def below() -> tuple[Floats, ...]:
    """Return x, y < 0, w and dw/dz there as four columns, and abs(w) + abs(exp(-z**2))."""
    rng = np.random.default_rng(6)
    rows = []
    for x, y in zip(rng.uniform(-8, 8, 150), -(10.0 ** rng.uniform(-6, 1.2, 150)), strict=True):
        with mpmath.workdps(300):
            z = mpmath.mpc(x, y)
            bell = mpmath.exp(-z * z)
            w = bell * mpmath.erfc(-1j * z)
            slope = 2j / mpmath.sqrt(mpmath.pi) - 2 * z * w
            size = abs(w) + abs(bell)
            rows.append([float(v) for v in (x, y, w.real, w.imag, slope.real, slope.imag, size)])
    return tuple(np.array(rows).T)


@MACHINES
def test_the_lower_half_plane_is_the_reflected_one(machine: Machine) -> None:
    x, y, *wanted, size = below()
    ours = kernel(faddeeva, machine, machine.register, 2, 4)(x, y)
    for found in (ours, parts(by_numpy(x, y))):
        for value, exactly in zip(found, wanted, strict=True):
            off = np.abs(value - exactly) / (size * (1.0 + np.hypot(x, y)))
            assert np.max(off) <= 1e-13


def complex_of(x: Floats, y: Floats) -> npt.NDArray[np.complex128]:
    """Return x + i*y, whatever they are."""
    z = x.astype(np.complex128)
    z.imag = y
    return z


EDGES = [0.0, 5e-324, 1e-310, 1.0, 6.0, 27.0, 1e154, 1e300, np.inf]


@MACHINES
def test_edges_are_those_of_scipy(machine: Machine) -> None:
    x, y = (c.ravel() for c in np.meshgrid([*EDGES, *(-v for v in EDGES)], EDGES))
    wanted = wofz(complex_of(x, y))
    ours = kernel(faddeeva, machine, machine.register, 2, 4)(x, y)
    for re, im, *slopes in (ours, parts(by_numpy(x, y))):
        np.testing.assert_allclose(re, wanted.real, rtol=1e-13, atol=1e-312)
        np.testing.assert_allclose(im, wanted.imag, rtol=1e-13, atol=1e-312)
        assert np.isfinite(slopes).all()


@MACHINES
def test_overflow_and_nan_are_those_of_scipy(machine: Machine) -> None:
    x = np.array([0.0, 1.0, 1.0, 50.0, np.inf, np.nan, 1.0, -np.inf, 0.0])
    y = np.array([-30.0, -30.0, -1e200, -10.0, -1.0, 1.0, np.nan, -1e10, -np.inf])
    wanted = wofz(complex_of(x, y)).real
    found = kernel(faddeeva, machine, machine.register, 2, 4)(x, y)[0]
    for re in (found, by_numpy(x, y).real):
        np.testing.assert_allclose(re, wanted, rtol=1e-11, atol=1e-320)
