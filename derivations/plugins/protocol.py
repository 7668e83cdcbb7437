"""What a plugin may override, what it is given for that, and what it gives.

A plugin is a module; a function in it overrides what is otherwise done for one
package. It is called by keyword, and only with what it has parameters for:

    def prepare_source(source: Path, version: Version) -> None
    def build_wheel(project: Path, output: Path) -> None
    def get_build_system_dependencies(project: Path) -> Iterable[str]
    def get_build_backend_dependencies(project: Path) -> Iterable[str]
    def update_extra_environ(variables: dict[str, str]) -> None
    def add_extra_metadata_to_wheels(dist_info: Path) -> dict[str, object]
    def build_sdist(project: Path, output: Path) -> Path
    def get_resolver_provider(requirement: Requirement) -> Provider
    def download_source(download_url: str, output: Path) -> Path

Beside these there are the parameters that upstream fromager documents, by its names.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fromager.derivations.derivation import Value


class Stage(Enum):
    """When a function is called, and where."""

    RESOLUTION = "on this machine, before anything is built"
    DOWNLOAD = "on this machine; what it fetches is kept by its hash"
    SOURCE = "in the sandbox, once the source is unpacked and patched"
    BUILD = "in the sandbox, as a part of the build"
    SDIST = "in the sandbox, where hooks hear of the wheel that the source became"
    AFTERWARDS = "on this machine, when a wheel is in the store"


@dataclass(frozen=True, slots=True)
class Hook:
    """A function that a plugin may have."""

    name: str
    stage: Stage
    offered: tuple[str, ...]
    """Names of the parameters that it may have."""
    returns: str
    """The form of what it gives, as the caller checks it."""

    @property
    def value(self) -> Mapping[str, Value]:
        """As the process that calls it is told."""
        return {"offered": self.offered, "returns": self.returns}


_ALWAYS: Final = ("ctx", "name", "req", "requirement", "variant", "version")
_TREE: Final = (*_ALWAYS, "source", "project", "sdist_root_dir", "build_dir")
_BUILD: Final = (*_TREE, "environment", "build_env", "extra_environ", "variables")

HOOKS: Final[Mapping[str, Hook]] = {
    hook.name: hook
    for hook in (
        Hook(
            "get_resolver_provider",
            Stage.RESOLUTION,
            (
                *_ALWAYS,
                *("include_sdists", "include_wheels", "sdist_server_url"),
                *("req_type", "ignore_platform"),
            ),
            "provider",
        ),
        Hook(
            "download_source",
            Stage.DOWNLOAD,
            (*_ALWAYS, "download_url", "sdists_downloads_dir", "output"),
            "path",
        ),
        Hook(
            "prepare_source",
            Stage.SOURCE,
            (*_TREE, "source_filename", "archive"),
            "path",
        ),
        Hook("get_build_system_dependencies", Stage.BUILD, _TREE, "requirements"),
        Hook("get_build_backend_dependencies", Stage.BUILD, _BUILD, "requirements"),
        Hook("update_extra_environ", Stage.BUILD, _BUILD, "variables"),
        Hook(
            "build_wheel",
            Stage.BUILD,
            (*_BUILD, "output", "config_settings"),
            "nothing",
        ),
        Hook(
            "add_extra_metadata_to_wheels",
            Stage.BUILD,
            (*_BUILD, "dist_info", "dist_info_dir"),
            "metadata",
        ),
        Hook(
            "get_install_dependencies_of_sdist",
            Stage.BUILD,
            (*_BUILD, "config_settings"),
            "requirements",
        ),
        Hook("get_build_sdist_dependencies", Stage.SDIST, _BUILD, "requirements"),
        Hook(
            "build_sdist", Stage.SDIST, (*_BUILD, "output", "config_settings"), "path"
        ),
        Hook(
            "expected_source_archive_name",
            Stage.DOWNLOAD,
            (*_ALWAYS, "dist_version"),
            "name",
        ),
        Hook(
            "expected_source_directory_name",
            Stage.SOURCE,
            (*_TREE, "dist_version"),
            "name",
        ),
    )
}
"""The functions of a package's plugin, by name."""

_WHEEL: Final = (*_ALWAYS, "dist_name", "dist_version", "wheel_filename")
EVENTS: Final[Mapping[str, Hook]] = {
    hook.name: hook
    for hook in (
        Hook("post_build", Stage.AFTERWARDS, (*_WHEEL, "sdist_filename"), "nothing"),
        Hook("prebuilt_wheel", Stage.AFTERWARDS, _WHEEL, "nothing"),
        Hook(
            "post_bootstrap", Stage.AFTERWARDS, (*_WHEEL, "sdist_filename"), "nothing"
        ),
    )
}
"""What happens to every package, by name; any number of plugins hear of it."""

BUILD_TAG: Final = Hook(
    "build_tag_hook", Stage.AFTERWARDS, (*_ALWAYS, "wheel_tags"), "segments"
)

LOADING: Final = Hook("", Stage.AFTERWARDS, (), "loaded")
"""Nothing is called: it is only seen whether what is named is there."""
