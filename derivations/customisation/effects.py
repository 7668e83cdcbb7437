"""What settings come to for one version of a package: the only thing builds see."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, cast

from fromager.derivations.annotating.annotation import (
    NOTHING,
    Annotation,
    BuildTag,
    SbomWish,
)
from fromager.derivations.customisation.composites import VERSION_MARK
from fromager.derivations.customisation.schema import SETTINGS
from fromager.derivations.customisation.values import (
    NO_FLAGS,
    CompilerFlags,
    ExtraSource,
    MatchRule,
    Opening,
    SystemNeed,
    Variable,
)
from fromager.derivations.sources.edits import (
    AddFile,
    Edit,
    EditBuildRequires,
    SetPkgInfo,
    SetVersion,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from packaging.version import Version

    from fromager.derivations.customisation.rules import Assignment
    from fromager.derivations.plugins.use import Override
    from fromager.derivations.sources.patch_folder import Patch


@dataclass(frozen=True)
class Effects:
    """How one version of a package is made otherwise than by default."""

    patches: tuple[Patch, ...] = ()
    edits: tuple[Edit, ...] = ()
    extra_sources: tuple[ExtraSource, ...] = ()
    build_dir: str = ""
    build_dir_origin: str = field(default="", compare=False)
    variables: tuple[Variable, ...] = ()
    host: Mapping[str, str] = field(default_factory=dict)
    """Variables of the caller that templates may name."""
    config_settings: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    build_requires: tuple[str, ...] = ()
    match_runtime: Mapping[str, MatchRule] = field(default_factory=dict)
    """By tool, or `*`; without a rule a tool has what is installed where it can."""
    flags: CompilerFlags = NO_FLAGS
    system: tuple[SystemNeed, ...] = ()
    openings: tuple[Opening, ...] = ()
    rust: bool | tuple[str, ...] | None = None
    """Whether its build compiles Rust, or which manifests; None if that is to be told
    from its build requirements."""
    prebuilt: bool = False
    include_sdists: bool = True
    include_wheels: bool = False
    ignore_platform: bool = False
    download_url: Assignment | None = None
    download_filename: Assignment | None = None
    cores_per_job: int = 1
    memory_per_job: float = 0.0
    """GiB; 0 if memory does not limit the number of jobs."""
    exclusive: bool = False
    timeout: int | None = None
    annotation: Annotation = NOTHING
    """What the wheel gets once it is built."""
    build_tag_hook: str = ""
    """`module:function` of code that adds to the build tag; empty if there is none."""
    changes_submodules: bool = False
    submodules: tuple[str, ...] | None = None
    """Those that are taken along from git, None for all; if that is changed."""
    override: Override | None = None
    """What code overrides, where there is a plugin for the package."""
    unused: tuple[Assignment, ...] = ()
    """What was set and has no effect here."""

    @property
    def has_own_source(self) -> bool:
        """Whether its source is not the file that the index has."""
        return self.download_url is not None or (
            self.override is not None
            and self.override.plugin.overrides("download_source")
        )

    def in_project(self, name: str) -> str:
        """Where a file of the project lies in the source tree."""
        return f"{self.build_dir}/{name}" if self.build_dir else name


NO_EFFECTS: Final = Effects()


def effects_of(
    assignments: Sequence[Assignment],
    patches: tuple[Patch, ...],
    name: str,
    version: Version,
    read: Callable[[AddFile], bytes],
    host: Mapping[str, str],
) -> Effects:
    """The effects of settings in force and of patches.

    `read` gives the content of a file that an edit takes from beside the settings,
    `host` are the variables of the caller that templates may name.
    """
    if not assignments:
        return Effects(patches=patches) if patches else NO_EFFECTS
    found = _Found(assignments)
    return Effects(
        patches=patches,
        edits=_edits(found, name, str(version), read),
        extra_sources=cast("tuple[ExtraSource, ...]", found.all("extra-sources")),
        build_dir=str(found.last("build-dir", "")),
        build_dir_origin=found.origin("build-dir"),
        variables=_variables(found, name),
        host=host,
        config_settings=found.table("config-settings"),
        build_requires=cast("tuple[str, ...]", found.all("build-requires")),
        match_runtime={
            each.key: cast("MatchRule", each.value)
            for each in found.every("match-runtime")
        },
        flags=CompilerFlags(
            cast("tuple[str, ...]", found.all("append-cflags")),
            cast("tuple[str, ...]", found.all("append-cxxflags")),
            cast("tuple[str, ...]", found.all("append-ldflags")),
            cast("tuple[str, ...]", found.all("remove-flags")),
        ),
        system=cast("tuple[SystemNeed, ...]", found.all("system-packages")),
        openings=cast("tuple[Opening, ...]", found.all("open")),
        rust=found.last("rust", None),
        prebuilt=bool(found.last("prebuilt", False)),
        include_sdists=bool(found.last("include-sdists", True)),
        include_wheels=bool(found.last("include-wheels", False)),
        ignore_platform=bool(found.last("ignore-platform", False)),
        download_url=found.assignment("download-url"),
        download_filename=found.assignment("download-filename"),
        cores_per_job=found.last("cores-per-job", 1),
        memory_per_job=found.last("memory-per-job", 0.0),
        exclusive=bool(found.last("exclusive", False)),
        timeout=found.last("timeout", None),
        annotation=_annotation(found),
        build_tag_hook=str(found.last("build-tag-hook", "")),
        changes_submodules=found.assignment("submodules") is not None,
        submodules=found.last("submodules", None),
        unused=tuple(a for a in assignments if a.setting not in SETTINGS),
    )


class _Found:
    def __init__(self, assignments: Sequence[Assignment]) -> None:
        self._by_name: dict[str, list[Assignment]] = {}
        for assignment in assignments:
            self._by_name.setdefault(assignment.setting, []).append(assignment)

    def every(self, name: str) -> list[Assignment]:
        return self._by_name.get(name, [])

    def all(self, name: str) -> tuple[object, ...]:
        return tuple(each.value for each in self.every(name))

    def origin(self, name: str) -> str:
        """Where it was given; empty if it was not."""
        given = self.assignment(name)
        return "" if given is None else str(given.origin)

    def assignment(self, name: str) -> Assignment | None:
        found = self.every(name)
        return found[-1] if found else None

    def last(self, name: str, default: Any) -> Any:
        found = self.assignment(name)
        return default if found is None else found.value

    def texts(self, name: str) -> dict[str, str]:
        return {each.key: str(each.value) for each in self.every(name)}

    def table(self, name: str) -> dict[str, str | tuple[str, ...]]:
        return {
            each.key: cast("str | tuple[str, ...]", each.value)
            for each in self.every(name)
        }


def _edits(
    found: _Found, name: str, version: str, read: Callable[[AddFile], bytes]
) -> tuple[Edit, ...]:
    update, remove = found.every("update-build-requires"), found.every("remove-build-requires")  # fmt: skip
    edits: list[Edit] = []
    if update or remove:
        edits.append(
            EditBuildRequires(
                tuple(str(each.value) for each in update),
                tuple(str(each.value) for each in remove),
                str((update or remove)[0].origin),
            )
        )
    edits += cast("tuple[Edit, ...]", found.all("edits"))
    return tuple(_completed(edit, name, version, read) for edit in edits)


def _completed(
    edit: Edit, name: str, version: str, read: Callable[[AddFile], bytes]
) -> Edit:
    """The edit with the version, and what else it does not say itself, put in."""
    match edit:
        case SetVersion():
            return replace(edit, version=edit.version.replace(VERSION_MARK, version))
        case SetPkgInfo():
            fields = {"Name": name, **dict(edit.fields)}
            filled = {n: v.replace(VERSION_MARK, version) for n, v in fields.items()}
            return replace(edit, fields=tuple(sorted(filled.items())))
        case AddFile() if edit.source:
            return replace(edit, content=read(edit), source="")
    return edit


def _annotation(found: _Found) -> Annotation:
    entries = found.every("changelog")
    return Annotation(
        BuildTag(len(entries)) if entries else None,
        cast("tuple[str, ...]", found.all("requires-external")),
        tuple(sorted(found.texts("wheel-files").items())),
        _sbom(found),
    )


def _sbom(found: _Found) -> SbomWish | None:
    said = {each.key: each.value for each in found.every("sbom")}
    if not said.get("wanted"):
        return None
    # What is said of all wheels, then what is said of this one.
    parts = {
        name: str(said[key])
        for name, key in (("type", "purl-type"), ("repository-url", "repository-url"))
        if key in said
    }
    parts |= found.texts("purl")
    return SbomWish(
        str(said.get("supplier", "")),
        str(said.get("namespace", "")),
        cast("tuple[str, ...]", said.get("creators", ())),
        tuple(sorted(parts.items())),
    )


def _variables(found: _Found, name: str) -> tuple[Variable, ...]:
    variables = []
    scm = found.assignment("scm-version")
    if scm is not None and scm.value is not False:
        template = "${__version__}" if scm.value is True else _literal(str(scm.value))
        suffix = name.replace("-", "_").upper()
        variable = f"SETUPTOOLS_SCM_PRETEND_VERSION_FOR_{suffix}"
        variables.append(Variable(variable, template, str(scm.origin)))
    for setting in ("cflags", "cxxflags", "ldflags"):
        flags = found.assignment(setting)
        if flags is not None:
            text = shlex.join(cast("tuple[str, ...]", flags.value))
            variables.append(
                Variable(setting.upper(), _literal(text), str(flags.origin))
            )
    for each in found.every("env"):
        variables.append(Variable(each.key, str(each.value), str(each.origin)))
    return tuple(variables)


def _literal(text: str) -> str:
    return text.replace("$", "$$")
