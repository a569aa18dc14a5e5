"""``manyfit simulate``: options to a recipe, the recipe to files, and what to do with them."""

import shlex
from pathlib import Path
from typing import Any

from .. import specs
from ..models import resolve_model
from .defaults import example_of
from .recipe import Layout, Noise, Recipe
from .write import Simulated, simulate


def run_simulate(
    *,
    out: Path,
    n_files: int = 1,
    row_group: int | None = None,
    overwrite: bool = False,
    **asked: Any,
) -> str:
    """Write a data set and tell what was written.

    Parameters
    ----------
    out, n_files, row_group, overwrite
        As `simulate` takes them.
    asked
        As `recipe_of` takes them.

    Raises
    ------
    ValueError
        When an option cannot be read or is outside its range.
    FileExistsError
        When there is something at `out` already.
    """
    recipe = recipe_of(**asked)
    written = simulate(recipe, out, n_files=n_files, row_group=row_group, overwrite=overwrite)
    return describe(recipe, written)


def recipe_of(
    *,
    spec: str,
    n_curves: int,
    n_points: int = 50,
    x_range: str | None = None,
    truth: tuple[str, ...] = (),
    spread: float = 0.2,
    noise: float = 0.05,
    noise_kind: Noise = "constant",
    layout: Layout = "list",
    bad_share: float = 0.0,
    seed: int = 0,
    with_sigma: bool = False,
    no_x: bool = False,
) -> Recipe:
    """Read the options of a recipe; what is not given is as the model's example has it.

    Raises
    ------
    ValueError
        When an option cannot be read or is outside its range.
    """
    model = resolve_model(spec)
    example = example_of(model)
    if x_range is None and example.x_range is None:
        raise ValueError(f"--x-range LO:HI is needed for {spec!r}, a model of yours")
    ends = specs.finite_range(x_range, "--x-range") if x_range else example.x_range
    assert ends is not None
    return Recipe(
        spec=spec,
        model=model,
        n_curves=n_curves,
        n_points=n_points,
        x_range=ends,
        truth={**example.truth, **specs.values_by_name(truth, "--truth")},
        spread=spread,
        noise=noise,
        noise_kind=noise_kind,
        layout=layout,
        bad_share=bad_share,
        seed=seed,
        with_sigma=with_sigma,
        with_x=not no_x,
    )


def describe(recipe: Recipe, written: Simulated) -> str:
    """Tell what was written, and how to fit it."""
    size = f"{written.n_bytes / 1e6:,.1f} MB in {len(written.files)} file(s)"
    lines = [
        f"{recipe.n_curves:,} curves of {recipe.n_points} points, {size}",
        f"data       {written.path}",
        f"truth      {written.truth}",
        f"next       {fit_command(recipe, written.path)}",
    ]
    return "\n".join(lines)


def fit_command(recipe: Recipe, path: Path) -> str:
    """Return a command that fits the data set."""
    words = ["manyfit", "fit", str(path), "--model", recipe.spec]
    if recipe.layout == "wide":
        words += ["--y", "y_*"]
    if recipe.layout == "wide" or not recipe.with_x:
        low, high = recipe.x_range
        words += ["--x-values", f"{low:g}:{high:g}:{recipe.n_points}"]
    if recipe.with_sigma:
        words += ["--sigma", "sigma", "--absolute-sigma"]
    fits = path.with_name(path.name.removesuffix(path.suffix) + "-fits")
    return shlex.join([*words, "--out", str(fits)])
