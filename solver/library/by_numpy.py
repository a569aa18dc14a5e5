"""Estimates executed by NumPy, on the blocks of `sorted_curves`.

A value of a curve is (n_curves,), or (1,) where all curves of the block have the same; a value at
the points (n_points, n_curves), or (n_points, 1).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from ..arrays import Floats
from ..graph.graph import GraphFunction
from .frames import Frame, FrameOf
from .passes import Lag, Point, Value
from .periodogram import highest_peaks
from .sorted_curves import SortedCurves, integral, running_total, total


def sine_and_cosine(phase: Any) -> tuple[Any, Any]:
    """Return both from one tangent, of half the angle; the absolute error is a few 1e-16.

    NumPy has vector code for the tangent of float64, but not for sine and cosine: one tangent is
    up to ten times faster than either.
    """
    t = np.tan(0.5 * phase)
    squared = t * t
    share = 1.0 / (1.0 + squared)
    return 2.0 * t * share, (1.0 - squared) * share


FUNCTIONS = SimpleNamespace(
    where=np.where,
    minimum=np.minimum,
    maximum=np.maximum,
    abs=np.abs,
    sqrt=np.sqrt,
    exp=np.exp,
    log=np.log,
    rint=np.rint,
    sincos=sine_and_cosine,
    arctan2=np.arctan2,
)
"""The functions of an estimate."""


@dataclass(frozen=True, slots=True)
class WholeLag:
    """A distance in points; a `Lag`."""

    points: int


@dataclass(frozen=True, slots=True)
class AllPoints:
    """All points of a block at once; a `Point`."""

    curves: SortedCurves

    @property
    def x(self) -> Floats:
        """The predictor."""
        return self.curves.x

    @property
    def y(self) -> Floats:
        """The value."""
        return self.curves.y

    @property
    def index(self) -> Floats:
        """The number of points before each."""
        return np.arange(float(len(self.curves.y)))[:, None]

    @property
    def x_before(self) -> Floats:
        """`x` of the point before."""
        return np.concatenate([self.x[:1], self.x[:-1]])

    def running(self, value: Floats) -> Floats:
        """Return the sums up to each point."""
        return running_total(value)

    def before(self, value: Floats) -> Floats:
        """Return the values at the points before."""
        return np.concatenate([np.zeros_like(value[:1]), value[:-1]])

    def integral(self, value: Floats) -> Floats:
        """Return the integral up to each point."""
        return integral(value, self.x)

    def kept(self, column: Floats) -> Floats:
        """Return what was kept."""
        return column

    def formulas(self, func: GraphFunction, values: Sequence[Value]) -> list[Value]:
        """Return the values of formulas."""
        shape = self.curves.y.shape
        found = func(self.curves.x, *values)
        return [np.broadcast_to(value, shape) for value in ([found] if func.single else found)]

    def behind(self, column: Floats, lag: Lag) -> Floats:
        """Return what was kept some points before."""
        n = min(int(lag.points), len(column))
        return np.concatenate([np.zeros_like(column[:n]), column[: len(column) - n]])


@dataclass(frozen=True, slots=True)
class ArrayCurves:
    """A block of curves in the units of a frame; `Curves` of arrays."""

    points: SortedCurves
    frame: Frame

    @classmethod
    def of(cls, curves: SortedCurves, frame_of: FrameOf) -> "ArrayCurves":
        """Return curves in simple units."""
        x, y = curves.x, curves.y
        frame = frame_of(FUNCTIONS, x[0], x[-1], y.min(axis=0), y.max(axis=0))
        return cls(curves.replaced(frame.x_of(x), frame.y_of(y)), frame)

    @property
    def xp(self) -> Any:
        """The functions."""
        return FUNCTIONS

    @property
    def count(self) -> Floats:
        """The number of points."""
        return self.points.count

    def totals(self, terms: Callable[[Point], Sequence[Value]]) -> list[Value]:
        """Return sums over the points."""
        shape = (len(self.points.y), 1)
        values = terms(AllPoints(self.points))
        values = [v if np.ndim(v) == 2 else np.broadcast_to(v, shape) for v in values]
        return [total(self.points.weigh(value)) for value in values]

    def largest(self, key: Callable[[Point], tuple[Value, Sequence[Value]]]) -> list[Value]:
        """Return the largest key, and the values there."""
        keys, values = key(AllPoints(self.points))
        valid = self.points.valid
        keys = keys if valid is None else np.where(valid > 0, keys, -np.inf)
        place = np.argmax(keys, axis=0)[None]
        shape = keys.shape
        return [
            np.take_along_axis(np.broadcast_to(v, shape), place, axis=0)[0] for v in (keys, *values)
        ]

    def keep(
        self,
        values: Callable[[Point], Sequence[Value]],
        room: Sequence[Floats] = (),  # noqa: ARG002 - arrays come and go
    ) -> list[Floats]:
        """Return the values at all points."""
        return list(values(AllPoints(self.points)))

    def guessed(
        self, guess: Callable[..., Any], column: Floats, part: tuple[Value, Value] | None = None
    ) -> list[Value]:
        """Return the start values that a guess finds for what was kept."""
        x, valid = self.points.x, self.points.valid
        inside = np.ones((1, 1), np.bool_) if valid is None else valid > 0
        if part is not None:
            first, last = part
            place = first + np.arange((last - first).max() + 1.0)[:, None]
            inside = place <= last
            place = np.minimum(place, last).astype(np.intp)
            x = np.take_along_axis(np.broadcast_to(x, column.shape), place, axis=0)
            column = np.take_along_axis(column, place, axis=0)
        return list(guess(x.T, column.T, np.broadcast_to(inside, column.shape).T).T)

    def x_at(self, index: Value) -> Value:
        """Return x of the points with these indices."""
        x = self.points.x
        place = np.clip(index, 0.0, self.count - 1.0).astype(np.intp)
        x = np.broadcast_to(x, (len(x), max(len(place), x.shape[1])))
        return np.take_along_axis(x, place[None], axis=0)[0]

    def highest_peaks(self, count: int) -> list[Floats]:
        """Return frequencies where the periodogram is high."""
        return highest_peaks(self.points, count)

    def widening(
        self, state: Sequence[Value], body: Callable[[Lag, list[Value]], Sequence[Value]]
    ) -> list[Value]:
        """Return the state after the body for 1, 2, 4 ... points of lag."""
        lag, now = 1, list(state)
        while lag == 1 or lag < len(self.points.y):
            now = list(body(WholeLag(lag), now))
            lag *= 2
        return now

    def repeated(
        self, times: int, state: Sequence[Value], body: Callable[[list[Value]], Sequence[Value]]
    ) -> list[Value]:
        """Return the state after the body, so many times."""
        now = list(state)
        for _ in range(times):
            now = list(body(now))
        return now

    def each(
        self,
        candidates: Sequence[Sequence[Value]],
        attempt: Callable[[list[Value]], Sequence[Value]],
    ) -> list[list[Value]]:
        """Return what an attempt gives for each candidate."""
        return [
            list(attempt([np.atleast_1d(value) for value in candidate])) for candidate in candidates
        ]

    def best(
        self,
        candidates: Sequence[Sequence[Value]],
        attempt: Callable[[list[Value]], tuple[Value, Sequence[Value]]],
    ) -> list[Value]:
        """Return what the best candidate gives."""
        best: list[Value] = []
        for candidate in candidates:
            gain, values = attempt([np.atleast_1d(value) for value in candidate])
            found = [np.where(np.isnan(gain), -np.inf, gain), *values]
            if not best:
                best = found
                continue
            better = found[0] > best[0]
            best = [np.where(better, new, old) for new, old in zip(found, best, strict=True)]
        return best[1:]
