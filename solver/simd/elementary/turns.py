"""How far an angle is into its turn: x = k*s + r, for a step s = 2*pi/2**q of a turn.

For moderate x k = x/s is rounded by a shift, and k*s is taken from x in three parts of pi
(Cody and Waite 1980): with fma of 53 bits each, the product of the first being exact in it, else
of 38 bits, exact for abs(k) < 2**15. Beyond, x/(2*pi) comes from the bits of 1/(2*pi) that matter
(Payne and Hanek 1983): in integers, lane by lane, behind a branch that is taken only when a lane
needs it and changes no other.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise
from typing import Any

from llvmlite import ir

from ..lanes import DOUBLE, INT64, Lanes, Vec
from .exponentials import SHIFT
from .instructions import has_avx512, multiply_add_down
from .rare import done_again

_INT128 = ir.IntType(128)
_LIMIT_WITH_FMA, _LIMIT = 2.0**30, 2.0**15
_WORDS = 20
_PLACES = 64 * _WORDS


@dataclass(frozen=True, slots=True)
class Angle:
    """An angle as steps and a rest.

    Attributes
    ----------
    step
        Integers whose lowest bits are those of k.
    rest
        r, at most half a step in size but for rounding.
    tail
        What rounding took from r, where it was asked for, else 0.
    """

    step: Vec
    rest: Vec
    tail: Vec


@cache
def pi_times_power_of_two(places: int) -> int:
    """Return floor(pi * 2**places) to a few units, by Machin's formula."""
    one = 1 << (places + 32)

    def arctan_of_inverse(n: int) -> int:
        term, total, k = one // n, 0, 0
        while term:
            total += (-1) ** k * (term // (2 * k + 1))
            term //= n * n
            k += 1
        return total

    return (16 * arctan_of_inverse(5) - 4 * arctan_of_inverse(239)) >> 32


@cache
def parts_of_pi(bits: int) -> tuple[float, ...]:
    """Return pi as a sum of three positive numbers, of so many bits but for the last."""
    places = 400
    rest = pi_times_power_of_two(places)
    parts = []
    for size in (bits, bits, 53):
        drop = rest.bit_length() - size
        head = rest >> drop << drop
        parts.append(head * 2.0**-places)
        rest -= head
    return tuple(parts)


def angle(lanes: Lanes, x: Vec, q: int, *, with_tail: bool = False) -> Angle:
    """Return x as a whole number of steps of 2*pi/2**q and a rest."""
    step = 2.0 ** (1 - q)
    shifted = lanes.fma(x, _inverse_pi() / step, SHIFT)
    rest = _rest(lanes, x, shifted - SHIFT, step, with_tail=with_tail)
    return _checked(lanes, x, lanes.abs(x), (shifted, *rest), (q, False))


def angle_between(lanes: Lanes, x: Vec) -> Angle:
    """Return abs(x) as steps of pi, half a step, and a rest."""
    size = lanes.abs(x)
    if has_avx512(lanes):
        up = 2.0**52
        shifted = multiply_add_down(lanes, size, lanes.real(_inverse_pi()), lanes.real(up))
        k = shifted - (up - 0.5)
    else:
        shifted = lanes.fma(size, _inverse_pi(), -0.5) + SHIFT
        k = (shifted - SHIFT) + 0.5
    rest = _rest(lanes, size, k, 1.0, with_tail=False)
    return _checked(lanes, size, size, (shifted, *rest), (1, True))


def _inverse_pi() -> float:
    places = 200
    return float((1 << 2 * places) // pi_times_power_of_two(places)) * 2.0**-places


def _rest(lanes: Lanes, x: Vec, k: Vec, step: float, *, with_tail: bool) -> list[Vec]:
    """Return x - k*pi*step, step being a power of two, and what rounding took from it."""
    a, b, c = (-part * step for part in parts_of_pi(53 if lanes.machine.fma else 38))
    first = lanes.fma(k, a, x)
    if not with_tail:
        return [lanes.fma(k, c, lanes.fma(k, b, first))]
    product = k * b
    second = first + product
    tail = product - (second - first)
    if lanes.machine.fma:
        tail = tail - lanes.fma(k, -b, product)
    tail = lanes.fma(k, c, tail)
    rest = second + tail
    return [rest, tail - (rest - second)]


def _checked(
    lanes: Lanes, x: Vec, size: Vec, usual: Sequence[Vec], kind: tuple[int, bool]
) -> Angle:
    """Return k + shift, rest and tail, done again in lanes where x is too large."""
    q, halves = kind
    wanted = size > (_LIMIT_WITH_FMA if lanes.machine.fma else _LIMIT)
    name = f"manyfit.large_angle.{q}.{int(halves)}.{len(usual)}"
    emit = partial(_remainder, q=q, halves=halves, n_results=len(usual))
    again = done_again(lanes, name, wanted, usual, [x], emit)
    return Angle(lanes.bits(again[0]), again[1], again[2] if len(again) > 2 else lanes.real(0.0))


def _remainder(
    builder: Any, declared: Callable[..., Any], x: Any, *, q: int, halves: bool, n_results: int
) -> list[Any]:
    """Return k + SHIFT, r and its tail for one double above 2**11 in size.

    x = +-m*2**e, m whole, and w the 192 bits of 2**e/(2*pi) behind the point: m*w modulo 1 is the
    turn to 139 bits, of which the first 128 are kept. No double is so near a multiple of a step
    that fewer than 60 would be left.
    """

    def whole(value: int, kind: Any = INT64) -> Any:
        return ir.Constant(kind, value)

    def wide(value: Any) -> Any:
        return builder.zext(value, _INT128)

    words_of_inverse = _words_of_inverse_turn()
    with builder.goto_entry_block():
        table = builder.alloca(words_of_inverse.type)
        builder.store(words_of_inverse, table)
    bits = builder.bitcast(x, INT64)
    size = builder.and_(bits, whole((1 << 63) - 1))
    m = wide(builder.or_(builder.and_(size, whole((1 << 52) - 1)), whole(1 << 52)))
    start = builder.add(builder.lshr(size, whole(52)), whole(64 - 1075))
    first = builder.lshr(start, whole(6))
    words = [
        builder.load(
            builder.gep(table, [builder.add(first, whole(j))], source_etype=INT64), typ=INT64
        )
        for j in range(4)
    ]
    funnel = declared("llvm.fshl.i64", INT64, INT64, INT64, INT64)
    w = [wide(builder.call(funnel, [a, b, start])) for a, b in pairwise(words)]
    products = [builder.mul(m, part) for part in w]
    turn = builder.add(
        builder.add(builder.shl(products[0], whole(64, _INT128)), products[1]),
        builder.lshr(products[2], whole(64, _INT128)),
    )
    drop, half = whole(128 - q, _INT128), whole(1 << (127 - q), _INT128)
    k = builder.lshr(turn if halves else builder.add(turn, half), drop)
    rest = builder.sub(turn, builder.shl(k, drop))
    if halves:
        rest = builder.sub(rest, half)
    k = builder.trunc(k, INT64)
    if not halves:
        negative = builder.icmp_signed("<", bits, whole(0))
        k = builder.select(negative, builder.neg(k), k)
        rest = builder.select(negative, builder.neg(rest), rest)
    shifted = builder.fadd(builder.sitofp(k, DOUBLE), ir.Constant(DOUBLE, SHIFT))
    nothing = builder.fsub(x, x)
    parts = _radians(builder, declared, rest)
    return [shifted, *(builder.fadd(part, nothing) for part in parts)][:n_results]


def _radians(builder: Any, declared: Callable[..., Any], turn: Any) -> list[Any]:
    """Return a signed part of a turn, in units of 2**-128, times 2*pi, as a sum of two."""
    zero, one = ir.Constant(_INT128, 0), ir.Constant(_INT128, 1)
    negative = builder.icmp_signed("<", turn, zero)
    size = builder.or_(builder.select(negative, builder.neg(turn), turn), one)
    count = declared("llvm.ctlz.i128", _INT128, _INT128, ir.IntType(1))
    zeros = builder.call(count, [size, ir.Constant(ir.IntType(1), 1)])
    head = builder.lshr(builder.shl(size, zeros), ir.Constant(_INT128, 64))
    product = builder.mul(head, ir.Constant(_INT128, pi_times_power_of_two(62)))
    whole = builder.trunc(builder.lshr(product, ir.Constant(_INT128, 65)), INT64)
    power = builder.sub(ir.Constant(INT64, 1023 - 60), builder.trunc(zeros, INT64))
    unit = builder.bitcast(builder.shl(power, ir.Constant(INT64, 52)), DOUBLE)
    unit = builder.select(negative, builder.fneg(unit), unit)
    rounded = builder.sitofp(whole, DOUBLE)
    rest = builder.sub(whole, builder.fptosi(rounded, INT64))
    return [builder.fmul(part, unit) for part in (rounded, builder.sitofp(rest, DOUBLE))]


def _words_of_inverse_turn() -> Any:
    """Return the bits of 1/(2*pi) behind 64 zeros, as an array of words."""
    places = _PLACES + 64
    inverse = (1 << (2 * places - 1)) // pi_times_power_of_two(places) >> (places - _PLACES + 64)
    words = [inverse >> (64 * (_WORDS - 1 - j)) & ((1 << 64) - 1) for j in range(_WORDS)]
    return ir.Constant(ir.ArrayType(INT64, _WORDS), words)
