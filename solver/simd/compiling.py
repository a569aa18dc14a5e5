"""Turn LLVM's text into machine code, in this process or in another one for it.

What a text was compiled to is kept, by the text, the machine and LLVM's version. So processes on
one machine can share it: one compiles, and the others are handed its `object_code`.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import llvmlite.binding as llvm

from .machine import Machine

_objects: dict[bytes, bytes] = {}


def object_code() -> dict[bytes, bytes]:
    """Return all that was compiled in this process, or handed to it."""
    return dict(_objects)


def take_object_code(objects: Mapping[bytes, bytes]) -> None:
    """Compile no more what another process has compiled: `object_code` says what."""
    _objects.update(objects)


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
    key = _key(text, machine, level)
    if key not in _objects:
        _objects[key] = _target(machine, level).emit_object(optimised(text, machine, level))
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target(machine, level))
    engine.add_object_file(llvm.ObjectFileRef.from_data(_objects[key]))
    engine.finalize_object()
    addresses = {name: int(engine.get_function_address(name)) for name in names}
    return Compiled(addresses, perf_counter() - began, engine)


def _key(text: str, machine: Machine, level: int) -> bytes:
    """Return what tells object code apart."""
    what = (text, machine.cpu, machine.features, level, llvm.llvm_version_info)
    return hashlib.blake2b(repr(what).encode(), digest_size=16).digest()


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
