"""What the compiled engine compiles for: the processor, and how many doubles its registers hold."""

import platform
from dataclasses import dataclass
from functools import cache

import llvmlite.binding as llvm


@dataclass(frozen=True, slots=True)
class Machine:
    """A processor to compile for.

    Attributes
    ----------
    name
        "avx512", "avx2", "sse2", "neon", or "generic" for any other processor.
    register
        Doubles in a vector register.
    fma
        Whether a * b + c is one instruction; where it is not, it is two roundings.
    cpu, features
        The same in LLVM's words.
    many_registers
        Whether it has 32 vector registers and not 16: constants and sums of a pass leave room then.
    slow_division
        Whether divisions and square roots take much longer than estimates and what makes these
        exact (`estimates`).
    """

    name: str
    register: int
    fma: bool
    cpu: str
    features: str = ""
    many_registers: bool = False
    slow_division: bool = False


@cache
def machines() -> tuple[Machine, ...]:
    """Return every kind of code that this processor can run, the fastest first."""
    _initialise()
    if platform.machine().lower() in {"x86_64", "amd64"}:
        has = llvm.get_host_cpu_features()
        own = has.flatten()
        cpu = llvm.get_host_cpu_name()
        kinds = []
        if all(has.get(f"avx512{part}") for part in ("f", "dq", "vl", "bw")):
            # LLVM keeps to half registers on most of these processors unless it is told.
            kinds.append(
                Machine(
                    "avx512",
                    8,
                    fma=True,
                    cpu=cpu,
                    features=own + ",-prefer-256-bit",
                    many_registers=True,
                    slow_division=not cpu.startswith("znver"),
                )
            )
        if has.get("avx2") and has.get("fma"):
            kinds.append(Machine("avx2", 4, fma=True, cpu="x86-64-v3"))
        return (*kinds, Machine("sse2", 2, fma=False, cpu="x86-64"))
    if platform.machine().lower() in {"arm64", "aarch64"}:
        cpu, features = llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
        return (Machine("neon", 2, fma=True, cpu=cpu, features=features, many_registers=True),)
    return (Machine("generic", 2, fma=False, cpu="generic"),)


def host() -> Machine:
    """Return the fastest kind of code that this processor can run."""
    return machines()[0]


def _initialise() -> None:
    """Make LLVM ready for this processor."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
