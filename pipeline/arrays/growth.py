"""Arrays that have grown between two runs of a job. Pure.

What is appended along the first map dimension makes new tiles, and leaves those before it what they
were: their names, their places in the maps, the numbers of their curves. So the job stays the same.
It is known by what is not appended: of arrays that run along that dimension by their content slab
by slab, a slab being what one row of tiles takes; its last slab, if it was not full, is another
one when it has grown. Growth along any other dimension gives tiles other places: another job.
"""

from collections.abc import Mapping
from typing import Any


def has_grown(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether the arrays of a job are as long as they were, or longer; `columns` as in a ledger."""
    old, new = (columns["layout"].get("grid") for columns in (before, now))
    if not (old and new) or len(old["shape"]) != len(new["shape"]):
        return False
    first = _first(old)
    return first is not None and bool(new["shape"][first] >= old["shape"][first])


def n_slabs(columns: Mapping[str, Any]) -> int:
    """Return how many slabs the arrays have; 0 if there are none."""
    grid = columns["layout"].get("grid")
    first = _first(grid) if grid else None
    return 0 if first is None else -(-grid["shape"][first] // grid["tile"][0])


def without_growth(columns: Mapping[str, Any], slabs: int = 0) -> Mapping[str, Any]:
    """Return what stays when arrays grow: all but their length, and what follows some slabs."""
    grid = columns["layout"].get("grid")
    first = _first(grid) if grid else None
    if first is None:
        return columns
    shape = [None if k == first else n for k, n in enumerate(grid["shape"])]
    arrays = {
        name: {**placed, "stamp": " ".join(placed["stamp"].split()[:slabs])}
        if first in placed["dims"]
        else placed
        for name, placed in grid["arrays"].items()
    }
    layout = {**columns["layout"], "grid": {**grid, "shape": shape, "arrays": arrays}}
    return {**columns, "layout": layout}


def no_growth(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Say in what arrays differ otherwise than by growth, a sentence each."""
    old, new = (columns["layout"].get("grid") for columns in (before, now))
    first = _first(old) if old else None
    if first is None or not new:
        return []
    kept, slabs, found = without_growth(now)["layout"]["grid"], n_slabs(before), []
    same = without_growth(before)["layout"]["grid"]
    if not has_grown(before, now) or any(kept[k] != same[k] for k in ("dims", "shape", "tile")):
        was, there = (
            f"{', '.join(map(str, g['shape']))} in tiles of {', '.join(map(str, g['tile']))}"
            for g in (old, new)
        )
        found.append(
            f"The shape of y was {was}, and is {there}: it may grow along {old['dims'][first]} "
            "alone, and tiles must stay what they are"
        )
    for name, placed in old["arrays"].items():
        stamp = new["arrays"].get(name, placed)["stamp"]
        if stamp.split()[:slabs] != placed["stamp"].split():
            found.append(
                f"Array {name} is not what was fitted with (or ended within a tile, and has grown)"
            )
    return found


def _first(grid: Mapping[str, Any]) -> int | None:
    """Return the first map dimension; None if there is none."""
    return next((k for k in range(len(grid["shape"])) if k not in grid["fit"]), None)
