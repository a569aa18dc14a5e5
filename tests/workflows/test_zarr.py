"""Zarr from the command line: in, out, what fails, and going on after it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from manyfit.pipeline.results import read_result

Command = Callable[..., Any]
Invoke = Callable[..., Any]
CURVES = 1 << 11
"""As many as a tile has at least."""


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """Straight lines through an image of three tiles, one image a time, in a member of a group."""
    path = tmp_path / "a stack.zarr"
    slope = np.linspace(1, 2, 3 * CURVES).reshape(3 * 32, CURVES // 32)
    time = np.array([0.0, 1.0, 2.0, 5.0])
    values = (slope * time[:, None, None] + 1).astype("f4")
    root = zarr.open_group(path, mode="w")
    names: dict[str, Any] = {"dimension_names": ("time", "row", "col")}
    root.create_array("run 1/image", data=values, chunks=(1, 32, CURVES // 32), **names)
    root.create_array("run 1/time", data=time, dimension_names=("time",))
    bad = np.zeros(values.shape, "u1")
    bad[3, 5, 7] = 1
    root.create_array("run 1/bad", data=bad, **names)
    return path


def options(stack: Path, out: Path) -> list[object]:
    data = [stack / "run 1", "-m", "a + b*x", "--axis", "time", "--mask", "bad"]
    return [*data, "-o", out, "--workers", 1, "--retries", 0, "--partition-size", "1kB"]


def test_a_stack_of_images_becomes_maps(
    stack: Path, tmp_path: Path, manyfit: Command, invoke: Invoke
) -> None:
    out = tmp_path / "the maps.zarr"
    done = manyfit("fit", *options(stack, out))
    assert done.returncode == 0, done.stderr
    assert f"{3 * CURVES:,} curves in 3 partition(s)" in done.stdout
    assert f"next       manyfit show '{out}'" in done.stdout
    maps: Any = zarr.open_group(out, mode="r")
    slope = np.linspace(1, 2, 3 * CURVES).reshape(96, -1)
    np.testing.assert_allclose(maps["b"][:], slope, rtol=1e-5)
    left_out = np.argwhere(maps["flags"][:] & 1)
    assert left_out.tolist() == [[5, 7]]
    again = manyfit("fit", *options(stack, out))
    assert "3 fitted before: 0 fitted in" in again.stdout
    assert invoke("verify", out).exit_code == 0


def test_a_chunk_that_cannot_be_read_is_one_partition(
    stack: Path, tmp_path: Path, manyfit: Command, invoke: Invoke
) -> None:
    out = tmp_path / "maps.zarr"
    chunk = stack / "run 1" / "image" / "c" / "2" / "1" / "0"
    whole = chunk.read_bytes()
    chunk.write_bytes(whole[: len(whole) // 2])
    done = manyfit("fit", *options(stack, out))
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    assert "partition 1 failed: OSError: array 'image' of " in done.stdout
    assert "cannot be read at [0:4, 32:64, 0:64]" in done.stdout
    status = np.asarray(zarr.open_array(out, path="status", mode="r")[:])
    assert (status[32:64] == -128).all()
    assert (status[:32] > 0).all()
    shown = invoke("show", out)
    assert f"{CURVES:,} of {3 * CURVES:,} curves are not here" in shown.stdout
    chunk.write_bytes(whole)
    again = manyfit("fit", *options(stack, out))
    assert again.returncode == 0, again.stderr
    assert f"2 fitted before: {CURVES:,} fitted in" in again.stdout
    assert read_result(out).num_rows == 3 * CURVES


def test_the_plan_says_how_arrays_are_read(stack: Path, tmp_path: Path, invoke: Invoke) -> None:
    done = invoke("fit", *options(stack, tmp_path / "out"), "--plan")
    assert done.exit_code == 0, done.output
    assert f"{3 * CURVES:,} curves in 3 tile(s)" in done.stdout
    assert "zarr (time 4, row 96, col 64), a curve along time, mask: bad" in done.stdout
    assert "x          4 values, 0 .. 5" in done.stdout
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "it is not clear along which a curve runs (x does not say): name it with --axis"),
        ("--axis t", "axis: y has no dimension 't'; its dimensions are (time 4, row 96, col 64)"),
        ("--axis time --y imge", "y: there is no array 'imge'; did you mean 'image'?"),
        ("--axis time --mask bda", "mask: there is no array 'bda'; did you mean 'bad'?"),
        ("--axis time --x tiem", "x: there is no array 'tiem'; did you mean 'time'?"),
        ("--axis time --layout list", "--layout list: the data are zarr (time 4"),
    ],
)
def test_one_message_and_exit_code_2(
    words: str, message: str, stack: Path, tmp_path: Path, invoke: Invoke
) -> None:
    data = ["--y", "image", *words.split()] if "--y" not in words else words.split()
    done = invoke("fit", stack / "run 1", "-m", "a + b*x", "-o", tmp_path / "out.zarr", *data)
    assert done.exit_code == 2, done.output
    assert message in done.stderr
    assert not (tmp_path / "out.zarr").exists()


def test_maps_do_not_go_into_the_input(stack: Path, invoke: Invoke) -> None:
    done = invoke("fit", *options(stack, stack / "run 1" / "maps.zarr"))
    assert done.exit_code == 2
    assert "where the data are" in done.stderr
