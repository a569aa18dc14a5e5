"""What is seen while a run goes on: a bar on a terminal, a line now and then in a log."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TextIO

from ..pipeline.summary import Progress
from ..solver.status import Status

Report = Callable[[Progress], None]

LINE_EVERY_S = 10.0
"""Seconds between two lines in a log."""

STARTING = "starting workers"


@dataclass(slots=True)
class Pace:
    """Fits a second and the time left, from the first report of a run on.

    Curves that an earlier run has fitted do not count.
    """

    first: Progress | None = None

    def rate(self, now: Progress) -> float:
        """Return fits a second, 0 as long as it cannot be told."""
        if self.first is None:
            self.first = now
        elapsed = now.elapsed_s - self.first.elapsed_s
        return (now.curves_done - self.first.curves_done) / elapsed if elapsed > 0 else 0.0

    def speed(self, now: Progress) -> str:
        """Say how fast it goes, and how long it will still take."""
        rate = self.rate(now)
        if not rate:
            return ""
        left = (now.curves - now.curves_done) / rate
        return f"{rate:,.0f} fits/s" + (f", {duration(left)} left" if left else "")


@dataclass(slots=True)
class Lines:
    """Progress for a log: the first and last report, and one about every `LINE_EVERY_S`."""

    stream: TextIO
    pace: Pace = field(default_factory=Pace)
    next_s: float = 0.0

    def __call__(self, now: Progress) -> None:
        """Write a line if it is time for one."""
        speed = self.pace.speed(now)
        ended = now.partitions_done + now.failed >= now.partitions
        if now.elapsed_s < self.next_s and not ended:
            return
        self.next_s = now.elapsed_s + LINE_EVERY_S
        share = 100 * now.curves_done / max(now.curves, 1)
        parts = [f"{share:5.1f} %  {now.curves_done:,} of {now.curves:,} curves", speed, ends(now)]
        print(", ".join(part for part in parts if part), file=self.stream, flush=True)


@contextmanager
def shown(stream: TextIO, *, quiet: bool = False) -> Iterator[Report]:
    """Give what shows the progress of a run on a stream.

    Parameters
    ----------
    stream
        Where to: a bar if it is a terminal, else lines.
    quiet
        Show nothing.
    """
    if quiet:
        yield lambda _: None
    elif stream.isatty():
        with _bar(stream) as report:
            yield report
    else:
        yield Lines(stream)


@contextmanager
def _bar(stream: TextIO) -> Iterator[Report]:
    """Give a bar that goes on in its place."""
    from rich.console import Console  # noqa: PLC0415 - only on a terminal
    from rich.progress import BarColumn, TextColumn  # noqa: PLC0415
    from rich.progress import Progress as Bar  # noqa: PLC0415
    from rich.table import Column  # noqa: PLC0415

    share = TextColumn("{task.percentage:>5.1f} %", table_column=Column(min_width=7))
    text = TextColumn("{task.fields[text]}", table_column=Column(overflow="fold"))
    pace = Pace()
    with Bar(share, BarColumn(bar_width=20), text, console=Console(file=stream)) as bar:
        task = bar.add_task("fit", total=None, text=STARTING)

        def report(now: Progress) -> None:
            told = "\n".join(line for line in (pace.speed(now), ends(now)) if line)
            bar.update(task, total=now.curves, completed=now.curves_done, text=told or STARTING)

        yield report


def ends(now: Progress) -> str:
    """Say how the fits ended so far, and whether partitions failed."""
    failed = f"{now.failed} partition(s) failed" if now.failed else ""
    return ", ".join(part for part in (count_text(now.counts), failed) if part)


def count_text(counts: Mapping[int, int]) -> str:
    """Say how many fits converged, and how the others ended."""
    total = sum(counts.values())
    if not total:
        return ""
    converged = sum(n for code, n in counts.items() if Status(code).success)
    others = [(Status(code).name, n) for code, n in counts.items() if not Status(code).success]
    ends = [f"{n:,} {name}" for name, n in sorted(others, key=lambda pair: -pair[1])]
    return ", ".join([f"{100 * converged / total:.4g} % converged", *ends])


def duration(seconds: float) -> str:
    """Write a time as a person would say it."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
