"""What an array holds -> the numbers it stands for, as the CF conventions say.

    value = stored * scale_factor + add_offset, missing where stored is _FillValue or missing_value

Zarr's own ``fill_value`` is another thing: it is the content of chunks that were never written. It
is a value like any other (photon counts leave out chunks of zeros), with one exception: xarray has
kept ``_FillValue`` there in format 2. Such a store is known by ``_ARRAY_DIMENSIONS``; there a
fill_value other than 0, which is what Zarr puts in by itself, stands for missing.
"""

import base64
import binascii
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ..errors import DatasetError

Numbers = npt.NDArray[Any]

V2_DIMENSIONS = "_ARRAY_DIMENSIONS"
"""Attribute with the names of the dimensions in format 2, as xarray writes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """How stored numbers are to be read.

    Attributes
    ----------
    scale, offset
        Factor and summand; None: neither is given, and stored numbers stand for themselves.
    missing
        Stored values that stand for none, each of the stored type.
    unsigned
        Whether stored integers are to be taken as unsigned.
    """

    scale: float | None = None
    offset: float | None = None
    missing: tuple[Any, ...] = ()
    unsigned: bool = False

    @classmethod
    def of(
        cls, name: str, dtype: Any, attributes: Mapping[str, Any], fill_value: Any, version: int
    ) -> Self:
        """Read the encoding of an array from its attributes.

        Parameters
        ----------
        name, dtype, attributes, fill_value
            Of the array.
        version
            The Zarr format, 2 or 3.

        Raises
        ------
        DatasetError
            When scale_factor or add_offset is not a number.
        """
        marks = [attributes.get(key) for key in ("_FillValue", "missing_value")]
        if version == 2 and V2_DIMENSIONS in attributes and fill_value:
            marks.append(fill_value)
        found = [value for mark in marks for value in _marks(mark, np.dtype(dtype))]
        return cls(
            scale=_number(attributes, "scale_factor", name),
            offset=_number(attributes, "add_offset", name),
            missing=tuple(dict.fromkeys(found)),
            unsigned=str(attributes.get("_Unsigned", "")).lower() == "true",
        )

    @property
    def packed(self) -> bool:
        """Whether numbers are computed from what is stored."""
        return self.scale is not None or self.offset is not None

    def decode(self, stored: Numbers) -> Numbers:
        """Return the numbers; of the stored type where nothing has to be computed or left out."""
        lost = np.zeros(stored.shape, dtype=np.bool_) if self.missing else None
        for value in self.missing:
            lost |= stored == value
        values = stored
        if self.unsigned and stored.dtype.kind == "i":
            values = stored.view(f"{stored.dtype.byteorder}u{stored.dtype.itemsize}")
        if self.scale is not None:
            values = values.astype(np.float64) * self.scale
        if self.offset is not None:
            values = values.astype(np.float64) + self.offset
        return values if lost is None else without(values, lost)


def without(values: Numbers, lost: npt.NDArray[np.bool_]) -> Numbers:
    """Return values with NaN where they do not count; the same array if all do."""
    return np.where(lost, np.nan, values.astype(np.float64)) if lost.any() else values


def _number(attributes: Mapping[str, Any], key: str, name: str) -> float | None:
    """Return an attribute that is a number, or None if there is none."""
    if key not in attributes:
        return None
    try:
        return float(np.asarray(attributes[key], dtype=np.float64).reshape(()))
    except (TypeError, ValueError) as error:
        raise DatasetError(
            f"array {name!r} has the attribute {key} = {attributes[key]!r}; expected one number: "
            "correct the attribute"
        ) from error


def _marks(given: Any, dtype: np.dtype[Any]) -> list[Any]:
    """Return values that stand for none, as values of the stored type; what it cannot hold, not."""
    if given is None or dtype.kind not in "fiu":
        return []
    items = given if isinstance(given, list | tuple) else [given]
    numbers = [number for item in items if (number := _mark(item)) is not None]
    if dtype.kind in "iu":
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
        return [int(n) for n in numbers if float(n).is_integer() and low <= n <= high]
    return [float(dtype.type(n)) for n in numbers if np.isfinite(n)]


def _mark(item: Any) -> Any:
    """Return one number; xarray writes floats to format 3 as base64 of their eight bytes."""
    if not isinstance(item, str):
        return item if isinstance(item, int | float | np.number) else None
    try:
        return struct.unpack("<d", base64.b64decode(item, validate=True))[0]
    except (binascii.Error, struct.error):
        pass
    try:
        return float(item)
    except ValueError:
        return None
