"""The same curves in every shape that `fit_curves` takes them in, on one core, in one run.

python -m tests.benchmarks.shapes [--curves N] [--rounds N]

W1, a decay at 50 points. Every figure is processor time of one thread a curve, the best of several
rounds that take turns, and as a ratio to the first line; "ragged" curves have 30 to 50 points, and
their ratio is to the same number of points. "guess": no start values are given. "peak": a Gaussian
on a constant at 50 points, a fifth of the window wide; "narrow peak": a fiftieth.
"""

import argparse
import time
from typing import Any

import numpy as np

from manyfit import Model, fit_curves
from manyfit.solver.library import get_model

START = [1.0, 1.0, 1.0]


def shapes(n_curves: int) -> dict[str, dict[str, Any]]:
    """Return the arguments of `fit_curves` by the name of the shape."""
    rng = np.random.default_rng(0)
    x = np.linspace(0, 5, 50)
    a, b, c = np.array([2, 1.5, 0.5])[:, None] * rng.uniform(0.8, 1.2, (3, n_curves))
    y = a[:, None] * np.exp(-b[:, None] * x) + c[:, None] + rng.normal(0, 0.05, (n_curves, 50))
    own = np.tile(x, (n_curves, 1))
    length = rng.integers(30, 51, n_curves)
    inside = np.arange(50) < length[:, None]
    offsets = np.concatenate([[0], np.cumsum(length)])
    holes = rng.random(y.shape)
    decay = {"model": Model.from_expression("a*exp(-b*x) + c"), "x": x, "y": y, "p0": START}
    guessed = {**decay, "model": get_model("exponential_decay"), "p0": None}
    sigma = rng.uniform(0.04, 0.06, y.shape)
    peak = Model.from_expression("a*exp(-((x - m)/s)**2/2) + c", params=["a", "m", "s", "c"])

    def peaks(s: float) -> dict[str, Any]:
        m = rng.uniform(2, 3, (n_curves, 1))
        values = np.exp(-(((x - m) / s) ** 2) / 2) + rng.normal(0, 0.02, y.shape)
        start = np.hstack([np.ones_like(m), m + 0.2 * s, np.full_like(m, 1.1 * s), 0 * m])
        return {"model": peak, "x": x, "y": values, "p0": start}

    return {
        "shared x": decay,
        "x per curve": {**decay, "x": own},
        "x per curve, uneven": {**decay, "x": own + rng.uniform(0, 0.01, own.shape)},
        "float32": {**decay, "y": y.astype(np.float32)},
        "sigma": {**decay, "sigma": sigma},
        "x per curve, sigma": {**decay, "x": own, "sigma": sigma},
        "bounds": {**decay, "bounds": {"c": (0, None)}},
        "one fixed": {**decay, "fixed": {"c": 0.5}},
        "p0 per curve": {**decay, "p0": np.tile(START, (n_curves, 1))},
        "ragged": {**decay, "x": own[inside], "y": y[inside], "offsets": offsets},
        "1 % of points NaN": {**decay, "y": np.where(holes < 0.01, np.nan, y)},
        "10 % of points NaN": {**decay, "y": np.where(holes < 0.1, np.nan, y)},
        "peak": peaks(1.0),
        "narrow peak": peaks(0.1),
        "guess": guessed,
        "guess, 1 % NaN": {**guessed, "y": np.where(holes < 0.01, np.nan, y)},
        "guess, 10 % NaN": {**guessed, "y": np.where(holes < 0.1, np.nan, y)},
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--curves", type=int, default=40_000)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    cases = shapes(options.curves)
    best = dict.fromkeys(cases, np.inf)
    for _ in range(options.rounds + 1):  # the first one compiles
        for name, arguments in cases.items():
            began = time.thread_time()
            fit = fit_curves(**arguments)
            best[name] = min(best[name], time.thread_time() - began)
            assert fit.compiled.all()
    print(f"{'':20s} {'ns a curve':>10s} {'ratio':>6s}")
    for name, spent in best.items():
        share = 0.8 if name == "ragged" else 1.0
        ratio = spent / share / best["shared x"]
        print(f"{name:20s} {1e9 * spent / options.curves:10.0f} {ratio:6.2f}")


if __name__ == "__main__":
    main()
