"""What a start guess is written over: curves in simple units, and passes over their points.

An estimate is one function of `Curves`. It gathers sums and maxima over the points in a few passes
and computes with them, one number a curve; what stands in a pass is computed at each point:

    Σ(x*y), Σ(x*x) = curves.totals(lambda p: [p.x * p.y, p.x * p.x])
    slope = Σ(x*y) / Σ(x*x)

NumPy executes it on arrays (`by_numpy`), for all curves of a block at once; the compiled engine
(`solver.simd.guessing`) calls it once to emit machine code, with a curve in each lane. So it may
not look at a value: it chooses with ``xp.where``, and computes with + - * / and comparisons, & | ~
and the functions of ``xp``.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias

from ..graph.graph import GraphFunction
from .frames import Frame

Value: TypeAlias = Any
"""One number a curve, or, in a pass, one at each point of it."""

Column: TypeAlias = Any
"""Values at all points, kept for later passes."""


class Lag(Protocol):
    """A distance in points that is known when the estimate runs."""

    @property
    def points(self) -> Value:
        """The distance, as a number to compute with."""
        ...


class Point(Protocol):
    """Where a pass is. After a curve's last point copies of it may come, which do not count."""

    @property
    def x(self) -> Value:
        """The predictor, ascending."""
        ...

    @property
    def y(self) -> Value:
        """The value."""
        ...

    @property
    def index(self) -> Value:
        """The number of points before this one."""
        ...

    @property
    def x_before(self) -> Value:
        """`x` of the point before; of the first point its own."""
        ...

    def running(self, value: Value) -> Value:
        """Return the sum up to this point, with it."""
        ...

    def before(self, value: Value) -> Value:
        """Return the value at the point before, 0 at the first."""
        ...

    def integral(self, value: Value) -> Value:
        """Return the integral over x from the first point to this one, by trapezoids."""
        ...

    def formulas(self, func: GraphFunction, values: Sequence[Value]) -> list[Value]:
        """Return the values of formulas of the predictor and of other numbers."""
        ...

    def kept(self, column: Column) -> Value:
        """Return what an earlier pass has kept at this point."""
        ...

    def behind(self, column: Column, lag: Lag) -> Value:
        """Return what an earlier pass has kept `lag` points before this one, 0 where none is."""
        ...


class Curves(Protocol):
    """Curves with their points in ascending order of x, in the units of a frame."""

    @property
    def xp(self) -> Any:
        """The functions: where, minimum, maximum, abs, sqrt, exp, log, rint, sincos, arctan2."""
        ...

    @property
    def count(self) -> Value:
        """The number of points, at least 1."""
        ...

    @property
    def frame(self) -> Frame:
        """The way back to the units of the data."""
        ...

    def totals(self, terms: Callable[[Point], Sequence[Value]]) -> list[Value]:
        """Return sums over the points, taken one after the other."""
        ...

    def largest(self, key: Callable[[Point], tuple[Value, Sequence[Value]]]) -> list[Value]:
        """Return the largest key, and the values at the first point that has it."""
        ...

    def keep(
        self,
        values: Callable[[Point], Sequence[Value]],
        room: Sequence[Column] = (),
    ) -> list[Column]:
        """Keep values at all points for later passes, in place of those that had the room."""
        ...

    def guessed(
        self, guess: Callable[..., Any], column: Column, part: tuple[Value, Value] | None = None
    ) -> list[Value]:
        """Return the start values that a guess finds for what was kept, in place of y.

        It sees all points, or a part: from a first to a last one, by their indices.
        """
        ...

    def x_at(self, index: Value) -> Value:
        """Return x of a point by its index, which is moved into the curve where it is outside."""
        ...

    def highest_peaks(self, count: int) -> list[Value]:
        """Return w of the highest peaks of the periodogram; see `periodogram`."""
        ...

    def widening(
        self, state: Sequence[Value], body: Callable[[Lag, list[Value]], Sequence[Value]]
    ) -> list[Value]:
        """Return the state after ``state = body(lag, state)`` for 1, 2, 4 ... points of lag.

        As long as the lag is less than the number of points; once at least.
        """
        ...

    def repeated(
        self, times: int, state: Sequence[Value], body: Callable[[list[Value]], Sequence[Value]]
    ) -> list[Value]:
        """Return the state after ``state = body(state)`` so many times, once at least."""
        ...

    def each(
        self,
        candidates: Sequence[Sequence[Value]],
        attempt: Callable[[list[Value]], Sequence[Value]],
    ) -> list[list[Value]]:
        """Return what an attempt gives for each candidate."""
        ...

    def best(
        self,
        candidates: Sequence[Sequence[Value]],
        attempt: Callable[[list[Value]], tuple[Value, Sequence[Value]]],
    ) -> list[Value]:
        """Return what ``gain, values = attempt(candidate)`` gives with the largest gain.

        The first of equals; a gain that is NaN is less than any.
        """
        ...


Estimate: TypeAlias = Callable[[Curves], Sequence[Value]]
"""Start values in the units of the data, one a parameter."""
