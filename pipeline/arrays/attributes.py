"""What maps say of themselves, on storage and in memory: codes as the CF conventions want them."""

import json
from collections.abc import Mapping
from typing import Any

from ...solver.status import Flag, Status
from ..schema import METADATA_KEY, RESULT_COLUMNS

NOT_FITTED = -128
"""Status where no partition is committed yet."""
NOT_SELECTED = -127
"""Status of curves for which the condition does not hold."""
_OF_MAPS = {"NOT_FITTED": NOT_FITTED, "NOT_SELECTED": NOT_SELECTED}

COV_DIMS = ("cov_row", "cov_column")
"""The dimensions that the covariance has behind those of the other maps."""


def group_attributes(about: Mapping[str, Any]) -> dict[str, Any]:
    """Return what all maps together say, of `about` as of `describe`; text, as netCDF takes it."""
    return {METADATA_KEY.decode(): json.dumps(about)}


def map_attributes(name: str, about: Mapping[str, Any]) -> dict[str, Any]:
    """Return what one map says, by the name that its column has."""
    model = about["model"]
    names = model["params"], tuple(model.get("derived", ()))
    described = {n: c.description for c in RESULT_COLUMNS for n in c.named(*names)}
    attributes: dict[str, Any] = {"description": described.get(name, "")}
    if name == "cov":
        attributes["params"] = list(model["params"])
    if name == "status":
        attributes["flag_values"] = [*_OF_MAPS.values(), *(int(s) for s in Status)]
        attributes["flag_meanings"] = " ".join([*_OF_MAPS, *(s.name for s in Status)])
    if name == "flags":
        attributes["flag_masks"] = [int(f) for f in Flag]
        attributes["flag_meanings"] = " ".join(str(f.name) for f in Flag)
    return attributes
