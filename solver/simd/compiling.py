"""Turn LLVM's text into machine code, in this process."""

from dataclasses import dataclass
from time import perf_counter
from typing import Any

import llvmlite.binding as llvm

from .machine import Machine


@dataclass(frozen=True, slots=True)
class Compiled:
    """Machine code, which lives as long as this value.

    Attributes
    ----------
    addresses
        Where each function begins.
    compile_s
        What it took, in seconds.
    """

    addresses: dict[str, int]
    compile_s: float
    engine: Any


def compile_text(text: str, names: tuple[str, ...], machine: Machine, level: int = 2) -> Compiled:
    """Compile a module.

    Parameters
    ----------
    text
        The module in LLVM's language.
    names
        Its functions that will be called.
    machine
        What to compile for.
    level
        How hard LLVM tries, 0 to 3.

    Raises
    ------
    RuntimeError
        When the text is not well formed.
    """
    began = perf_counter()
    module = optimised(text, machine, level)
    engine = llvm.create_mcjit_compiler(module, _target(machine, level))
    engine.finalize_object()
    addresses = {name: int(engine.get_function_address(name)) for name in names}
    return Compiled(addresses, perf_counter() - began, engine)


def optimised(text: str, machine: Machine, level: int = 2) -> Any:
    """Return the module after LLVM's passes."""
    module = llvm.parse_assembly(text)
    module.verify()
    tuning = llvm.create_pipeline_tuning_options(speed_level=level)
    tuning.loop_vectorization = tuning.slp_vectorization = False
    tuning.loop_unrolling = False
    builder = llvm.create_pass_builder(_target(machine, level), tuning)
    builder.getModulePassManager().run(module, builder)
    return module


def assembly(text: str, machine: Machine, level: int = 2) -> str:
    """Return the machine code of a module as text, to be read."""
    return str(_target(machine, level).emit_assembly(optimised(text, machine, level)))


def _target(machine: Machine, level: int) -> Any:
    """Return LLVM's view of a machine."""
    target = llvm.Target.from_default_triple()
    return target.create_target_machine(
        cpu=machine.cpu, features=machine.features, opt=level, codemodel="default"
    )
