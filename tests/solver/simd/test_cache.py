"""Machine code is kept on disk, and nothing that happens to the disk is seen in the fits."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from manyfit.solver.simd import cache

FITS = """
import sys

import numpy as np

from manyfit import fit_curves
from manyfit.solver.simd import compiling

compiled, optimised = [], compiling.optimised

def counted(*given):
    compiled.append(given)
    return optimised(*given)

compiling.optimised = counted
x = np.linspace(0, 4, 20)
y = np.random.default_rng(0).normal(2 * np.exp(-1.5 * x) + 0.5, 0.02, (9, 20))
fit = fit_curves(lambda x, a, b, c: a * np.exp(-b * x) + c, x, y, p0=[1, 1, 1])
assert fit.compiled.all()
print(len(compiled), (fit.params.tobytes() + fit.cov.tobytes()).hex())
"""


def fitted(folder: Path | str, before: str = "") -> tuple[int, str]:
    """Fit in a process of its own; return how much it compiled, and the bits of the results."""
    done = subprocess.run(
        [sys.executable, "-c", before + FITS],
        env={**os.environ, cache.VARIABLE: str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    count, bits = done.stdout.split()
    return int(count), bits


def test_the_next_process_compiles_nothing(tmp_path: Path) -> None:
    first, bits = fitted(tmp_path / "new" / "folder")
    assert first == 2  # the fit, and covariances
    assert fitted(tmp_path / "new" / "folder") == (0, bits)
    names = {entry.name for entry in (tmp_path / "new" / "folder").iterdir()}
    assert len(names) == 2
    assert all(name.endswith(cache.SUFFIX) for name in names)


@pytest.mark.parametrize("left", [0, 10, 300])
def test_torn_code_is_never_called(left: int, tmp_path: Path) -> None:
    _, bits = fitted(tmp_path)
    for entry in tmp_path.iterdir():
        entry.write_bytes(entry.read_bytes()[:left])
    assert fitted(tmp_path) == (2, bits)
    assert fitted(tmp_path) == (0, bits)


def test_altered_code_is_never_called(tmp_path: Path) -> None:
    _, bits = fitted(tmp_path)
    for entry in tmp_path.iterdir():
        code = bytearray(entry.read_bytes())
        code[-100] ^= 1
        entry.write_bytes(code)
    assert fitted(tmp_path) == (2, bits)


def test_there_need_be_no_folder(tmp_path: Path) -> None:
    _, bits = fitted("")
    assert fitted("") == (2, bits)
    in_the_way = tmp_path / "file"
    in_the_way.write_text("not a folder")
    assert fitted(in_the_way) == (2, bits)
    assert fitted(in_the_way / "below") == (2, bits)
    assert in_the_way.read_text() == "not a folder"


@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files")
def test_a_disk_without_room_leaves_nothing_behind(tmp_path: Path) -> None:
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (999, 999))\n"
    assert fitted(tmp_path, limit) == fitted("")
    assert list(tmp_path.iterdir()) == []


def test_the_oldest_make_room_and_what_is_not_ours_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path))
    (tmp_path / "thesis.txt").write_text("dear")
    for k in range(cache.MOST + 1):
        cache.save(f"{k:04d}", bytes([k % 256]))
        os.utime(tmp_path / f"{k:04d}{cache.SUFFIX}", (k, k))
    kept = sorted(entry.stem for entry in tmp_path.glob(f"*{cache.SUFFIX}"))
    assert kept == [f"{k:04d}" for k in range(cache.MOST + 1 - 4 * cache.MOST // 5, cache.MOST + 1)]
    assert cache.load(kept[-1]) == bytes([cache.MOST % 256])
    assert cache.load("0000") is None
    assert (tmp_path / "thesis.txt").read_text() == "dear"


def test_it_is_where_the_platform_has_such_things(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(cache.VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    if sys.platform == "linux":
        assert cache._folder() == Path("/somewhere/manyfit")
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.delenv("HOME")
        monkeypatch.setattr("os.getuid", lambda: 2**31 - 7)  # a user without a home
        assert cache._folder() is None
    else:
        assert cache._folder() is not None
