"""Elementary functions in lanes: errors, instructions and time beside NumPy, in one run.

python -m tests.benchmarks.elementary [--machine NAME] [--width LANES] [NAME ...]

"ulp" is the largest error found at the points of the tests, "instr." what the loop has for 8
values, loads, stores and counting included, behind no rare branch. Times are processor time a
value, over 2048 values that stay in the first-level cache, and four times as many for NumPy, so
that its calls do not count: the best of several rounds that take turns.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np

from manyfit.solver.graph.operations import OPERATIONS
from manyfit.solver.simd import elementary
from manyfit.solver.simd.elementary import ELEMENTARY
from manyfit.solver.simd.machine import Machine, machines
from tests.solver.simd.elementary.kernels import Floats, Kernel, kernel
from tests.solver.simd.elementary.reference import CASES, errors

_N, _NUMPYS_N = 2048, 8192
_TIMES, _NUMPYS_TIMES = 200, 10
_ROUNDS = 40

RANGES = {
    "log": (0.1, 10.0),
    "log2": (0.1, 10.0),
    "log10": (0.1, 10.0),
    "arcsin": (-1.0, 1.0),
    "arccos": (-1.0, 1.0),
    "arctanh": (-1.0, 1.0),
    "arccosh": (1.0, 10.0),
    "log1p": (-0.9, 10.0),
    "power": (0.1, 10.0),
    "erf": (-3.0, 3.0),
    "erfc": (-3.0, 3.0),
    "gammaln": (0.1, 30.0),
    "digamma": (0.1, 30.0),
    "trigamma": (0.1, 30.0),
    **dict.fromkeys(("wofz_real", "wofz_imag", "wofz_slope_real", "wofz_slope_imag"), (0.1, 10.0)),
}
"""Where times are taken, if not between -10 and 10."""


def aligned(values: Floats) -> Floats:
    """Return a copy that begins where a register's load never crosses a line of the cache."""
    room = np.empty(values.size + 8)
    first = -room.ctypes.data % 64 // 8
    room[first : first + values.size] = values
    return room[first : first + values.size]


def seconds(work: Callable[[], object]) -> float:
    """Return the processor time that `work` takes."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


def nanoseconds(ours: Kernel, numpys: Callable[..., object], columns: list[Floats]) -> list[float]:
    """Return the best times a value of both."""
    outputs = [aligned(np.empty(_N)) for _ in range(ours.n_out)]

    many = [np.resize(column, _NUMPYS_N) for column in columns]
    sizes = (_N * _TIMES, _NUMPYS_N * _NUMPYS_TIMES)

    def repeated() -> None:
        for _ in range(_NUMPYS_TIMES):
            numpys(*many)

    runs = (lambda: ours.run(outputs, columns, _TIMES), repeated)
    best = [np.inf, np.inf]
    with np.errstate(all="ignore"):
        for _ in range(_ROUNDS):
            for place, run in enumerate(runs):
                best[place] = min(best[place], seconds(run))
    return [1e9 * value / size for value, size in zip(best, sizes, strict=True)]


def measure(name: str, machine: Machine, width: int) -> None:
    """Print one line of the table."""
    arity = CASES[name].arity if name in CASES else 2
    function = getattr(elementary, name, None) or ELEMENTARY[name]
    ours = kernel(function, machine, width, arity)
    off = "exact" if name == "mod" else "-"
    if name in CASES:
        off = f"{np.max(errors(name, ours(*CASES[name].points()))):5.2f}"
    print_line(name, ours, off, columns_of(name, arity), numpys_of(name))


def measure_both(machine: Machine, width: int) -> None:
    """Print the line of sine and cosine at once."""
    ours = kernel(elementary.sincos, machine, width, 1, 2)
    found = ours(*CASES["sin"].points())
    off = max(np.max(errors(name, v)) for name, v in zip(("sin", "cos"), found, strict=True))
    print_line(
        "sincos", ours, f"{off:5.2f}", columns_of("sin", 1), lambda x: (np.sin(x), np.cos(x))
    )


def columns_of(name: str, arity: int) -> list[Floats]:
    """Return the operands that times are taken with."""
    rng = np.random.default_rng(1)
    low, high = RANGES.get(name, (-10.0, 10.0))
    return [aligned(rng.uniform(low, high, _N)) for _ in range(arity)]


def numpys_of(name: str) -> Callable[..., object]:
    """Return NumPy's function, writing into an array that is there."""
    if name == "exp10":
        return lambda x: np.power(10.0, x)
    evaluate = OPERATIONS[name].evaluate
    room = np.empty(_NUMPYS_N)
    if isinstance(evaluate, np.ufunc):
        return lambda *columns: evaluate(*columns, out=room)
    return evaluate


def print_line(
    name: str, ours: Kernel, off: str, columns: list[Floats], numpys: Callable[..., object]
) -> None:
    """Print a function's name, errors, instructions and times."""
    mine, theirs = nanoseconds(ours, numpys, columns)
    instructions = 8.0 * len(ours.loop()) / ours.width
    print(
        f"{name:15s} {off:>5s} {instructions:7.1f} {mine:8.3f} {theirs:8.3f} {theirs / mine:7.1f}"
    )


def main() -> None:
    """Print the table."""
    names = [machine.name for machine in machines()]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--machine", choices=names, default=names[0])
    parser.add_argument("--width", type=int)
    options = parser.parse_args()
    machine = machines()[names.index(options.machine)]
    width = options.width or 2 * machine.register
    print(f"{machine.name}, {width} lanes")
    print(f"{'function':15s} {'ulp':>5s} {'instr.':>7s} {'ns':>8s} {'NumPy':>8s} {'ratio':>7s}")
    for name in options.names or [*ELEMENTARY, "exp10"]:
        measure(name, machine, width)
    if not options.names:
        measure_both(machine, width)


if __name__ == "__main__":
    main()
