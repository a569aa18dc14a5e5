"""Runs that are killed, starved and lied to; then resumed, and compared with one left alone.

python -m tests.benchmarks.faults [--rounds 50] [--seed 1] [--curves 20000] [--s3]

Each round begins a run of its own and does it one harm at a random moment:

    main      kill -9 of the process that has the run
    worker    kill -9 of one of its workers
    all       kill -9 of all of them at once
    disk      a disk that is full before the end (a small tmpfs, or a limit on the size of files)
    torn      an input file cut short while it is being read, whole again later
    stray     a new input file that is torn, taken away later

Then it is run again, and now and then killed again, until it ends with exit code 0. Every curve
must be there once, with the bits it has in a run that was left alone. Ends with 1 if one is not.
With --s3 input and output are objects, and the harms are those of `store_faults`.
"""

import argparse
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa

from manyfit.pipeline.places import Place
from manyfit.pipeline.results import read_result
from manyfit.pipeline.verify import verify_result

MODEL = "exponential_decay"
TRIES = 8
"""How often a run is begun again before it is given up."""


@dataclass(slots=True)
class Round:
    """One run, from its beginning to its end.

    Attributes
    ----------
    data, out
        Where its input is, and its results.
    dice
        What decides when.
    limit
        The largest file that it may write; 0: any.
    environ
        What its environment has besides ours.
    look_s
        How often to look for its parts.
    codes
        With which exit codes it ended.
    total
        How many parts there are in the end.
    """

    data: Place
    out: Place
    dice: random.Random
    limit: int = 0
    environ: dict[str, str] = field(default_factory=dict)
    look_s: float = 0.005
    codes: list[int] = field(default_factory=list)
    total: int = 80

    def start(self) -> "subprocess.Popen[bytes]":
        """Begin the run, or go on with it."""
        words = ["fit", self.data, "-m", MODEL, "-o", self.out, "-q", "--workers", 2]
        words += ["--partition-size", "60kB", "--retries", 1]
        limit = self.limit
        return subprocess.Popen(
            [sys.executable, "-m", "manyfit.workflows", *map(str, words)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **self.environ},
            start_new_session=True,
            preexec_fn=(lambda: _limit_files(limit)) if limit else None,  # noqa: PLW1509
        )

    def end(self, process: "subprocess.Popen[bytes]") -> None:
        """Wait for the end of the run."""
        self.codes.append(process.wait(timeout=300))
        with suppress(ProcessLookupError):  # workers of a run that was killed end by themselves
            os.killpg(process.pid, 0)
            time.sleep(0.2)

    def to_the_end(self) -> None:
        """Go on until it is done; now and then kill it again."""
        for _ in range(TRIES):
            process = self.start()
            if self.dice.random() < 0.3 and len(self.codes) < 3:
                self.wait_for_parts(process)
                process.kill()
            self.end(process)
            if self.codes[-1] == 0:
                return

    def wait_for_parts(self, process: "subprocess.Popen[bytes]") -> None:
        """Wait for a moment between the beginning and the end of a run."""
        there = self.n_parts
        wanted = self.dice.randint(there, max(self.total, there))
        while process.poll() is None and self.n_parts < wanted:
            time.sleep(self.look_s)
        time.sleep(self.dice.uniform(0.0, 0.1 if wanted > there else 2.0))

    @property
    def n_parts(self) -> int:
        """Parts that are written."""
        return len(list(self.out.glob("part-*.parquet")))


def kill_main(run: Round) -> None:
    """Kill the process that has the run."""
    process = run.start()
    run.wait_for_parts(process)
    process.kill()
    run.end(process)


def kill_worker(run: Round) -> None:
    """Kill one worker, as the kernel does when memory is short."""
    process = run.start()
    run.wait_for_parts(process)
    with suppress(psutil.NoSuchProcess, IndexError):
        family = psutil.Process(process.pid).children(recursive=True)
        workers = [p for p in family if _is_worker(p, process.pid)]
        run.dice.choice(workers).kill()
    run.end(process)


def _is_worker(found: psutil.Process, main: int) -> bool:
    """Whether one of the family is a worker: forked, and so a grandchild, or spawned."""
    return found.ppid() != main or any("spawn_main" in word for word in found.cmdline())


def kill_all(run: Round) -> None:
    """Kill everything at once, as a node that dies."""
    process = run.start()
    run.wait_for_parts(process)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    run.end(process)


def fill_disk(run: Round) -> None:
    """Run on a disk that is too small; then it grows."""
    assert isinstance(run.out, Path)
    with small_disk(run.out, run.dice.randint(200, 1500)) as mounted:
        run.limit = 0 if mounted else run.dice.randint(3_000, 30_000)
        run.end(run.start())
        run.limit = 0
        if mounted:
            subprocess.run(["mount", "-o", "remount,size=1g", str(run.out)], check=True)
            kept = run.out.with_name("kept")
            shutil.copytree(run.out, kept)
    if mounted:
        shutil.rmtree(run.out)
        kept.rename(run.out)


def tear_input(run: Round) -> None:
    """Cut an input file short while the run goes on, and make it whole when it has ended."""
    assert isinstance(run.data, Path)
    process = run.start()
    run.wait_for_parts(process)
    path = run.dice.choice(sorted(run.data.glob("*.parquet")))
    content = path.read_bytes()
    path.write_bytes(content[: run.dice.randrange(len(content))])
    run.end(process)
    path.write_bytes(content)


def stray_input(run: Round) -> None:
    """Let a torn file appear among the input, and take it away when a run has refused it."""
    assert isinstance(run.data, Path)
    process = run.start()
    run.wait_for_parts(process)
    content = next(run.data.glob("*.parquet")).read_bytes()
    (run.data / "z.parquet").write_bytes(content[: run.dice.randrange(len(content))])
    run.end(process)
    run.end(run.start())
    (run.data / "z.parquet").unlink()


FAULTS: dict[str, Callable[[Round], None]] = {
    "main": kill_main,
    "worker": kill_worker,
    "disk": fill_disk,
    "torn": tear_input,
    "all": kill_all,
    "stray": stray_input,
}


@contextmanager
def small_disk(place: Path, kilobytes: int) -> Iterator[bool]:
    """Mount a small disk, if that is allowed; say whether."""
    place.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(place)]
    try:
        mounted = subprocess.run(mount, check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        mounted = False
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", str(place)], check=True)


def _limit_files(n_bytes: int) -> None:
    """Let this process write no larger files."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, resource.RLIM_INFINITY))


def bits(table: pa.Table) -> list[bytes]:
    """Return every column as bytes, so that NaN equals NaN and nothing is overlooked."""
    columns = (table[name].combine_chunks() for name in table.column_names)
    flat = (c.flatten() if pa.types.is_nested(c.type) else c for c in columns)
    return [column.to_numpy(zero_copy_only=False).tobytes() for column in flat]


def what_is_wrong(run: Round, expected: list[bytes]) -> str:
    """Compare a result with one that was left alone, and with its own ledger."""
    if run.codes[-1] != 0:
        return f"did not end in {TRIES} tries"
    found = verify_result(run.out, str(run.data))
    if found.problems or found.missing:
        return "; ".join([*found.problems, *found.missing])
    if isinstance(run.out, Path) and (left := [*run.out.rglob(".*.tmp")]):
        return f"left behind: {left}"
    return "" if bits(read_result(run.out)) == expected else "other bits"


def simulate(data: Path, n_curves: int) -> None:
    """Write the input: four files."""
    words = ["simulate", "-m", MODEL, "--curves", n_curves, "--points", 30, "--files", 4]
    command = [sys.executable, "-m", "manyfit.workflows", *map(str, words), "--out", str(data)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


@contextmanager
def on_disk(folder: Path, name: str, dice: random.Random) -> Iterator[Round]:
    """Give a round its own copy of the data."""
    place = folder / name
    shutil.copytree(folder / "data", place / "data")
    yield Round(place / "data", place / "out", dice)
    shutil.rmtree(place)


def main() -> int:
    """Print one line a round; return 1 if a curve was lost, came twice, or has other bits."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--curves", type=int, default=20_000)
    parser.add_argument("--s3", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        simulate(folder / "data", options.curves)
        if not options.s3:
            return campaign(options, folder, on_disk, FAULTS)
        from tests.benchmarks import store_faults

        with store_faults.store_of(folder / "data") as in_store:
            return campaign(options, folder, in_store, store_faults.FAULTS)


def campaign(
    options: argparse.Namespace,
    folder: Path,
    opened: Callable[[Path, str, random.Random], AbstractContextManager[Round]],
    faults: Mapping[str, Callable[[Any], None]],
) -> int:
    """Do one harm after the other, and compare each time."""
    dice: Any = random.Random(options.seed)
    with opened(folder, "alone", dice) as alone:
        alone.end(alone.start())
        expected, total = bits(read_result(alone.out)), alone.n_parts
    print(f"seed {options.seed}, {options.curves:,} curves in {total} parts\n")
    print("| round | fault | exit codes | seconds | |\n|---|---|---|---|---|")
    failed = 0
    for k in range(options.rounds):
        fault = list(faults)[k % len(faults)]
        with opened(folder, f"{k}", dice) as run:
            run.total, begun = total, time.monotonic()
            faults[fault](run)
            run.to_the_end()
            wrong = what_is_wrong(run, expected)
        failed += bool(wrong)
        codes = " ".join(map(str, run.codes))
        seconds = time.monotonic() - begun
        print(f"| {k} | {fault} | {codes} | {seconds:.1f} | {wrong or 'same bits'} |", flush=True)
    print(f"\n{options.rounds - failed} of {options.rounds} rounds: every curve once, same bits")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
