"""What few operands need: a branch, and code behind it, for all lanes at once or lane by lane.

The branch is expected not to be taken, and costs next to nothing where no lane needs it. Lanes that
do not need it keep their values.
"""

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir

from ..lanes import BOOL, DOUBLE, INT64, Lanes, Vec

_POINTER = ir.PointerType()
_BYTE = ir.IntType(8)


def rarely(
    lanes: Lanes, wanted: Vec, usual: Sequence[Vec], emit: Callable[..., Sequence[Vec]]
) -> list[Vec]:
    """Return emit(*usual) if that is wanted in some lane, else the usual values.

    What is emitted must leave lanes alone where it is not wanted.
    """
    builder = lanes.builder
    before = builder.block
    with builder.if_then(lanes.any(wanted), likely=False):
        unusual = emit(*usual)
        inside = builder.block
    results = []
    for often, seldom in zip(usual, unusual, strict=True):
        phi = builder.phi(often.ir.type)
        phi.add_incoming(often.ir, before)
        phi.add_incoming(seldom.ir, inside)
        results.append(Vec(lanes, phi))
    return results


def done_again(
    lanes: Lanes,
    name: str,
    wanted: Vec,
    usual: Sequence[Vec],
    operands: Sequence[Vec],
    emit: Callable[..., Sequence[Any]],
) -> list[Vec]:
    """Return vectors of doubles, done again in some lanes by scalar code, lane by lane.

    The code is a function of its own, which is never inlined.

    Parameters
    ----------
    name
        Of the function in the module; one name, one function.
    wanted
        Where.
    usual
        What the other lanes keep.
    operands
        What is handed to `emit`.
    emit
        Emits what is to be done for one lane: given a builder, `Lanes.declared` and the operands
        as scalars, returns as many scalars as there are usual values. It is called once, when the
        function is made.
    """
    builder = lanes.builder

    def by_lane(*kept: Vec) -> list[Vec]:
        values = [v.ir for v in (*kept, *operands)]
        with builder.goto_entry_block():
            places = [builder.alloca(value.type) for value in values]
            flags = builder.alloca(lanes.vector(_BYTE))
        for place, value in zip(places, values, strict=True):
            builder.store(value, place)
        builder.store(builder.zext(wanted.ir, lanes.vector(_BYTE)), flags)
        function = _function(lanes, name, len(kept), len(operands), emit)
        builder.call(function, [flags, *places, ir.Constant(INT64, lanes.width)])
        pairs = zip(places, kept, strict=False)
        return [Vec(lanes, builder.load(place, typ=v.ir.type)) for place, v in pairs]

    return rarely(lanes, wanted, usual, by_lane)


def _function(
    lanes: Lanes, name: str, n_results: int, n_operands: int, emit: Callable[..., Sequence[Any]]
) -> Any:
    """Return the function of addresses (flags, results, operands) and a number of lanes."""
    module = lanes.builder.module
    if name in module.globals:
        return module.globals[name]
    kinds = [_POINTER] * (1 + n_results + n_operands) + [INT64]
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    function.attributes.add("cold")
    flags, *places, count = function.args
    entry, loop, work, end, done = (
        function.append_basic_block(part) for part in ("entry", "loop", "work", "end", "done")
    )
    builder = ir.IRBuilder(entry)
    builder.branch(loop)
    builder.position_at_end(loop)
    lane = builder.phi(INT64)
    lane.add_incoming(ir.Constant(INT64, 0), entry)
    flag = builder.load(builder.gep(flags, [lane], source_etype=_BYTE), typ=_BYTE)
    builder.cbranch(builder.trunc(flag, BOOL), work, end)
    builder.position_at_end(work)
    addresses = [builder.gep(place, [lane], source_etype=DOUBLE) for place in places]
    operands = [builder.load(address, typ=DOUBLE) for address in addresses[n_results:]]
    results = emit(builder, lanes.declared, *operands)
    for value, address in zip(results, addresses, strict=False):
        builder.store(value, address)
    builder.branch(end)
    builder.position_at_end(end)
    following = builder.add(lane, ir.Constant(INT64, 1))
    lane.add_incoming(following, end)
    builder.cbranch(builder.icmp_signed("<", following, count), loop, done)
    ir.IRBuilder(done).ret_void()
    return function
