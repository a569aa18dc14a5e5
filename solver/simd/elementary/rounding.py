"""Rounding down without a call on the machines that have no instruction for it."""

from ..lanes import Lanes, Vec

_WHOLE_FROM = 2.0**52


def floor(lanes: Lanes, x: Vec) -> Vec:
    """Return x, rounded down."""
    if lanes.machine.name != "sse2":
        return lanes.floor(x)
    size = lanes.abs(x)
    near = lanes.copysign((size + _WHOLE_FROM) - _WHOLE_FROM, x)
    return lanes.where(size < _WHOLE_FROM, near - lanes.where(near > x, 1.0, 0.0), x)
