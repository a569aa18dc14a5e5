"""Where one input of the model comes from: four kinds, and nothing else."""

from dataclasses import dataclass
from typing import TypeAlias

from .columns import Values


@dataclass(frozen=True, slots=True)
class PerPoint:
    """One value a point: a list column, a scalar column of long rows, or one column a point."""

    columns: tuple[str, ...]

    def __str__(self) -> str:
        """Name the columns."""
        first, last = self.columns[0], self.columns[-1]
        return first if first == last else f"{first} .. {last} ({len(self.columns)} columns)"


@dataclass(frozen=True, slots=True)
class PerCurve:
    """One value a curve: a scalar column."""

    column: str

    @property
    def columns(self) -> tuple[str, ...]:
        """The column, as of a `PerPoint`."""
        return (self.column,)

    def __str__(self) -> str:
        """Name the column."""
        return f"{self.column} (one value a curve)"


@dataclass(frozen=True, slots=True)
class Shared:
    """The same values for every curve, one a point."""

    values: Values

    columns: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Say how many values, and their ends."""
        return f"{len(self.values)} values, {self.values[0]:g} .. {self.values[-1]:g}"


@dataclass(frozen=True, slots=True)
class Constant:
    """One number for every point of every curve."""

    value: float

    columns: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Write the number."""
        return f"{self.value:g}"


Source: TypeAlias = PerPoint | PerCurve | Shared | Constant
