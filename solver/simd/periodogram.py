"""The highest peaks of the periodograms of the curves in the lanes, in machine code.

The frequencies and the power are those of `library.periodogram`; the sums over the points are
taken as they are, without a grid of cells. With z = exp(i*w*x) at each point, and d = exp(i*Δ*x),
the next frequency's z is z*d; some frequencies are taken at each visit to a point.

Peaks are kept in order of height as they come.
"""

from dataclasses import dataclass
from typing import Any

from ..library.periodogram import (
    CELLS,
    FEWEST_CELLS,
    LEAST_DETERMINANT,
    MARGIN,
    NYQUIST,
    OVERSAMPLING,
    TAU,
)
from .lanes import DOUBLE, INT64, Lanes, Vec
from .loops import counted, slot_of

AT_ONCE = 4
"""Frequencies at a visit to a point."""


def highest_peaks(curves: Any, count: int) -> list[Vec]:
    """Emit the search; return w of the peaks, x running from 0 to 1.

    Parameters
    ----------
    curves
        The `passes.LaneCurves`.
    count
        The number of peaks. Where there are fewer the lowest frequency stands for them.
    """
    lanes: Lanes = curves.lanes
    y_sum, steps = curves.totals(
        lambda p: [p.y, lanes.where(p.x > p.x_before, lanes.real(1.0), 0.0)]
    )
    size = _power_of_two(lanes, lanes.larger(CELLS * (steps + 1.0), float(FEWEST_CELLS)))
    cycles = (size - MARGIN) / (OVERSAMPLING * size)
    most = lanes.smaller(NYQUIST * steps / cycles, 0.25 * OVERSAMPLING * size - 0.5)
    search = _Search(curves, y_sum / curves.count, TAU * cycles, most, count)
    return search.emit()


def _power_of_two(lanes: Lanes, whole: Vec) -> Vec:
    """Return the least power of two that is no less than a whole number above 1."""
    exponent = lanes.bits(whole - 0.5) & (0x7FF << 52)
    return 2.0 * lanes.from_bits(exponent)


@dataclass(slots=True)
class _Search:
    """Emits the search.

    Attributes
    ----------
    curves
        Where the points are.
    mean
        The mean of y.
    unit
        w of the first frequency; the k-th is k times that.
    most
        The number below which k stays.
    count
        How many peaks are kept.
    """

    curves: Any
    mean: Vec
    unit: Vec
    most: Vec
    count: int

    def emit(self) -> list[Vec]:
        """Emit the loop over the frequencies, some at a time."""
        lanes: Lanes = self.curves.lanes
        builder, unit = lanes.builder, self.unit
        curves = self.curves
        turn = curves.keep(lambda p: list(curves.xp.sincos(unit * p.x))[::-1])
        now = self.curves.keep(lambda _: [lanes.real(1.0), lanes.real(0.0)])
        powers = [slot_of(lanes) for _ in range(self.count)]
        places = [slot_of(lanes) for _ in range(self.count)]
        before = [slot_of(lanes), slot_of(lanes)]
        for slot in (*powers, *before):
            lanes.store(lanes.real(0.0), slot)
        for slot in places:
            lanes.store(lanes.real(1.0), slot)
        largest = lanes.largest_lane(lanes.larger(self.most, 0.0))
        rounds = builder.add(builder.sdiv(largest, INT64(AT_ONCE)), INT64(1))
        with counted(builder, rounds) as (k, _):
            first = lanes.spread(builder.sitofp(builder.mul(k, INT64(AT_ONCE)), DOUBLE))
            for j, power in enumerate(self._powers(turn, now)):
                place = first + float(j)
                counts = (place < self.most) & (place > 0.0)
                self._look_back(place, lanes.where(counts, power, 0.0), before, powers, places)
        last = builder.mul(rounds, INT64(AT_ONCE))
        self._look_back(
            lanes.spread(builder.sitofp(last, DOUBLE)), lanes.real(0.0), before, powers, places
        )
        return [unit * lanes.load(slot) for slot in places]

    def _powers(self, turn: list[Any], now: list[Any]) -> list[Vec]:
        """Emit a pass; return the powers of the next few frequencies."""
        lanes: Lanes = self.curves.lanes
        with self.curves.over_points() as p:
            y, one = p.y - self.mean, lanes.real(1.0)
            if p.inside is not None:
                y, one = lanes.where(p.inside, y, 0.0), lanes.where(p.inside, one, 0.0)
            dc, ds = (p.kept(column) for column in turn)
            c, s = (p.kept(column) for column in now)
            sums = []
            for _ in range(AT_ONCE):
                wc = c * one if p.inside is not None else c
                ws = s * one if p.inside is not None else s
                terms = ((y, c), (y, s), (wc, one), (ws, one), (wc, c), (wc, s))
                sums.append([self._summed(p, a, b, one) for a, b in terms])
                c, s = lanes.fma(c, dc, -(s * ds)), lanes.fma(c, ds, s * dc)
            for column, value in zip(now, (c, s), strict=True):
                p.keep(column, value)
        return [self._power([lanes.load(slot) for slot in slots]) for slots in sums]

    def _summed(self, p: Any, a: Vec, b: Vec, one: Vec) -> Any:
        """Add a*b to a sum; return its slot."""
        lanes: Lanes = self.curves.lanes
        slot = p.carried(0.0)
        old = lanes.load(slot)
        lanes.store(old + a if b is one else lanes.fma(a, b, old), slot)
        return slot

    def _power(self, sums: list[Vec]) -> Vec:
        """Return the gain of a sinusoid and a constant."""
        n = self.curves.count
        yc, ys = sums[:2]
        c, s, cc, cs = (value / n for value in sums[2:])
        ss = 1.0 - cc
        cc, ss, cs = cc - c * c, ss - s * s, cs - c * s
        determinant = self.curves.lanes.larger(cc * ss - cs * cs, LEAST_DETERMINANT)
        gain: Vec = (ss * (yc * yc) + cc * (ys * ys) - 2.0 * cs * (yc * ys)) / determinant
        return gain

    def _look_back(
        self, place: Vec, power: Vec, before: list[Any], powers: list[Any], places: list[Any]
    ) -> None:
        """Keep the frequency before `place` if it is a peak, and move on by one."""
        lanes: Lanes = self.curves.lanes
        older, old = (lanes.load(slot) for slot in before)
        found = lanes.where((old >= older) & (old > power), old, 0.0)
        at = place - 1.0
        for power_slot, place_slot in zip(powers, places, strict=True):
            kept, kept_at = lanes.load(power_slot), lanes.load(place_slot)
            higher = found > kept
            lanes.store(lanes.where(higher, found, kept), power_slot)
            lanes.store(lanes.where(higher, at, kept_at), place_slot)
            found, at = lanes.where(higher, kept, found), lanes.where(higher, kept_at, at)
        lanes.store(old, before[0])
        lanes.store(power, before[1])
