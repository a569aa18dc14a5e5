"""mod, as NumPy has it: the sign is the divisor's.

x - n*y for n = x/y rounded down is exact, but for the last place of n, and y is added if n was too
large. Quotients beyond 2**51 are divided bit by bit, in integers, behind a branch.
"""

from collections.abc import Callable
from math import inf
from typing import Any

from llvmlite import ir

from ..lanes import DOUBLE, INT64, Lanes, Vec
from .pairs import product
from .rare import done_again
from .rounding import floor

_MOST = 2.0**51
_LARGEST_DIVISOR = 2.0**990
_STEP = 11
_FRACTION = (1 << 52) - 1


def mod(lanes: Lanes, x: Vec, y: Vec) -> Vec:
    """Return x modulo y."""
    quotient = x / y
    size = lanes.abs(y)
    taken = product(lanes, floor(lanes, quotient), y)
    rest = (x - taken.head) - taken.tail
    wanted = (lanes.abs(quotient) >= _MOST) | (lanes.abs(taken.head) == inf)
    if not lanes.machine.fma:
        wanted = wanted | (size > _LARGEST_DIVISOR)
    wanted = wanted & (lanes.abs(x) < inf) & (size > 0.0) & (size < inf)
    (rest,) = done_again(lanes, "manyfit.remainder", wanted, [rest], [x, y], _remainder)
    rest = lanes.where(size == inf, x + (x - x), rest)
    apart = ((lanes.bits(rest) ^ lanes.bits(y)) < 0) & (rest != 0.0)
    return lanes.copysign(lanes.where(apart, rest + y, rest), y)


def _remainder(builder: Any, declared: Callable[..., Any], x: Any, y: Any) -> list[Any]:
    """Return the remainder of two finite doubles, y not 0, with the sign of x.

    With abs(x) = a*2**i and abs(y) = b*2**j, a is multiplied by 2 as often as i is above j, some
    times at once, modulo b.
    """
    a, i = _whole(builder, x)
    b, j = _whole(builder, y)
    before = builder.block
    loop, done = (builder.append_basic_block(name) for name in ("divide", "divided"))
    first, over = builder.urem(a, b), builder.sub(i, j)
    builder.branch(loop)
    builder.position_at_end(loop)
    rest, left = builder.phi(INT64), builder.phi(INT64)
    most, none = ir.Constant(INT64, _STEP), ir.Constant(INT64, 0)
    step = builder.select(builder.icmp_signed("<", left, most), left, most)
    step = builder.select(builder.icmp_signed("<", step, none), none, step)
    following, fewer = builder.urem(builder.shl(rest, step), b), builder.sub(left, step)
    for phi, begin, again in ((rest, first, following), (left, over, fewer)):
        phi.add_incoming(begin, before)
        phi.add_incoming(again, loop)
    builder.cbranch(builder.icmp_signed(">", fewer, none), loop, done)
    builder.position_at_end(done)
    size = _double(builder, following, j)
    copied = declared("llvm.copysign.f64", DOUBLE, DOUBLE, DOUBLE)
    result = builder.call(copied, [size, x])
    return [builder.select(builder.icmp_signed("<", over, none), x, result)]


def _whole(builder: Any, x: Any) -> tuple[Any, Any]:
    """Return m and i of abs(x) = m * 2**(i - 1075)."""
    bits = builder.bitcast(x, INT64)
    power = builder.and_(builder.lshr(bits, ir.Constant(INT64, 52)), ir.Constant(INT64, 0x7FF))
    fraction = builder.and_(bits, ir.Constant(INT64, _FRACTION))
    normal = builder.icmp_signed(">", power, ir.Constant(INT64, 0))
    m = builder.or_(fraction, ir.Constant(INT64, _FRACTION + 1))
    one = ir.Constant(INT64, 1)
    return builder.select(normal, m, fraction), builder.select(normal, power, one)


def _double(builder: Any, m: Any, i: Any) -> Any:
    """Return m * 2**(i - 1075), which is a double."""
    power = builder.sub(i, ir.Constant(INT64, 1075))
    half = builder.ashr(power, ir.Constant(INT64, 1))
    value = builder.sitofp(m, DOUBLE)
    for part in (half, builder.sub(power, half)):
        bits = builder.add(
            builder.shl(part, ir.Constant(INT64, 52)), ir.Constant(INT64, 1023 << 52)
        )
        value = builder.fmul(value, builder.bitcast(bits, DOUBLE))
    return value
