"""The compiled engine beside a loop over SciPy's leastsq with Dfun, on one core, in one run.

python -m tests.benchmarks.compiled [--curves N] [--loop N] [--rounds N] [--uneven] [NAME ...]

Every figure is processor time of one thread, the best of several rounds that take turns, so that a
busy machine slows all alike; only "threads" is by the clock. "kernel" is the fit alone, without
covariances; "fit_curves" is the public call, covariances and all; "threads" the gain of two threads
over one. "minimum" is the share of curves whose sum of squares is at most 1e-6 above that of
SciPy's, and "silent" counts those above it that claim success. "ns point" and "ns tick" are what an
evaluation of the model and its derivatives costs a point and curve, and what an iteration costs a
curve besides: a line through fits of the whole curves and of their first halves that end at once.
With --uneven points are moved by a millionth of the range: none follows from its neighbour.
"""

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from manyfit import Model, fit_curves
from manyfit.solver.arrays import Floats
from manyfit.solver.compiled import registers_for
from manyfit.solver.minpack import Rules
from manyfit.solver.simd.engine import Ends, Points, kernel, run
from manyfit.solver.simd.evenly import is_even
from manyfit.solver.simd.machine import host
from manyfit.solver.simd.specification import Specification
from manyfit.solver.trust_region import Tolerances

from .engine import leastsq_loop
from .workloads import PEERS, Workload

TARGETS = {"W1": 240, "W2": 240, "W3": 125, "W4": 97, "W5b": 165, "W6": 600}
"""The ratios of a hand-written C++ demo to the same loop."""
_RULES = Rules(Tolerances(1.49012e-8, 1.49012e-8, 0.0, 2000))


def seconds(work: Callable[[], object]) -> float:
    """Return the time that this thread spends on `work`."""
    begin = time.thread_time()
    work()
    return time.thread_time() - begin


class Case:
    """One workload, with its curves, its model and its kernel."""

    def __init__(self, load: Workload, n_curves: int) -> None:
        self.load, self.y = load, load.curves(n_curves)
        names = tuple(f"x{k}" for k in range(len(load.predictors)))
        params = tuple(f"p{j}" for j in range(len(load.truth)))
        model = Model(name=load.title, params=params, predictors=names, func=load.func)
        self.model = model.traced()
        self.x = dict(zip(names, load.predictors, strict=True))
        graph = self.model.graph
        assert graph is not None
        registers = registers_for(host(), self.y.shape[1], len(params))
        shared = (True,) * len(names)
        flags = (False, False, False, False)
        even = tuple(is_even(np.asarray(p, dtype=np.float64)) for p in load.predictors)
        self.kernel = Specification(
            graph, params, shared, even, (False,), *flags, host(), registers
        )
        began = time.perf_counter()
        kernel(self.kernel)
        self.compile_s = time.perf_counter() - began

    def fit(self) -> object:
        """Fit all curves by the public call."""
        return fit_curves(self.model, self.x, self.y, p0=self.load.start)

    def run(self, n_points: int | None = None, rules: Rules = _RULES) -> int:
        """Fit all curves, or their first points, by the kernel; return its evaluations."""
        n_curves, width = self.y.shape
        points = Points(
            self.y.reshape(-1),
            np.arange(n_curves) * width,
            np.full(n_curves, n_points or width),
            tuple(np.ascontiguousarray(p, dtype=np.float64) for p in self.load.predictors),
            self.kernel.shared,
        )
        start = np.array([self.load.start], dtype=np.float64)
        rows = np.arange(n_curves)
        step = max(1, (1 << 22) // width)
        ends = Ends.places(n_curves, start.size)
        for k in range(0, n_curves, step):
            run(self.kernel, points, rows[k : k + step], start, (), rules, ends, rows[k : k + step])
        return int(ends.nfev.sum())

    def quality(self, minimum: Floats) -> tuple[float, int]:
        """Return the share of curves at SciPy's minimum, and how many claim success above it."""
        few = fit_curves(self.model, self.x, self.y[: len(minimum)], p0=self.load.start)
        above = 2 * few.cost > minimum * (1 + 1e-6)
        return float(1 - above.mean()), int((above & few.success).sum())


def threads_gain(case: Case) -> float:
    """Return how much more two threads do than one, by the clock, the median of five."""
    began = time.perf_counter()
    case.run()
    times = max(1, round(0.2 / (time.perf_counter() - began)))  # long enough to be at work at once

    def work(_: int) -> None:
        for _round in range(times):
            case.run()

    gains = []
    with ThreadPoolExecutor(2) as pool:
        for _ in range(5):
            began = time.perf_counter()
            work(0)
            one = time.perf_counter() - began
            began = time.perf_counter()
            list(pool.map(work, range(2)))
            gains.append(2 * one / (time.perf_counter() - began))
    return float(np.median(gains))


def moved(load: Workload) -> Workload:
    """Return a workload whose points lie a little off their even places."""
    rng = np.random.default_rng(1)
    off = [x + 1e-6 * np.ptp(x) * rng.uniform(size=x.shape) for x in load.predictors]
    return replace(load, x=tuple(off) if isinstance(load.x, tuple) else off[0])


def measure(name: str, n_curves: int, n_loop: int, rounds: int, *, uneven: bool) -> None:
    """Print one line of the table."""
    case = Case(moved(PEERS[name]) if uneven else PEERS[name], n_curves)
    few = case.y[:n_loop]
    case.fit()
    width = case.y.shape[1]
    once = Rules(Tolerances(0.0, 0.0, 1e150, 1))
    runs: dict[str, Callable[[], object]] = {
        "fit": case.fit,
        "kernel": case.run,
        "scipy": lambda: leastsq_loop(case.load, few, exact=True),
        "whole": lambda: case.run(rules=once),
        "half": lambda: case.run(width // 2, rules=once),
    }
    best = dict.fromkeys(runs, np.inf)
    for _ in range(rounds):
        for key, work in runs.items():
            best[key] = min(best[key], seconds(work))
    evaluations = case.run() / n_curves
    fit_s, kernel_s, scipy_s = (
        best["fit"] / n_curves,
        best["kernel"] / n_curves,
        best["scipy"] / n_loop,
    )
    point_s = (best["whole"] - best["half"]) / n_curves / (width - width // 2)
    tick_s = kernel_s / evaluations - point_s * width
    share, silent = case.quality(np.array(leastsq_loop(case.load, few, exact=True)))
    print(
        f"{name:4s} {1e-3 / kernel_s:8.0f} {1e-3 / fit_s:10.0f} {1e-3 / scipy_s:7.2f} "
        f"{scipy_s / kernel_s:7.0f} {scipy_s / fit_s:10.0f} {TARGETS[name]:7d} {share:9.4f} "
        f"{silent:6d} {case.compile_s:8.2f} {threads_gain(case):8.2f} {evaluations:6.2f} "
        f"{1e9 * point_s:9.3f} {1e9 * tick_s:8.1f}"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--curves", type=int, default=40_000)
    parser.add_argument("--loop", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--uneven", action="store_true")
    options = parser.parse_args()
    print(f"{host().name}; thousands of fits a second, one core; ratios to leastsq with Dfun")
    print(
        f"{'':4s} {'kernel':>8s} {'fit_curves':>10s} {'leastsq':>7s} {'ratio':>7s} {'ratio':>10s} "
        f"{'target':>7s} {'minimum':>9s} {'silent':>6s} {'compile':>8s} {'threads':>8s} "
        f"{'nfev':>6s} {'ns point':>9s} {'ns tick':>8s}"
    )
    for name in options.names or PEERS:
        measure(name, options.curves, options.loop, options.rounds, uneven=options.uneven)


if __name__ == "__main__":
    main()
