"""Loops, and room for what they change, in the code that is emitted."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .lanes import DOUBLE, INT64, Lanes


def slot_of(lanes: Lanes, n: int = 1) -> Any:
    """Return room for n vectors, taken once a call of the function."""
    builder = lanes.builder
    with builder.goto_entry_block():
        slot = builder.alloca(lanes.vector(DOUBLE), n)
        slot.align = 64
        return builder.bitcast(slot, DOUBLE.as_pointer())


@contextmanager
def counted(builder: Any, count: Any) -> Iterator[tuple[Any, Any]]:
    """Emit a loop from 0 to count - 1, of one round at least, around what is emitted inside.

    Gives the number of the round, and the block before the loop, which may still be written to.
    """
    before = builder.append_basic_block("before")
    builder.branch(before)
    builder.position_at_end(before)
    head = builder.append_basic_block("round")
    after = builder.append_basic_block("done")
    builder.branch(head)
    builder.position_at_end(head)
    i = builder.phi(INT64)
    i.add_incoming(INT64(0), before)
    yield i, before
    following = builder.add(i, INT64(1))
    i.add_incoming(following, builder.block)
    builder.cbranch(builder.icmp_signed("<", following, count), head, after)
    builder.position_at_end(after)
