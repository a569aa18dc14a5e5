"""Flush subnormal numbers to zero while a function runs.

Tails of narrow peaks and late points of fast decays are full of them: between 708 and 745 exp(-u)
is subnormal, and so are its products with small factors. Intel's processors leave an operation on
such a number to microcode, 150 cycles for a register; a pass over a narrow peak took ten times as
long. On processors that have another way of saying it nothing is flushed.

Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, section 10.2.3.
"""

from typing import Any

from llvmlite import ir

from .machine import Machine

FLUSH = 0x8040
"""Results that are subnormal are 0 (bit 15), and so are operands (bit 6)."""
LEAST_SQUARES = 1e-290
"""A sum of squares below which terms may have been flushed, or have lost digits."""
_INT8, _INT32 = ir.IntType(8), ir.IntType(32)


def calling(function: Any, machine: Machine, name: str, place: int) -> None:
    """Emit a function that calls another one while bits of the control register are set.

    Parameters
    ----------
    function
        What is called: it takes an array of 64-bit integers, as the new function does.
    machine
        What is compiled for.
    name
        Of the new function.
    place
        Where the array has the bits: `FLUSH`, or 0.
    """
    module = function.module
    caller = ir.Function(module, function.function_type, name)
    builder = ir.IRBuilder(caller.append_basic_block("entry"))
    function.linkage = "internal"
    function.attributes.add("noinline")
    if machine.name not in {"avx512", "avx2", "sse2"}:
        builder.call(function, caller.args)
        builder.ret_void()
        return
    kind = ir.FunctionType(ir.VoidType(), [_INT8.as_pointer()])
    get, put = (ir.Function(module, kind, f"llvm.x86.sse.{n}mxcsr") for n in ("st", "ld"))
    before, during = builder.alloca(_INT32), builder.alloca(_INT32)
    pointers = [builder.bitcast(room, _INT8.as_pointer()) for room in (before, during)]
    builder.call(get, pointers[:1])
    bits = builder.load(builder.gep(caller.args[0], [_INT32(place)]))
    mode = builder.or_(builder.load(before), builder.trunc(bits, _INT32))
    builder.store(mode, during)
    builder.call(put, pointers[1:])
    builder.call(function, caller.args)
    builder.call(put, pointers[:1])
    builder.ret_void()
