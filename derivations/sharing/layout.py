"""What lies where in a cache, and in which form; values only.

    fromager-cache.json         that it is a cache, and of which format
    index.json                  which segments there are: the only file that changes
    segments/<digest>           pushes: what they brought, and where the rest is
    claims/<digest>             envelopes, one a line
    manifests/<digest>          the objects of a closure, and the records that hold them
    records/<digest>            listings of objects, and where the bytes of files are
    packs/<digest>              small files, one after another, in frames
    blobs/ab/<62 digits>[.zst]  one large file, by the digest of its content

All but the first two are named by the BLAKE3 digest of their bytes, and never change;
packs may be named otherwise, since the files in them are what is checked.
Segments, claims, manifests, records and the frames of packs are compressed (zstd).
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from fromager.derivations.sharing.compression import compress, decompress
from fromager.store import (
    NOT_A_RECORD,
    Digest,
    InvalidRecord,
    ObjectRecord,
    StorePath,
    blob_digest,
    dump_record,
    load_record,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FORMAT: Final = 1
MARKER: Final = "fromager-cache.json"
INDEX: Final = "index.json"
LARGEST_INDEX: Final = 16 << 20
LARGEST_PART: Final = 256 << 20
"""Bytes that a segment, a file of claims, a manifest or records may unpack to."""
LARGEST_FRAME: Final = 4 << 20
"""Bytes that a frame of a pack may unpack to."""


@dataclass(frozen=True, slots=True)
class Part:
    """A compressed file of a cache, with the name that its bytes give it."""

    folder: str
    content: bytes

    @property
    def digest(self) -> Digest:
        """The digest of the bytes as they lie there."""
        return blob_digest(self.content)

    @property
    def name(self) -> str:
        """Where it lies."""
        return part_name(self.folder, self.digest)


def part_name(folder: str, digest: Digest) -> str:
    """Where a file of a cache lies that is named by its own digest."""
    return f"{folder}/{digest.hex}"


def blob_name(digest: Digest, *, packed: bool) -> str:
    """Where a large file lies, compressed or as it is."""
    suffix = ".zst" if packed else ""
    return f"blobs/{digest.hex[:2]}/{digest.hex[2:]}{suffix}"


@dataclass(frozen=True, slots=True)
class Push:
    """What was brought to a cache at once: the whole closure of some realisations."""

    claims: Digest
    manifest: Digest
    time: int
    """Seconds since the epoch, as the one who pushed says."""
    by: str
    """The key that signed the claims of builds of its own."""
    roots: tuple[tuple[str, str, Digest], ...]
    """Kind, subject and key of every wheel in it, and of what was named."""
    keys: frozenset[Digest]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a small file's bytes are: in a frame of a pack."""

    pack: int
    frame: int
    offset: int
    """In what the frame unpacks to."""


@dataclass(frozen=True, slots=True)
class Pack:
    """A file of frames, each of so many bytes as it lies there."""

    digest: Digest
    frames: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Records:
    """Listings of objects, and where all their files are."""

    objects: Mapping[StorePath, ObjectRecord]
    packs: tuple[Pack, ...]
    small: Mapping[Digest, Place]
    large: Mapping[Digest, bool]
    """Files that lie alone: whether they are compressed."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """The objects of a closure, each with the records that tell of it.

    In an order in which none comes before what it refers to.
    """

    objects: tuple[tuple[StorePath, Digest], ...]


def dump_marker() -> bytes:
    """The file that makes a place a cache."""
    return json.dumps({"format": FORMAT}).encode() + b"\n"


def dump_index(segments: Iterable[tuple[Digest, int]]) -> bytes:
    """The list of segments, each with the number of its pushes."""
    rows = [{"digest": digest.hex, "pushes": count} for digest, count in segments]
    return json.dumps({"version": FORMAT, "segments": rows}, indent=1).encode() + b"\n"


def load_index(content: bytes) -> tuple[tuple[Digest, int], ...]:
    """The segments of a cache.

    Raises:
        InvalidRecord: it is no list of segments, or of another version.
    """
    try:
        value = _checked(json.loads(content), "index")
        return tuple(
            (_hex(row["digest"]), int(row["pushes"])) for row in value["segments"]
        )
    except NOT_A_RECORD as error:
        raise InvalidRecord("index of a cache", f"not to be read: {error}") from error


def dump_segment(pushes: Iterable[Push]) -> Part:
    """Pushes as a segment."""
    rows = [
        {
            "claims": push.claims.hex,
            "manifest": push.manifest.hex,
            "time": push.time,
            "by": push.by,
            "roots": [[kind, subject, key.hex] for kind, subject, key in push.roots],
            "keys": _pack_keys(push.keys),
        }
        for push in pushes
    ]
    return _part("segments", {"version": FORMAT, "pushes": rows})


def load_segment(content: bytes) -> tuple[Push, ...]:
    """The pushes of a segment; see `load_index` for errors."""
    value = _load(content, "segment")
    try:
        return tuple(
            Push(
                _hex(row["claims"]),
                _hex(row["manifest"]),
                int(row["time"]),
                str(row["by"]),
                tuple((str(k), str(s), _hex(key)) for k, s, key in row["roots"]),
                _unpack_keys(row["keys"]),
            )
            for row in value["pushes"]
        )
    except NOT_A_RECORD as error:
        raise InvalidRecord("segment", f"not to be read: {error}") from error


def dump_claims(envelopes: Iterable[bytes]) -> Part:
    """Envelopes, one a line, sorted."""
    lines = b"".join(b"%b\n" % each for each in sorted(set(envelopes)))
    return Part("claims", compress(lines))


def load_claims(content: bytes) -> tuple[bytes, ...]:
    """The envelopes in a file of claims, as they stand there."""
    return tuple(_unpack(content, "claims").splitlines())


def dump_manifest(manifest: Manifest) -> Part:
    """A manifest as it lies in a cache."""
    records = list(dict.fromkeys(digest.hex for _, digest in manifest.objects))
    numbers = {digest: number for number, digest in enumerate(records)}
    rows = [[str(path), numbers[digest.hex]] for path, digest in manifest.objects]
    value = {"version": FORMAT, "records": records, "objects": rows}
    return _part("manifests", value)


def load_manifest(content: bytes) -> Manifest:
    """A manifest; see `load_index` for errors."""
    value = _load(content, "manifest")
    try:
        records = [_hex(text) for text in value["records"]]
        rows = [(StorePath.parse(p), records[_index(n)]) for p, n in value["objects"]]
        return Manifest(tuple(rows))
    except (*NOT_A_RECORD, IndexError) as error:
        raise InvalidRecord("manifest", f"not to be read: {error}") from error


def dump_records(records: Records) -> Part:
    """Records as they lie in a cache."""
    value = {
        "version": FORMAT,
        "objects": [
            json.loads(dump_record(records.objects[path]))
            for path in sorted(records.objects)
        ],
        "packs": [[pack.digest.hex, *pack.frames] for pack in records.packs],
        "small": {
            digest.hex: [place.pack, place.frame, place.offset]
            for digest, place in records.small.items()
        },
        "large": {digest.hex: int(packed) for digest, packed in records.large.items()},
    }
    return _part("records", value)


def load_records(content: bytes) -> Records:
    """Records, each listing checked against its digest; see `load_index` for errors."""
    value = _load(content, "records")
    try:
        objects = [load_record(_canonical(row)) for row in value["objects"]]
        return Records(
            {record.path: record for record in objects},
            tuple(_pack(row) for row in value["packs"]),
            {
                _hex(k): _place(v, len(value["packs"]))
                for k, v in value["small"].items()
            },
            {_hex(digest): bool(packed) for digest, packed in value["large"].items()},
        )
    except NOT_A_RECORD as error:
        raise InvalidRecord("records", f"not to be read: {error}") from error


def _pack(row: list[Any]) -> Pack:
    return Pack(_hex(row[0]), tuple(_index(size) for size in row[1:]))


def _place(row: list[Any], packs: int) -> Place:
    pack, frame, offset = (_index(number) for number in row)
    if pack >= packs:
        raise ValueError(f"there is no pack {pack}")
    return Place(pack, frame, offset)


def _part(folder: str, value: object) -> Part:
    return Part(folder, compress(_canonical(value)))


def _canonical(value: object) -> bytes:
    """As records have it, too: keys sorted, no blanks, all outside ASCII escaped."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")


def _load(content: bytes, what: str) -> dict[str, Any]:
    try:
        return _checked(json.loads(_unpack(content, what)), what)
    except NOT_A_RECORD as error:
        raise InvalidRecord(what, f"not to be read: {error}") from error


def _unpack(content: bytes, what: str) -> bytes:
    try:
        return decompress(content, LARGEST_PART)
    except ValueError as error:
        raise InvalidRecord(what, str(error)) from error


def _checked(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict) or value["version"] != FORMAT:
        raise InvalidRecord(what, "its version is unknown")
    return value


def _hex(text: object) -> Digest:
    if not isinstance(text, str):
        raise TypeError(f"{text!r:.60} is no digest")
    return Digest.parse(f"blake3:{text}")


def _index(number: object) -> int:
    if type(number) is not int or number < 0:
        raise ValueError(f"{number!r:.60} is no place")
    return number


def _pack_keys(keys: Iterable[Digest]) -> str:
    content = b"".join(sorted(key.raw for key in keys))
    return base64.b64encode(content).decode("ascii")


def _unpack_keys(text: str) -> frozenset[Digest]:
    content = base64.b64decode(text, validate=True)
    return frozenset(Digest(content[i : i + 32]) for i in range(0, len(content), 32))
