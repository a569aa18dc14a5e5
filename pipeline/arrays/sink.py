"""Where maps go: a Zarr group that is an output directory as well.

    out.zarr/a                          one array a parameter, and so on: see `maps`
    out.zarr/_manyfit/job.json          the ledger, as of any output directory (see `sink`)
    out.zarr/_manyfit/part-00000.json   the receipt of a partition: its tiles, and every chunk that
                                        it wrote, with its size

The receipt stands for the part: it is written after the chunks, and the record after the receipt.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from ..objects.path import ObjectPath
from ..places import Place, each
from ..sink import Sink, file_digest, read_json

SUFFIX = ".zarr"
"""An output directory with a name that ends so gets maps."""

_HALF_WRITTEN = "*.partial"
"""What zarr calls a file as long as it is being written."""


@dataclass(frozen=True, slots=True)
class MapSink(Sink):
    """An output directory with Zarr maps."""

    @property
    def rows(self) -> Place:
        """What the rows are and how they lie; there when every map is there, empty or not."""
        return self.ledger / "rows.arrow"

    def part(self, index: int) -> Place:
        """Where the receipt of a partition goes."""
        return self.ledger / f"part-{index:05d}.json"

    def tiles(self, index: int) -> list[int]:
        """Return the tiles that a partition wrote, in order."""
        return list((read_json(self.part(index)) or {}).get("tiles", []))

    def part_bytes(self, index: int) -> int:
        """Return the size of a receipt whose chunks are all there.

        Raises
        ------
        OSError
            When there is no receipt, or a chunk is missing or of another size.
        """
        chunks = self._chunks(index)
        sizes = each(self.path, lambda key: (self.path / key).stat().st_size, chunks)
        for key, n_bytes in zip(chunks, sizes, strict=True):
            if n_bytes != chunks[key]:
                raise OSError(f"{self.path / key} is not of the size it had")
        return self.part(index).stat().st_size

    def part_digest(self, index: int) -> str:
        """Return a hash of a receipt and of the chunks that it lists, as they are now.

        Raises
        ------
        OSError
            When one of them is not there.
        """
        keys = list(self._chunks(index))
        digests = each(self.path, lambda key: file_digest(self.path / key), keys)
        found = dict(zip(keys, digests, strict=True))
        return hashlib.sha256(repr([self.tiles(index), found]).encode()).hexdigest()[:16]

    def part_schema(self, index: int) -> pa.Schema:  # noqa: ARG002 - all have the same
        """Return the schema of the rows that a partition wrote."""
        from .maps import read_schema  # noqa: PLC0415 - loads zarr

        return read_schema(self)[0]

    def part_rows(
        self, index: int, columns: Sequence[str] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows that a partition wrote, or some of their columns, tile by tile."""
        from .maps import read_maps  # noqa: PLC0415 - loads zarr

        return read_maps(self, self.tiles(index), columns)

    def strangers(self) -> list[str]:
        """Return files that are in the way of maps."""
        if not self.path.is_dir():
            return []
        known = {self.ledger.name, *(self._arrays() if self.rows.exists() else ())}
        return sorted(p.name for p in self.path.iterdir() if p.name not in known)

    def discard(self, index: int) -> None:
        """Empty the maps where a partition wrote that is no more, and remove its record.

        The status goes first: where there is none, nothing else counts.
        """
        keys = self._chunks(index)
        for key in sorted(keys, key=lambda key: not key.startswith("status/")):
            (self.path / key).unlink(missing_ok=True)
        for path in (self.record(index), self.part(index)):
            path.unlink(missing_ok=True)

    def clear_temporary(self) -> None:
        """Remove temporary files."""
        Sink.clear_temporary(self)
        if isinstance(self.path, ObjectPath):
            return
        for path in self.path.rglob(_HALF_WRITTEN):
            path.unlink(missing_ok=True)

    def _arrays(self) -> set[str]:
        """Return what the group says that it has."""
        found = read_json(self.path / "zarr.json") or {}
        named = found.get("consolidated_metadata", {}).get("metadata", {})
        return {"zarr.json", *named}

    def _chunks(self, index: int) -> Mapping[str, int]:
        """Return the chunks of a receipt, and their sizes."""
        chunks: Mapping[str, int] = (read_json(self.part(index)) or {}).get("chunks", {})
        return chunks


def sink_of(path: Place) -> Sink:
    """Return the sink that an output directory is meant to be, by its name."""
    return MapSink(path) if path.suffix == SUFFIX else Sink(path)
