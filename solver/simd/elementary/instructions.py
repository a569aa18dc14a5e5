"""Instructions of AVX-512 that have no counterpart in LLVM's language.

Each works on one register at a time and is IEEE arithmetic to the letter: results at infinities,
NaN, zeros and subnormal numbers are those of Intel's manual (Intel 64 and IA-32 Architectures
Software Developer's Manual, volume 2), on which the functions of this folder rely.
"""

from collections.abc import Sequence

from llvmlite import ir

from ..lanes import DOUBLE, INT64, Lanes, Vec

_INT8, _INT32 = ir.IntType(8), ir.IntType(32)
_REGISTER = 8
_KIND = ir.VectorType(DOUBLE, _REGISTER)
_ALL = ir.Constant(_INT8, -1)
_NEAREST = ir.Constant(_INT32, 4)
_UNUSED = ir.Constant(_KIND, ir.Undefined)


def has_avx512(lanes: Lanes) -> bool:
    """Return whether these instructions may be used."""
    return lanes.machine.name == "avx512"


def table_of_16(lanes: Lanes, values: Sequence[float], index: Vec) -> Vec:
    """Return values[i], i being the lowest four bits of an integer: vpermi2pd."""
    halves = [ir.Constant(_KIND, list(values[k : k + _REGISTER])) for k in (0, _REGISTER)]
    integers = ir.VectorType(INT64, _REGISTER)

    def emit(part: Vec) -> Vec:
        name = "llvm.x86.avx512.vpermi2var.pd.512"
        function = lanes.declared(name, _KIND, _KIND, integers, _KIND)
        return Vec(part.lanes, lanes.builder.call(function, [halves[0], part.ir, halves[1]]))

    return lanes.by_register(emit, index)


def table_of_8(lanes: Lanes, values: Sequence[float], index: Vec) -> Vec:
    """Return values[i], i being the lowest three bits of an integer: vpermpd."""
    table = ir.Constant(_KIND, list(values))
    integers = ir.VectorType(INT64, _REGISTER)

    def emit(part: Vec) -> Vec:
        function = lanes.declared("llvm.x86.avx512.permvar.df.512", _KIND, _KIND, integers)
        return Vec(part.lanes, lanes.builder.call(function, [table, part.ir]))

    return lanes.by_register(emit, index)


def scaled(lanes: Lanes, x: Vec, k: Vec) -> Vec:
    """Return x * 2**floor(k), rounded once, for any k: vscalefpd."""
    return _masked(lanes, "scalef", [x, k])


def limited(lanes: Lanes, x: Vec, bound: float) -> Vec:
    """Return x where abs(x) < bound, else +-bound, and +-bound for NaN: vrangepd."""
    return _masked(lanes, "range", [x, lanes.real(bound)], 0b0010)


def fraction_of_16ths(lanes: Lanes, x: Vec) -> Vec:
    """Return x less its nearest multiple of 1/16, exactly, and 0 for infinities: vreducepd."""
    return _masked(lanes, "reduce", [x], 0x40)


def exponent(lanes: Lanes, x: Vec) -> Vec:
    """Return floor(log2(abs(x))), -inf for 0 and inf for infinities: vgetexppd."""
    return _masked(lanes, "getexp", [x])


def mantissa(lanes: Lanes, x: Vec, *, size: bool = False) -> Vec:
    """Return x/2**e between 3/4 and 3/2: vgetmantpd.

    1 for 0 and infinities. Below 0 NaN, or, if asked for, that of abs(x).
    """
    return _masked(lanes, "getmant", [x], 0b0111 if size else 0b1011)


def approximate_inverse(lanes: Lanes, x: Vec) -> Vec:
    """Return 1/x to 14 bits: vrcp14pd."""
    return _estimate(lanes, "rcp14", x)


def approximate_inverse_root(lanes: Lanes, x: Vec) -> Vec:
    """Return 1/sqrt(x) to 14 bits, inf for 0 and 0 for inf: vrsqrt14pd."""
    return _estimate(lanes, "rsqrt14", x)


def _estimate(lanes: Lanes, name: str, x: Vec) -> Vec:
    """Call an intrinsic that takes a mask and no rounding, with all lanes taken."""

    def emit(part: Vec) -> Vec:
        kinds = [_KIND, _KIND, _KIND, _INT8]
        function = lanes.declared(f"llvm.x86.avx512.{name}.pd.512", *kinds)
        return Vec(part.lanes, lanes.builder.call(function, [part.ir, _UNUSED, _ALL]))

    return lanes.by_register(emit, x)


def multiply_add_down(lanes: Lanes, a: Vec, b: Vec, c: Vec) -> Vec:
    """Return a * b + c, rounded down: vfmaddpd."""
    towards_minus_infinity = ir.Constant(_INT32, 9)

    def emit(*parts: Vec) -> Vec:
        function = lanes.declared("llvm.x86.avx512.vfmadd.pd.512", *[_KIND] * 4, _INT32)
        operands = [*(p.ir for p in parts), towards_minus_infinity]
        return Vec(parts[0].lanes, lanes.builder.call(function, operands))

    return lanes.by_register(emit, a, b, c)


def _masked(lanes: Lanes, name: str, args: Sequence[Vec], choice: int | None = None) -> Vec:
    """Call an intrinsic of the kind that has a mask, with all lanes taken."""
    middle = [] if choice is None else [ir.Constant(_INT32, choice)]

    def emit(*parts: Vec) -> Vec:
        operands = [*(p.ir for p in parts), *middle, _UNUSED, _ALL, _NEAREST]
        function = lanes.declared(
            f"llvm.x86.avx512.mask.{name}.pd.512", _KIND, *(o.type for o in operands)
        )
        return Vec(parts[0].lanes, lanes.builder.call(function, operands))

    return lanes.by_register(emit, *args)
