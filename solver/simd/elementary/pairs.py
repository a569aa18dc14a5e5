"""Numbers in two doubles (Dekker, Numer. Math. 18 (1971) 224).

Sums and products of doubles are exact; those of pairs are right to some units of 2**-104, their
heads and tails not quite apart.
"""

from dataclasses import dataclass

from ..lanes import Lanes, Vec

_SPLIT = 2.0**27 + 1.0


@dataclass(frozen=True, slots=True)
class Pair:
    """head + tail, the tail being at most half a unit in the last place of the head."""

    head: Vec
    tail: Vec


def quick_sum(a: Vec, b: Vec) -> Pair:
    """Return a + b; abs(a) >= abs(b), or a = 0."""
    head = a + b
    return Pair(head, (a - head) + b)


def product(lanes: Lanes, a: Vec, b: Vec) -> Pair:
    """Return a * b; without fma neither may be beyond 2**996 in size."""
    head = a * b
    if lanes.machine.fma:
        return Pair(head, lanes.fma(a, b, -head))
    a_high, a_low = _halves(a)
    b_high, b_low = _halves(b)
    tail = ((a_high * b_high - head) + a_high * b_low + a_low * b_high) + a_low * b_low
    return Pair(head, tail)


def times(lanes: Lanes, a: Pair, b: Pair) -> Pair:
    """Return the product of pairs."""
    head = product(lanes, a.head, b.head)
    return Pair(head.head, lanes.fma(a.head, b.tail, lanes.fma(a.tail, b.head, head.tail)))


def quotient(lanes: Lanes, a: Pair, b: Pair) -> Pair:
    """Return the quotient of pairs, with two divisions."""
    head = a.head / b.head
    back = product(lanes, head, b.head)
    rest = ((a.head - back.head) - back.tail) + lanes.fma(-head, b.tail, a.tail)
    return Pair(head, rest / b.head)


def _halves(a: Vec) -> tuple[Vec, Vec]:
    """Return a number as two of at most 26 bits."""
    spread = a * _SPLIT
    high = spread - (spread - a)
    return high, a - high
