"""Quotients and square roots from estimates, for processors that take long over a division.

Intel's divide a register of eight doubles in 16 cycles, take its root in 24, and do one after the
other; they could do 32 and 48 multiply-adds meanwhile. There, with y from an instruction that gives
1/b or 1/sqrt(b) to 14 bits (vrcp14pd, vrsqrt14pd),

    e = 1 - b y,     1/b     = y / (1 - e)      = y (1 + e + e² + e³ + ...)
    e = 1 - b y²,    sqrt(b) = b y / sqrt(1 - e) = b y (1 + e/2 + 3/8 e² + 5/16 e³ + ...)

up to e³: what is left is 2**-56.
"""

from typing import Any

from .elementary.instructions import approximate_inverse, approximate_inverse_root
from .lanes import Lanes, Vec
from .machine import Machine


def inverse(lanes: Lanes, b: Vec) -> Vec:
    """Return 1/b, right to 1 unit in the last place; of 0, infinity and NaN as by division."""
    if not lanes.machine.slow_division:
        return 1.0 / b
    first = approximate_inverse(lanes, b)
    e = lanes.fma(-b, first, 1.0)
    series = lanes.fma(e, lanes.fma(-b, first, 2.0), 1.0)  # 1 + e + e²
    value = lanes.fma(first * e, series, first)
    return lanes.where(value == value, value, first)  # noqa: PLR0124 - NaN, where e is none


def fast_lanes(builder: Any, width: int, machine: Machine) -> Lanes:
    """Return an emitter for formulas that need neither correct rounding nor roots below 0."""
    kind = EstimatingLanes if machine.slow_division else Lanes
    return kind(builder, width, machine)


class EstimatingLanes(Lanes):
    """Lanes whose quotients and roots are right to 2 units in the last place.

    `narrowed` gives lanes that divide, which is where functions of the model are emitted.
    """

    def arithmetic(self, name: str, a: Any, b: Any) -> Vec:
        """Emit add, sub or mul, or a quotient where 1/b neither overflows nor underflows."""
        if name != "div":
            return super().arithmetic(name, a, b)
        below = inverse(self, self.real(b))
        return below if not isinstance(a, Vec) and a == 1.0 else a * below

    def sqrt(self, a: Vec) -> Vec:
        """Return the square root of a number that is not negative."""
        first = approximate_inverse_root(self, a)
        root = a * first
        e = self.fma(-root, first, 1.0)
        series = self.fma(e, self.fma(e, 5.0 / 16.0, 3.0 / 8.0), 0.5)
        value = self.fma(root * e, series, root)
        return self.where(value == value, value, a)  # noqa: PLR0124 - 0 and infinity
