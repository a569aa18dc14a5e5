"""Turn LLVM's text into machine code, in this process or in another one for it.

Code is made once for what it is made of: a specification, a machine, LLVM's version. So processes
of one program on one machine can share it: one writes the text and compiles, and the others are
handed its `object_code`. What a text was compiled to is kept on disk besides (see `cache`).
"""

import ctypes
import hashlib
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import llvmlite.binding as llvm

from . import cache
from .machine import Machine

_TUNING = {
    "speed_level": 2,
    "loop_vectorization": False,
    "slp_vectorization": False,
    "loop_unrolling": False,
}
"""What LLVM is to do: vectors and loops are written as they should be."""

_lock = Lock()
_objects: dict[bytes, bytes] = {}
_codes: dict[tuple[Hashable, Machine], "Compiled"] = {}


def object_code() -> dict[bytes, bytes]:
    """Return all that was compiled in this process, or handed to it."""
    return dict(_objects)


def take_object_code(objects: Mapping[bytes, bytes]) -> None:
    """Compile no more what another process has compiled: `object_code` says what."""
    _objects.update(objects)


@dataclass(frozen=True, slots=True)
class Compiled:
    """Machine code, which lives as long as this value."""

    engine: Any
    _found: dict[str, int] = field(default_factory=dict, repr=False, compare=False)

    def address(self, name: str) -> int:
        """Return where a function, or a constant, of it begins.

        LLVM is asked once: it answers nobody while it compiles for another thread.
        """
        if name not in self._found:
            self._found[name] = int(self.engine.get_global_value_address(name))
        return self._found[name]

    def constant(self, name: str) -> int:
        """Return the value of a constant of 64 bits in it."""
        return ctypes.c_int64.from_address(self.address(name)).value


def machine_code(key: Hashable, text: Callable[[], str], machine: Machine) -> Compiled:
    """Return the code of what `key` tells apart; two threads never make the same.

    Parameters
    ----------
    key
        Numbers and strings, in tuples: what is printed of it must be the same in any process.
    text
        Writes the module in LLVM's language; called where nobody has made it yet.
    machine
        What to compile for.
    """
    with _lock:
        code = _codes.get((key, machine))
        if code is None:
            made_of = (key, machine, llvm.llvm_version_info)
            digest = _digest(made_of)
            if digest not in _objects:
                _objects[digest] = _kept_or_compiled(text(), machine)
            code = _codes[key, machine] = _linked(_objects[digest], machine)
        return code


def is_made(key: Hashable, machine: Machine) -> bool:
    """Return whether there is nothing left to make for `machine_code`."""
    return (key, machine) in _codes


def _kept_or_compiled(text: str, machine: Machine) -> bytes:
    """Return the object code of a module, from the disk if it is there."""
    name = _digest((text, machine, llvm.llvm_version_info, _TUNING)).hex()
    code = cache.load(name)
    if code is None:
        code = _compiled(text, machine)
        cache.save(name, code)
    return code


def _digest(made_of: object) -> bytes:
    """Return what tells code apart, the same in any process."""
    return hashlib.blake2b(repr(made_of).encode(), digest_size=16).digest()


def compile_text(text: str, machine: Machine) -> Compiled:
    """Compile a module in LLVM's language.

    Raises
    ------
    RuntimeError
        When the text is not well formed.
    """
    return _linked(_compiled(text, machine), machine)


def _compiled(text: str, machine: Machine) -> bytes:
    """Return the object code of a module."""
    return bytes(_target(machine).emit_object(optimised(text, machine)))


def _linked(code: bytes, machine: Machine) -> Compiled:
    """Return object code, ready to be called."""
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target(machine))
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return Compiled(engine)


def optimised(text: str, machine: Machine) -> Any:
    """Return the module after LLVM's passes."""
    module = llvm.parse_assembly(text)
    module.verify()
    tuning = llvm.create_pipeline_tuning_options()
    for name, value in _TUNING.items():
        setattr(tuning, name, value)
    builder = llvm.create_pass_builder(_target(machine), tuning)
    builder.getModulePassManager().run(module, builder)
    return module


def assembly(text: str, machine: Machine) -> str:
    """Return the machine code of a module as text, to be read."""
    return str(_target(machine).emit_assembly(optimised(text, machine)))


def _target(machine: Machine) -> Any:
    """Return LLVM's view of a machine."""
    target = llvm.Target.from_default_triple()
    return target.create_target_machine(
        cpu=machine.cpu, features=machine.features, opt=_TUNING["speed_level"], codemodel="default"
    )
