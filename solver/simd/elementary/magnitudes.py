"""Two numbers brought to a moderate size, so that their squares neither overflow nor vanish."""

from ..lanes import Lanes, Vec

_EXPONENT = 0x7FF << 52


def of_moderate_size(lanes: Lanes, a: Vec, b: Vec) -> tuple[Vec, Vec, Vec]:
    """Return a/u, b/u and a power of two u, for a, b >= 0.

    The larger is between 1 and 4 then, but for 0, subnormal numbers (less) and infinities.
    """
    larger = lanes.smaller(2.0**1022, lanes.larger(2.0**-1022, lanes.larger(a, b)))
    unit = lanes.bits(larger) & _EXPONENT
    inverse = lanes.from_bits(-unit + (2046 << 52))
    return a * inverse, b * inverse, lanes.from_bits(unit)
