"""Bring curves into columns, a lane each, without the points that do not count.

    buffer[k * width + lane] = the k-th point of the lane's curve whose y is finite

A column goes on with copies of the last point, up to the longest of the lanes, as one of a shorter
curve does.
"""

from dataclasses import dataclass
from typing import Any

from .lanes import DOUBLE, INT64
from .loops import counted


@dataclass(frozen=True, slots=True)
class Packing:
    """Emits the copy.

    Attributes
    ----------
    builder
        Where code is emitted.
    width
        The number of lanes.
    sources
        Pointers to y, and to x, of the curves.
    shared
        Whether all curves share x.
    columns
        The buffers of y, and of x.
    """

    builder: Any
    width: int
    sources: tuple[Any, Any]
    shared: bool
    columns: tuple[Any, Any]

    def packed(self, lane: int, start: Any, length: Any) -> Any:
        """Emit the copy of the points from `start` on; return how many count.

        Each is written, and the next over it where it does not count: no branch is to be foreseen.
        """
        builder, (y, x) = self.builder, self.sources
        with builder.goto_entry_block():
            count = builder.alloca(INT64)
        builder.store(INT64(0), count)
        with counted(builder, length) as (i, _):
            at = builder.add(start, i)
            value, position = self._number(y, at), self._number(x, i if self.shared else at)
            number = builder.load(count)
            for column, new in zip(self.columns, (value, position), strict=True):
                builder.store(new, self._place(column, number, lane))
            counts = builder.fcmp_ordered("==", builder.fsub(value, value), DOUBLE(0.0))
            builder.store(builder.add(number, builder.zext(counts, INT64)), count)
        return builder.load(count)

    def fill_up(self, lane: int, length: Any, longest: Any) -> None:
        """Emit copies of a lane's last point; where none counts, of one that does not."""
        builder = self.builder
        with builder.if_then(builder.icmp_signed("<", length, longest)):
            none = builder.icmp_signed("==", length, INT64(0))
            last = builder.select(none, length, builder.sub(length, INT64(1)))
            values = [builder.load(self._place(column, last, lane)) for column in self.columns]
            with counted(builder, builder.sub(longest, length)) as (k, _):
                for column, value in zip(self.columns, values, strict=True):
                    builder.store(value, self._place(column, builder.add(length, k), lane))

    def _number(self, pointer: Any, at: Any) -> Any:
        """Load a number as a double."""
        builder = self.builder
        value = builder.load(builder.gep(pointer, [at]))
        return value if value.type == DOUBLE else builder.fpext(value, DOUBLE)

    def _place(self, column: Any, point: Any, lane: int) -> Any:
        """Return where a point of a lane is."""
        builder = self.builder
        place = builder.add(builder.mul(point, INT64(self.width)), INT64(lane))
        return builder.gep(column, [place])
