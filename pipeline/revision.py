"""What becomes of a job whose input is not what it was: pure functions of ledger and input.

Files that were added are no matter: they make partitions of their own; so do arrays that have grown
(see `arrays.growth`). Files that changed or are
gone are refused, unless it is said what to do with their results:

    refit    partitions with rows of such files are taken back; what is left of their rows is
             planned again, and the rows of files that are gone go with them
    keep     results stay as they are, and the ledger notes that the files are others now
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from .arrays.growth import has_grown, n_slabs, no_growth, without_growth
from .errors import JobMismatchError
from .identity import differences
from .ledger import Job
from .plan import Partition, Plan, Slice

OnChanged: TypeAlias = Literal["refit", "keep"] | None
ON_CHANGED = ("refit", "keep")


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """A job brought up to the input as it is.

    Attributes
    ----------
    job
        Its plan has the partitions that stay, its input the files as slices count them now.
    again
        Positions of files of which some rows are in the plan and others have to be planned again.
    """

    job: Job
    again: frozenset[int] = field(default=frozenset())


def revise(
    found: Job,
    description: Mapping[str, Any],
    rows: Mapping[str, int],
    on_changed: OnChanged,
    is_done: Callable[[Partition], bool],
    place: str,
) -> Revision:
    """Say what stays of a job that was begun.

    Parameters
    ----------
    found
        The job of the ledger.
    description
        The job as it is now (see `describe_job`).
    rows
        How many rows the blocks of every file have now.
    on_changed
        What to do with the results of files that changed or are gone.
    is_done
        Whether a partition is committed.
    place
        Where the results are, for messages.

    Raises
    ------
    JobMismatchError
        When it is another job; when files changed or are gone that have results, and `on_changed`
        is None; when results are to be kept that are not there yet.
    """
    _check_same(found, description, place)
    here: dict[str, Any] = dict(description["input"])
    other = {n for n, identity in found.input.items() if here.get(n) != identity}
    if not on_changed:
        known = {n: found.kept.get(n, identity) for n, identity in found.input.items()}
        unread = not found.numbered and _no_results_of(other & set(here), found, is_done)
        if other and unread == other:
            return _taken_back(found, description, other, rows)
        if any(here.get(n) != known[n] for n in other):
            raise JobMismatchError(_refusal(known, here, place))
    if on_changed == "refit":
        return _taken_back(found, description, other, rows)
    kept = {n: here.get(n) for n in found.input if n in other}
    _check_done([n for n in kept if n not in found.kept], found, is_done, place)
    return Revision(job=_with_input(found, description, kept))


def _check_same(found: Job, description: Mapping[str, Any], place: str) -> None:
    """Refuse another job: other columns, another model, other options."""
    there, here = {**found.description, "input": description["input"]}, dict(description)
    before, now = there["columns"], here["columns"]
    if has_grown(before, now):
        slabs = n_slabs(before)
        there["columns"], here["columns"] = (without_growth(c, slabs) for c in (before, now))
    if differences(there, here):
        raise JobMismatchError(
            f"{place} holds the results of another job. Different: "
            f"{'; '.join(differences(found.description, description))}. "
            f"{''.join(f'{why}. ' for why in no_growth(before, now))}Choose another output "
            "directory, or remove this one to fit all curves again"
        )


def _refusal(known: Mapping[str, Any], here: Mapping[str, Any], place: str) -> str:
    """Say how the input differs, and what can be done."""
    then = {n: identity for n, identity in known.items() if identity is not None}
    told = "; ".join(differences({"input": then}, {"input": here}))
    return (
        f"{place} holds the results of an input that is not the same any more: {told}. Say what to "
        "do: on_changed 'refit' fits changed files again and drops the curves of those gone, "
        "'keep' leaves their results as they are; or choose another output directory"
    )


def _no_results_of(names: set[str], found: Job, is_done: Callable[[Partition], bool]) -> set[str]:
    """Return the files of which nothing is fitted, as when they could not be read and were mended.

    No result depends on what they were.
    """
    position = list(found.input)
    fitted = {
        position[s.file]
        for p in found.plan.partitions
        if any(position[s.file] in names for s in p.slices) and is_done(p)
        for s in p.slices
    }
    return names - fitted


def _taken_back(
    found: Job, description: Mapping[str, Any], stale: set[str], rows: Mapping[str, int]
) -> Revision:
    """Take back the partitions that have rows of stale files.

    Where curves are numbered, those after them too: their numbers may be others. If all stale files
    have the rows they had, the partitions are what they were, and so are the numbers.
    """
    names, place = list(found.input), {n: k for k, n in enumerate(description["input"])}

    def stays(partition: Partition) -> bool:
        return not any(names[s.file] in stale for s in partition.slices)

    partitions = found.plan.partitions
    if found.numbered and not all(map(stays, partitions)):
        if _rows_of(found, stale) == {name: rows.get(name, 0) for name in stale}:
            return Revision(job=_with_input(found, description, {}))
        first = next(k for k, partition in enumerate(partitions) if not stays(partition))
        partitions = partitions[:first]
    left = tuple(filter(stays, partitions))
    kept = {partition.index for partition in left}
    opened = [p for p in found.plan.partitions if p.index not in kept]
    again = {names[s.file] for p in opened for s in p.slices} - stale
    retired = (*found.plan.retired, *(p.index for p in opened))
    plan = replace(found.plan, partitions=left, retired=tuple(sorted(retired)))
    job = _with_input(replace(found, plan=plan), description, {})
    return Revision(job=job, again=frozenset(place[name] for name in again))


def _rows_of(found: Job, names: set[str]) -> dict[str, int]:
    """Return how many rows of some files are in the plan."""
    rows, files = dict.fromkeys(names, 0), list(found.input)
    for piece in (s for p in found.plan.partitions for s in p.slices):
        if files[piece.file] in names:
            rows[files[piece.file]] += piece.stop - piece.start
    return rows


def _with_input(job: Job, description: Mapping[str, Any], kept: Mapping[str, Any]) -> Job:
    """Return a job whose files are those of a description, and behind them those kept but gone."""
    here = {n: job.input[n] if n in kept else v for n, v in description["input"].items()}
    files = {**here, **{n: job.input[n] for n in kept if n not in here}}
    there, place = list(job.input), {name: k for k, name in enumerate(files)}

    def moved(piece: Slice) -> Slice:
        return replace(piece, file=place[there[piece.file]])

    plan: Plan = job.plan.with_slices(moved)
    return Job(description={**description, "input": files}, plan=plan, kept=kept)


def _check_done(
    names: list[str], found: Job, is_done: Callable[[Partition], bool], place: str
) -> None:
    """Refuse to keep the results of files that have not been fitted to their end."""
    positions = {k for k, name in enumerate(found.input) if name in set(names)}
    for partition in found.plan.partitions:
        lacking = positions & {s.file for s in partition.slices}
        if lacking and not is_done(partition):
            name = list(found.input)[min(lacking)]
            raise JobMismatchError(
                f"the results of {name} in {place} cannot be kept: partition {partition.index} was "
                "not fitted before the file changed; on_changed 'refit' fits it as it is now"
            )
