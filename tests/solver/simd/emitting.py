"""Run what is emitted for vectors, in every lane."""

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir

from manyfit.solver.arrays import Floats
from manyfit.solver.simd.compiling import compile_text
from manyfit.solver.simd.lanes import DOUBLE, Lanes, Vec
from manyfit.solver.simd.machine import Machine

LANES = 16


def emitted(
    body: Callable[[Lanes, list[Vec]], list[Vec]], machine: Machine, columns: list[Floats]
) -> list[Floats]:
    """Run a body of vectors on columns of (LANES,) numbers."""
    module = ir.Module()
    pointer = DOUBLE.as_pointer()
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [pointer, pointer]), "body")
    lanes = Lanes(ir.IRBuilder(function.append_basic_block()), LANES, machine)

    def place(base: Any, k: int) -> Any:
        return lanes.builder.gep(base, [ir.IntType(64)(k * LANES)])

    given = [lanes.load(place(function.args[0], k)) for k in range(len(columns))]
    results = body(lanes, given)
    for k, result in enumerate(results):
        lanes.store(result, place(function.args[1], k))
    lanes.builder.ret_void()
    code = compile_text(str(module), machine)
    inputs = np.ascontiguousarray(np.stack(columns), dtype=np.float64)
    outputs = np.empty((len(results), LANES))
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(code.address("body"))
    call(inputs.ctypes.data, outputs.ctypes.data)
    return list(outputs)
