"""Simple units: the range of x and y made one, and the way back to the units of the data.

    x = origin + width*x',    y = level + height*y'

Halves are subtracted, never whole numbers: no difference of two finite numbers overflows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

SMALLEST = 1e-300
"""A range that is not larger counts as none: its reciprocal might be infinite."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The units of curves; each attribute is one number a curve.

    Attributes
    ----------
    origin, width
        Where x' is 0, and the size of its unit; some positive width where all x are equal.
    level, height
        Where y' is 0, and the size of its unit; height is 1 where all y are equal.
    half_origin, per_half_width, per_height
        origin/2, 2/width and 1/height.
    """

    origin: Any
    width: Any
    level: Any
    height: Any
    half_origin: Any
    per_half_width: Any
    per_height: Any

    def x_of(self, x: Any) -> Any:
        """Return x'."""
        return (0.5 * x - self.half_origin) * self.per_half_width

    def y_of(self, y: Any) -> Any:
        """Return y'."""
        return (y - self.level) * self.per_height


FrameOf: TypeAlias = Callable[..., Frame]
"""``frame_of(xp, x_first, x_last, y_least, y_most)``."""


def unit_frame(xp: Any, x_first: Any, x_last: Any, y_least: Any, y_most: Any) -> Frame:
    """Return units in which x runs from 0 to 1 and y from -1 to 1: for models with a constant."""
    half_width = _or_one(xp, 0.5 * x_last - 0.5 * x_first)
    level = 0.5 * y_most + 0.5 * y_least
    height = _or_one(xp, 0.5 * y_most - 0.5 * y_least)
    return Frame(
        x_first, 2.0 * half_width, level, height, 0.5 * x_first, 1.0 / half_width, 1.0 / height
    )


def scaled_frame(xp: Any, x_first: Any, x_last: Any, y_least: Any, y_most: Any) -> Frame:
    """Return units in which x and y are at most 1 in size, and 0 stays 0: for others."""
    half_width = _or_one(xp, 0.5 * xp.maximum(xp.abs(x_first), xp.abs(x_last)))
    height = _or_one(xp, xp.maximum(xp.abs(y_least), xp.abs(y_most)))
    zero = 0.0 * half_width
    return Frame(zero, 2.0 * half_width, zero, height, zero, 1.0 / half_width, 1.0 / height)


def data_frame(xp: Any, x_first: Any, *_: Any) -> Frame:
    """Return the units of the data, to the bit: for what finds simpler ones for its parts."""
    one = xp.where(x_first == x_first, 1.0, 1.0)  # noqa: PLR0124 - a number a curve
    zero = 0.0 * one
    return Frame(zero, one, zero, one, zero, 2.0 * one, one)


def _or_one(xp: Any, scale: Any) -> Any:
    """Replace a scale of no size by one."""
    return xp.where(scale > SMALLEST, scale, 1.0)
