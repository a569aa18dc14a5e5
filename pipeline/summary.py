"""What a run tells: progress on the way, a summary at the end."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..solver.status import Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run is.

    Attributes
    ----------
    curves_done, curves
        Curves of partitions that are committed, in this run or before, and of all.
    partitions_done, partitions, failed
        The same in partitions, and how many have failed.
    counts
        Curves that are done, by status code.
    elapsed_s
        Since the run began.
    """

    curves_done: int
    curves: int
    partitions_done: int
    partitions: int
    failed: int
    counts: Mapping[int, int]
    elapsed_s: float

    def __str__(self) -> str:
        """Say how far, on one line."""
        return (
            f"{self.curves_done:,} of {self.curves:,} curves, {self.partitions_done:,} of "
            f"{self.partitions:,} partitions, {self.failed} failed, {self.elapsed_s:.1f} s"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """What came of a run.

    Attributes
    ----------
    curves
        Curves of the data set.
    counts
        All of them by status code, those of earlier runs too; those of failed partitions as
        ``Status.TASK_LOST``.
    partitions
        How many there are.
    skipped
        Partitions that an earlier run had committed.
    failed
        Why partitions failed, by index. Another run tries them again.
    fitted
        Curves fitted by this run.
    seconds
        How long it took.
    kept
        Input files that changed or are gone, and whose results are those of what they were.
    """

    curves: int
    counts: Mapping[int, int]
    partitions: int
    skipped: int
    failed: Mapping[int, str] = field(default_factory=dict)
    fitted: int = 0
    seconds: float = 0.0
    kept: tuple[str, ...] = ()

    @property
    def fits_per_s(self) -> float:
        """Curves that this run fitted a second; 0 if there was nothing to do."""
        return self.fitted / self.seconds if self.seconds > 0 else 0.0

    @property
    def converged(self) -> int:
        """Curves with a status of 1 to 4."""
        return sum(n for code, n in self.counts.items() if 1 <= code <= 4)

    def __str__(self) -> str:
        """Tell the run in a few lines."""
        fits = f"{self.fitted:,} fitted in {self.seconds:.1f} s ({self.fits_per_s:,.0f} fits/s)"
        done = f"{self.skipped:,} committed before, {len(self.failed):,} failed"
        lines = [
            f"{self.curves:,} curves, {self.converged:,} converged; {fits}",
            f"{self.partitions:,} partition(s), {done}",
        ]
        lines += [f"  {Status(code).name:<20} {n:>12,}" for code, n in sorted(self.counts.items())]
        failed = [f"  partition {i} failed: {why}" for i, why in sorted(self.failed.items())]
        more = [f"  ... and {len(failed) - 10} more failed"] if len(failed) > 10 else []
        return "\n".join([*lines, *failed[:10], *more, *self.notes])

    @property
    def notes(self) -> list[str]:
        """What a reader of the results should know, a line each."""
        if not self.kept:
            return []
        more = f" ... and {len(self.kept) - 5} more" if len(self.kept) > 5 else ""
        return [
            f"kept       results of files as they were before: {', '.join(self.kept[:5])}{more}"
        ]
