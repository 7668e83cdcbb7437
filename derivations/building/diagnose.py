"""Why a build failed, as far as the last lines of its log tell.

A table of what tools say, most telling first. It only ever adds a hint to a failure:
the log stays the evidence.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A likely cause, and what can be done about it."""

    cause: str
    """One clause: `the header ffi.h is missing`."""
    hint: str
    """The remedy, in one sentence without a full stop."""


@dataclass(frozen=True, slots=True)
class _Rule:
    pattern: re.Pattern[str]
    cause: str
    """May name the groups of the pattern: `{0}`."""
    hint: str


def _rule(pattern: str, cause: str, hint: str) -> _Rule:
    return _Rule(re.compile(pattern, re.MULTILINE), cause, hint)


_DECLARE: Final = (
    "Add {0} to the build requirements with a patch of pyproject.toml: "
    "the project uses it without declaring it"
)
_INSTALL_TOOL: Final = "Install {0} on this machine, or declare it as a requirement"

_RULES: Final = (
    _rule(
        r"No space left on device|\[Errno 28\]|Disk quota exceeded",
        "the disk is full",
        "Free some space, in the temporary folder too, and run it again",
    ),
    _rule(
        r"(?:fatal error: )?Killed signal terminated program (\S+)"
        r"|virtual memory exhausted|Cannot allocate memory|\bMemoryError\b"
        r"|std::bad_alloc|LLVM ERROR: out of memory",
        "the machine ran out of memory",
        "Run fewer builds at once, or give the machine more memory or swap",
    ),
    _rule(
        r"requires a different Python: [\d.]+ not in '?([^'\n]+)"
        r"|[Pp]ython (?:version )?(>=? ?3\.\d+) (?:is )?(?:required|needed)"
        r"|requires Python '?([<>=!~]+ ?[\d.]+)",
        "it needs another version of Python: {0}",
        "Choose another interpreter, or another version of the package",
    ),
    _rule(
        r"fatal error: (Python\.h): No such file",
        "the headers of the interpreter are missing",
        "Install the interpreter's development package, such as python3-dev",
    ),
    _rule(
        r"fatal error: '?([^\s:']+)'?(?:: No such file or directory| file not found)"
        r"|cannot open (?:source|include) file:? [\"']?([^\s\"':]+)",
        "the header {0} is missing",
        "Install the development package of the library that has {0}",
    ),
    _rule(
        r"(?:cannot find|unable to find library|library not found for) -l(\S+?):?\s*(?:$|:)",
        "the library {0} is missing",
        "Install the development package of the library {0}",
    ),
    _rule(
        r"Package ['\"]?([^\s'\",]+)['\"]?,?(?: required by .*,)? (?:was )?not found"
        r"|No package '([^']+)' found"
        r"|Dependency \"?([^\s\"]+)\"? not found, tried pkgconfig"
        r"|Package ([\w.+-]+) was not found in the pkg-config search path",
        "pkg-config knows no package {0}",
        "Install the development package of the library that has {0}.pc",
    ),
    _rule(
        r"(?:can't find Rust compiler|cargo, the Rust package manager, is not installed"
        r"|(?:cargo|rustc)['\"]?: (?:command )?not found"
        r"|No such file or directory: '(?:cargo|rustc)'"
        r"|Cargo metadata failed. Do you have cargo)",
        "the Rust compiler is missing",
        "Install rustc and cargo on this machine",
    ),
    _rule(
        r"error: no matching package (?:named `([^`]+)` )?found(?=[^$]*directory source)"
        r"|error: failed to select a version for the requirement `([^`]+)`"
        r"|error: the lock file .* needs to be updated but --locked was passed"
        r"|error: cannot update the lock file .* because --locked was passed",
        "its Cargo.lock does not fit its Cargo.toml",
        "Put the Cargo.lock in its place that cargo writes for this version of it",
    ),
    _rule(
        r"Could not find (CMake|Ninja)\b"
        r"|No such file or directory: '(cmake|meson|ninja|make|swig|bison|flex"
        r"|autoconf|automake|libtool|patchelf|pkg-config)'"
        r"|\b(cmake|meson|ninja|make|swig|pkg-config|autoreconf): (?:command )?not found"
        r"|(?:CMake|meson) Error: .*(Ninja|Make).* not found",
        "the tool {0} is missing",
        _INSTALL_TOOL,
    ),
    _rule(
        r"command '([^']*(?:cc|gcc|g\+\+|clang)[^']*)' failed: No such file"
        r"|No such file or directory: '([^']*(?:cc|gcc|g\+\+|clang|clang\+\+))'"
        r"|Unknown compiler\(s\): (\[.*\])"
        r"|No (CMAKE_\w+_COMPILER) could be found"
        r"|\b(gcc|g\+\+|cc|c\+\+|clang): (?:command )?not found"
        r"|(?:error: )?(no acceptable C compiler) found",
        "no compiler was found",
        "Install a C and C++ compiler, such as gcc and g++",
    ),
    _rule(
        r"setuptools.scm was unable to detect version|unable to detect version for"
        r"|LookupError: .*(?:setuptools.scm|hatch.vcs|version from (?:git|SCM))"
        r"|Error getting the version from source `vcs`"
        r"|Versioning for this project requires either an sdist tarball"
        r"|not a git repository",
        "its version comes from a version control system that is not there",
        "Set the version in the package's build environment, for setuptools-scm with "
        "SETUPTOOLS_SCM_PRETEND_VERSION",
    ),
    _rule(
        r"Temporary failure in name resolution|Name or service not known"
        r"|nodename nor servname provided|Could not resolve host|getaddrinfo failed"
        r"|Network is unreachable|NewConnectionError|Connection refused"
        r"|ENETUNREACH|Failed to establish a new connection"
        r"|No matching distribution found for",
        "it tried to use the network, which builds cannot",
        "Provide what it downloads as a source or build requirement, or patch the "
        "download out",
    ),
    _rule(
        r"^(?:\w+\.)*BackendUnavailable.*?'([\w.]+)'"
        r"|Cannot import '([\w.]+)'$",
        "its build backend {0} cannot be imported",
        "Add the package of {0} to the build requirements with a patch",
    ),
    _rule(
        r"ModuleNotFoundError: No module named '([\w.]+)'"
        r"|ImportError: No module named ([\w.]+)"
        r"|error: (?:Cannot|cannot) find module '([\w.]+)'",
        "the module {0} is missing at build time",
        _DECLARE,
    ),
    _rule(
        r"ImportError: cannot import name '([^']+)' from '[\w.]+'"
        r"|AttributeError: module '[\w.]+' has no attribute '([^']+)'",
        "a build requirement no longer has {0}, or does not have it yet",
        "Constrain the build requirement to a version that fits the package",
    ),
    _rule(
        r"(?:PermissionError|OSError): \[Errno (?:13|30)\] [^:]+: '([^']+)'"
        r"|(?:cannot create|cannot touch|Read-only file system:?|Permission denied:?)"
        r" ['\"]?(/[^\s'\":]+)",
        "it tried to write {0}, outside of its tree",
        "Patch the build so that it writes below its own folder or $TMPDIR only",
    ),
)


def diagnose(log_tail: str) -> Diagnosis | None:
    """The likely cause of a failure, from the last lines of its log.

    Rules come in order of what they tell; of several matches of one rule the last
    counts, since that is nearest to the end.
    """
    for rule in _RULES:
        found = list(rule.pattern.finditer(log_tail))
        if found:
            name = next((group for group in found[-1].groups() if group), "")
            return Diagnosis(rule.cause.format(name), rule.hint.format(name))
    return None
