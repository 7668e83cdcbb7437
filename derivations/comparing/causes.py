"""Why outputs of one build differ: the causes, their remedies, and how to make sure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final


class Cause(Enum):
    """A cause of a difference; the values stand in JSON."""

    TIMESTAMP = "timestamp"
    BUILD_PATH = "build-path"
    TEMPORARY_NAME = "temporary-name"
    FILE_ORDER = "file-order"
    SET_ORDER = "set-order"
    RANDOM = "random"
    HOST = "host"
    CORES = "cores"
    KERNEL = "kernel"
    ADDRESS = "address"
    MODE = "mode"
    MEMBER_TIME = "member-time"
    MEMBER_ORDER = "member-order"
    COMPRESSION = "compression"
    CONTAINER = "container"
    OWNER = "owner"
    LINE_ENDINGS = "line-endings"
    TOOL_VERSION = "tool-version"
    BYTECODE = "bytecode"
    DEBUG_INFO = "debug-info"
    BUILD_ID = "build-id"
    DIGEST = "digest"
    RECORD = "record"
    LINK = "link"
    MEMBERS = "members"
    NAME = "name"
    TEXT = "text"
    BINARY = "binary"


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a cause is to people."""

    title: str
    remedy: str
    """What makes it go away, without a full stop."""
    variation: str | None = None
    """The variation of a check that would confirm it, if there is one."""
    consequence: bool = False
    """It follows from another difference, and goes away with that."""


EXPLANATIONS: Final = {
    Cause.TIMESTAMP: Explanation(
        "the time of the build",
        "Take the time from SOURCE_DATE_EPOCH, or leave it out",
        "time",
    ),
    Cause.BUILD_PATH: Explanation(
        "the folder of the build",
        "Build in a fixed folder, or write paths relative to the source",
        "build-path",
    ),
    Cause.TEMPORARY_NAME: Explanation(
        "the random name of a temporary file or folder",
        "Use a fixed name below the build folder, or keep the name out of the output",
        "time",
    ),
    Cause.FILE_ORDER: Explanation(
        "the order in which a folder lists its files",
        "Sort what os.listdir, glob or os.walk gives",
        "readdir",
    ),
    Cause.SET_ORDER: Explanation(
        "the order of a set or of a hash table",
        "Sort before writing; a fixed PYTHONHASHSEED hides it for Python",
        "time",
    ),
    Cause.RANDOM: Explanation(
        "a random value",
        "Derive it from the input, for instance uuid5 or a digest, or leave it out",
        "time",
    ),
    Cause.HOST: Explanation(
        "a name of the machine or of its user",
        "Leave it out; a sandbox shows the same names everywhere",
        "hostname",
    ),
    Cause.CORES: Explanation(
        "the number of processors",
        "Do not write it into the output, and do not divide work by it",
        "cores",
    ),
    Cause.KERNEL: Explanation(
        "the release of the kernel",
        "Do not write it into the output",
        "kernel",
    ),
    Cause.ADDRESS: Explanation(
        "an address in memory",
        "Do not write default representations of objects, nor order by id()",
        "aslr",
    ),
    Cause.MODE: Explanation(
        "the permissions of files",
        "Set them, or build under umask 022",
        "umask",
    ),
    Cause.MEMBER_TIME: Explanation(
        "the times of members of the archive",
        "Set SOURCE_DATE_EPOCH; the normal form of wheels removes it",
        "time",
    ),
    Cause.MEMBER_ORDER: Explanation(
        "the order of members of the archive",
        "Sort them when the archive is written; the normal form of wheels removes it",
        "readdir",
    ),
    Cause.COMPRESSION: Explanation(
        "the compressor or its level",
        "Use the same zlib; the normal form of wheels stores without compression",
    ),
    Cause.CONTAINER: Explanation(
        "the archive's own fields",
        "Write it with the same tool; the normal form of wheels removes it",
    ),
    Cause.OWNER: Explanation(
        "the owner of files in the archive",
        "Write owner 0 and no names",
        "home",
    ),
    Cause.LINE_ENDINGS: Explanation(
        "the ends of lines",
        "Open files with a fixed newline",
    ),
    Cause.TOOL_VERSION: Explanation(
        "the version of a tool",
        "Build with the same version: pin the build requirement",
    ),
    Cause.BYTECODE: Explanation(
        "bytecode of Python",
        "Do not ship .pyc files, or compile them with unchecked hashes",
        "time",
    ),
    Cause.DEBUG_INFO: Explanation(
        "information for debuggers",
        "Build in a fixed folder, or with -ffile-prefix-map",
        "build-path",
    ),
    Cause.BUILD_ID: Explanation(
        "the linker's build id",
        "It is a digest of the rest: remove the other differences",
        consequence=True,
    ),
    Cause.DIGEST: Explanation(
        "a digest or a random value",
        "If it is a digest, remove what differs in what it was taken of",
    ),
    Cause.RECORD: Explanation(
        "RECORD, which lists the other members",
        "It goes away with the other differences",
        consequence=True,
    ),
    Cause.LINK: Explanation(
        "the target of a link",
        "Make links relative, and to the same place",
        "build-path",
    ),
    Cause.MEMBERS: Explanation(
        "members that only one side has",
        "Find out what makes the build write them; its log may tell",
    ),
    Cause.NAME: Explanation(
        "the name of the file",
        "Its version and tags follow from the source and from the platform",
    ),
    Cause.TEXT: Explanation(
        "text, for a reason that is not known",
        "Look at the lines that differ",
    ),
    Cause.BINARY: Explanation(
        "bytes, for a reason that is not known",
        "Look at both with a tool for the format",
    ),
}
"""What is known of each cause."""


def is_consequence(cause: Cause) -> bool:
    """Whether a difference of this cause follows from another one."""
    return EXPLANATIONS[cause].consequence
