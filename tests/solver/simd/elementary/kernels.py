"""Functions of lanes on arrays: a compiled loop of one call."""

import ctypes
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir

from manyfit.solver.simd.compiling import Compiled, assembly, compile_text
from manyfit.solver.simd.lanes import DOUBLE, INT64, Lanes, Vec
from manyfit.solver.simd.machine import Machine

Floats = npt.NDArray[np.float64]

_NAME = "kernel"


@dataclass(frozen=True, slots=True)
class Kernel:
    """A function of arrays; `n_out` is the number of its results."""

    text: str
    machine: Machine
    width: int
    n_out: int
    compiled: Compiled

    def __call__(self, *columns: Any) -> Any:
        """Return the values at points, one array a result."""
        arrays = np.broadcast_arrays(*(np.asarray(c, dtype=np.float64) for c in columns))
        n = arrays[0].size
        inputs = [np.resize(a, -(-n // self.width) * self.width) for a in arrays]
        outputs = [np.empty(inputs[0].size) for _ in range(self.n_out)]
        self.run(outputs, inputs)
        results = [a[:n].reshape(arrays[0].shape) for a in outputs]
        return results[0] if self.n_out == 1 else tuple(results)

    def run(self, outputs: list[Floats], inputs: list[Floats], times: int = 1) -> None:
        """Write the values into arrays, whose length is a multiple of the width."""
        kinds = [ctypes.c_void_p] * (len(outputs) + len(inputs)) + [ctypes.c_int64] * 2
        function = ctypes.CFUNCTYPE(None, *kinds)(self.compiled.address(_NAME))
        function(*(a.ctypes.data for a in (*outputs, *inputs)), outputs[0].size, times)

    def loop(self) -> list[str]:
        """Return the instructions of the loop, without those behind rare branches."""
        lines = [line.strip() for line in assembly(self.text, self.machine).splitlines()]
        labels: dict[str, int] = {}
        for place, line in enumerate(lines):
            if found := re.match(r"([.\w]+):", line):
                labels[found.group(1)] = place
            found = re.match(r"j\w+\s+([.\w]+)|b\.\w+\s+([.\w]+)", line)
            target = found and (found.group(1) or found.group(2))
            if target in labels:
                body = lines[labels[target] + 1 : place + 1]
                return [text for text in body if not re.match(r"[.#]|[.\w]+:|$", text)]
        return []


def kernel(
    emit: Callable[..., Any], machine: Machine, width: int, arity: int = 1, n_out: int = 1
) -> Kernel:
    """Compile a loop that applies `emit(lanes, *operands)` to arrays, several times over."""
    module = ir.Module(name=_NAME)
    pointers = [ir.PointerType()] * (n_out + arity)
    kind = ir.FunctionType(ir.VoidType(), [*pointers, INT64, INT64])
    function = ir.Function(module, kind, _NAME)
    *addresses, length, times = function.args
    entry, again, loop, end, done = (
        function.append_basic_block(name) for name in ("entry", "again", "loop", "end", "done")
    )
    ir.IRBuilder(entry).branch(again)
    builder = ir.IRBuilder(again)
    turn = builder.phi(INT64)
    turn.add_incoming(ir.Constant(INT64, 0), entry)
    builder.branch(loop)
    builder.position_at_end(loop)
    place = builder.phi(INT64)
    place.add_incoming(ir.Constant(INT64, 0), again)
    lanes = Lanes(builder, width, machine)
    kind = lanes.vector(DOUBLE)
    places = [builder.gep(a, [place], source_etype=DOUBLE) for a in addresses]
    operands = [Vec(lanes, builder.load(p, align=8, typ=kind)) for p in places[n_out:]]
    results = emit(lanes, *operands)
    for target, result in zip(places, results if n_out > 1 else [results], strict=False):
        builder.store(result.ir, target, align=8)
    following = builder.add(place, ir.Constant(INT64, width))
    place.add_incoming(following, builder.block)
    builder.cbranch(builder.icmp_signed("<", following, length), loop, end)
    builder.position_at_end(end)
    next_turn = builder.add(turn, ir.Constant(INT64, 1))
    turn.add_incoming(next_turn, end)
    builder.cbranch(builder.icmp_signed("<", next_turn, times), again, done)
    ir.IRBuilder(done).ret_void()
    text = str(module)
    return Kernel(text, machine, width, n_out, compile_text(text, machine))
