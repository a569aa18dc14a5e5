"""Fits a second of the reference engine beside loops over SciPy, on one core, in one run.

python -m tests.benchmarks.engine [--curves N] [--loop N] [NAME ...]

Every figure is processor time of this process, the best of several rounds that take turns, so
that a busy machine slows all alike. `fit_curves` returns covariances; `leastsq` is called with
full_output. "at minimum" is the share of curves whose sum of squares is no more than 1e-6 above
that of SciPy's loop with derivatives.
"""

import argparse
import time
import warnings
from collections.abc import Callable

import numpy as np
from scipy.optimize import curve_fit, leastsq

from manyfit import BatchFit, Model, fit_curves
from manyfit.solver.library import get_model

from .workloads import LIBRARY, PEERS, TEXTBOOK, Workload

_ROUNDS = 5


def seconds(work: Callable[[], object]) -> float:
    """Return the processor time that `work` takes."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


def ours(load: Workload, y: np.ndarray, *, exact: bool) -> BatchFit:
    """Fit all curves in one call, by the library's model where there is one."""
    if load.library is not None and exact:
        return fit_curves(get_model(load.library), load.x, y, p0=load.start, engine="reference")
    names = [f"p{j}" for j in range(len(load.truth))]
    predictors = [f"x{j}" for j in range(len(load.predictors))]
    model = Model(
        name=load.title,
        params=tuple(names),
        predictors=tuple(predictors),
        func=load.func,
        jac=load.jac if exact else None,
    )
    x = dict(zip(predictors, load.predictors, strict=True))
    return fit_curves(model, x, y, p0=load.start, engine="reference")


def leastsq_loop(load: Workload, y: np.ndarray, *, exact: bool) -> list[float]:
    """Fit curve by curve with leastsq; return the sums of squares."""
    x = load.predictors

    def sum_of_squares(curve: np.ndarray) -> float:
        _, _, info, _, _ = leastsq(
            lambda p: load.func(*x, *p) - curve,
            load.start,
            Dfun=(lambda p: np.array(load.jac(*x, *p))) if exact else None,
            col_deriv=True,
            full_output=True,
        )
        return float((info["fvec"] ** 2).sum())

    return [sum_of_squares(curve) for curve in y]


def curve_fit_loop(load: Workload, y: np.ndarray) -> None:
    """Fit curve by curve with curve_fit."""
    stacked = load.x if not isinstance(load.x, tuple) else np.array(load.x)
    unpack = isinstance(load.x, tuple)

    def func(x: np.ndarray, *p: float) -> np.ndarray:
        return np.asarray(load.func(*x, *p) if unpack else load.func(x, *p))

    for curve in y:
        curve_fit(func, stacked, curve, load.start)


def measure(name: str, load: Workload, n_curves: int, n_loop: int) -> None:
    """Print one line of the table."""
    y = load.curves(n_curves)
    few = y[:n_loop]
    best: dict[str, float] = {}
    runs: dict[str, tuple[Callable[[], object], int]] = {
        "exact": (lambda: ours(load, y, exact=True), n_curves),
        "differences": (lambda: ours(load, y, exact=False), n_curves),
        "Dfun": (lambda: leastsq_loop(load, few, exact=True), n_loop),
        "leastsq": (lambda: leastsq_loop(load, few, exact=False), n_loop),
        "curve_fit": (lambda: curve_fit_loop(load, few), n_loop),
    }
    for _ in range(_ROUNDS):
        for key, (work, n) in runs.items():
            best[key] = max(best.get(key, 0.0), n / seconds(work))
    fit = ours(load, few, exact=True)
    minimum = np.array(leastsq_loop(load, few, exact=True))
    at_minimum = np.mean(2 * fit.cost <= minimum * (1 + 1e-6))
    print(
        f"{name:10s} {load.title:38s} {best['exact']:9.0f} {best['differences']:9.0f} "
        f"{best['Dfun']:8.0f} {best['leastsq']:8.0f} {best['curve_fit']:8.0f} "
        f"{best['exact'] / best['Dfun']:7.1f} {best['differences'] / best['leastsq']:7.1f} "
        f"{best['differences'] / best['curve_fit']:7.1f} {at_minimum:9.4f}"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--curves", type=int, default=1000)
    parser.add_argument("--loop", type=int, default=300)
    options = parser.parse_args()
    loads = TEXTBOOK | LIBRARY | PEERS
    print(
        f"{'':10s} {'fits a second on one core':38s} {'exact':>9s} {'diff.':>9s} "
        f"{'Dfun':>8s} {'leastsq':>8s} {'curve_f':>8s} "
        f"{'ratio':>7s} {'ratio':>7s} {'ratio':>7s} {'at min.':>9s}"
    )
    warnings.simplefilter("ignore")
    for name in options.names or loads:
        measure(name, loads[name], options.curves, options.loop)


if __name__ == "__main__":
    main()
