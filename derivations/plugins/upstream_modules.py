"""What plugins written for upstream fromager import: a thin layer of the same names.

`install` puts modules `fromager.context`, `fromager.sources` and so on into this
process. They hold what upstream documents for plugins and what can be had here; any
other name of them says so when it is used. What a default would do was done before
the plugin is called: the source is unpacked and patched, the environment is made.

Standard library only, Python 3.9 or newer; `packaging` is among what plugins are given.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import tempfile
from importlib import import_module
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

# The typing module is not worth its time here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

REQUEST: dict[str, Any] = {}


def install(request: dict[str, Any]) -> None:
    """Make the modules, for one request."""
    REQUEST.update(request)
    resolver = _beside("upstream_resolver")
    versionmap = {"VersionMap": resolver.VersionMap}
    members = {**_MODULES, "resolver": resolver.MEMBERS, "versionmap": versionmap}
    top = _module("fromager", {"__path__": []})
    for name, names in members.items():
        module = _module(f"fromager.{name}", names)
        setattr(top, name, module)


def _beside(name: str) -> ModuleType:
    """The script of that name that lies beside this one."""
    script = Path(__file__).resolve().with_name(f"{name}.py")
    module = ModuleType(name)
    module.__file__ = str(script)
    SourceFileLoader(name, str(script)).exec_module(module)
    return module


def _module(name: str, members: dict[str, Any]) -> ModuleType:
    module = ModuleType(name)
    module.__dict__.update(members)

    def missing(attribute: str) -> Any:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        raise AttributeError(f"{name}.{attribute} is not offered to plugins here")

    if name != "fromager":
        module.__dict__["__getattr__"] = missing
    sys.modules[name] = module
    return module


class _Unknown(AttributeError):
    def __init__(self, owner: str, name: str) -> None:
        super().__init__(f"{owner}.{name} is not offered to plugins here")


class Constraints:
    """Constraints are applied by resolution, whatever a plugin says."""

    def get_constraint(self, name: str) -> None:
        """None."""
        return

    def allow_prerelease(self, pkg_name: str) -> bool:
        """Resolution decides."""
        return False

    def is_satisfied_by(self, pkg_name: str, version: Any) -> bool:
        """Resolution decides."""
        return True


class PackageBuildInfo:
    """The settings of the package."""

    def __init__(self) -> None:
        self.package = REQUEST["package"]
        self.variant = REQUEST["variant"]
        self.annotations = dict(REQUEST["annotations"])
        self.config_settings = dict(REQUEST["config_settings"])
        self.pre_built = False
        self.parallel_jobs = lambda: int(os.environ.get("MAX_JOBS", "1"))

    def build_dir(self, sdist_root_dir: Path) -> Path:
        """The folder with the project in it."""
        return Path(sdist_root_dir, REQUEST["build_dir"])

    def __getattr__(self, name: str) -> Any:
        raise _Unknown("PackageBuildInfo", name)


class WorkContext:
    """Where a plugin reads and writes."""

    def __init__(self, request: dict[str, Any]) -> None:
        places = request["values"]
        work = Path(places.get("work") or tempfile.gettempdir())
        output = Path(places.get("output") or work)
        self.variant = request["variant"]
        self.work_dir = work
        self.wheels_build = output
        self.sdists_builds = self.sdists_build = output
        self.sdists_downloads = Path(places.get("sdists_downloads_dir") or work)
        self.wheels_downloads = self.wheels_prebuilt = output
        self.wheels_repo = self.sdists_repo = output
        self.logs_dir = None
        self.network_isolation = bool(request["in_sandbox"])
        self.constraints = Constraints()
        self.cleanup = False

    def package_build_info(self, package: Any) -> PackageBuildInfo:
        """The settings of the package that the plugin is for."""
        return PackageBuildInfo()

    def __getattr__(self, name: str) -> Any:
        raise _Unknown("WorkContext", name)


class BuildEnvironment:
    """The environment that a package is built in; it is read-only."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    @property
    def python(self) -> Path:
        """The interpreter."""
        return self.path / "bin" / "python"

    def run(self, cmd: Any, **options: Any) -> str:
        """Run a command in it."""
        return run(cmd, **options)

    def get_venv_environ(self, template_env: Any = None) -> dict[str, str]:
        """The variables of commands in it."""
        path = f"{self.path / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"
        return {"VIRTUAL_ENV": str(self.path), "PATH": path}

    def install(self, *args: Any, **options: Any) -> None:
        """Refused: what a build needs is said before."""
        raise RuntimeError(
            "nothing can be installed into a build environment: return it from "
            "get_build_system_dependencies, or set build-requires"
        )

    def __getattr__(self, name: str) -> Any:
        raise _Unknown("BuildEnvironment", name)


def run(
    cmd: Any,
    *,
    cwd: Any = None,
    extra_environ: Any = None,
    network_isolation: bool = False,
    log_filename: Any = None,
    stdin: Any = None,
) -> str:
    """Run a command and give what it printed, which is in the log as well."""
    done = subprocess.run(
        [str(word) for word in cmd],
        check=False,
        cwd=cwd,
        env={**os.environ, **(extra_environ or {})},
        stdin=subprocess.DEVNULL if stdin is None else stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    text = done.stdout.decode("utf-8", "replace")
    sys.stdout.write(text)
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, cmd, text)
    return text


def unpack_source(*args: Any, **options: Any) -> tuple[Path, bool]:
    """The folder of the source, which is unpacked and patched already, and is new."""
    return Path(REQUEST["values"]["source"]), True


def prepare_source(*args: Any, **options: Any) -> Path:
    """The same; there is nothing more to do."""
    for root in (options.get("source_root_dir"), options.get("sdist_root_dir")):
        own = Path(REQUEST["values"]["source"])
        if root is not None and Path(root).resolve() != own.resolve():
            raise RuntimeError(
                f"{root} gets no patches: they were applied to {own}, which "
                "unpack_source gives"
            )
    return Path(REQUEST["values"]["source"])


def ensure_pkg_info(*args: Any, **options: Any) -> bool:
    """Write a PKG-INFO where there is none; whether there was one."""
    root = options.get("build_dir") or options.get("sdist_root_dir")
    path = Path(root or REQUEST["values"]["source"], "PKG-INFO")
    if path.is_file():
        return True
    lines = ("Metadata-Version: 1.0", f"Name: {REQUEST['package']}")
    path.write_text("\n".join((*lines, f"Version: {REQUEST['version']}", "")))
    return False


def default_build_wheel(*args: Any, **options: Any) -> Path:
    """Have the backend build the wheel."""
    output = REQUEST["values"]["output"]
    given = {"wheel_directory": output, "metadata_directory": None}
    name = _backend("build_wheel", given, options.get("extra_environ"))
    return Path(output, name)


def tar_reproducible(
    tar: Any, basedir: Any, prefix: Any = None, *, exclude_vcs: bool = False
) -> None:
    """Put a folder into a tar archive: in order, of nobody, with times of SOURCE_DATE_EPOCH."""
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))

    def plain(member: Any) -> Any:
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        member.mtime = epoch
        member.mode = 0o755 if member.mode & 0o100 else 0o644
        return member

    base = Path(basedir)
    for path in sorted(base.rglob("*")):
        relative = path.relative_to(base)
        if exclude_vcs and {".git", ".hg", ".svn"} & {*relative.parts}:
            continue
        name = relative if prefix is None else Path(prefix, relative)
        tar.add(path, str(name), recursive=False, filter=plain)


def default_build_sdist(*args: Any, **options: Any) -> Path:
    """Pack the project's folder as it is, with the version in its PKG-INFO."""
    ensure_pkg_info(**options)
    project = options.get("build_dir") or REQUEST["values"]["project"]
    top = f"{REQUEST['package'].replace('-', '_')}-{REQUEST['version']}"
    target = Path(REQUEST["values"]["output"], f"{top}.tar.gz")
    with tarfile.open(target, "w:gz", format=tarfile.PAX_FORMAT) as tar:
        tar_reproducible(tar, project, top, exclude_vcs=True)
    return target


def pep517_build_sdist(*args: Any, **options: Any) -> Path:
    """Have the backend build the sdist."""
    output = REQUEST["values"]["output"]
    given = {"sdist_directory": output}
    return Path(output, _backend("build_sdist", given, options.get("extra_environ")))


def default_backend_dependencies(*args: Any, **options: Any) -> set[str]:
    """What the backend says that it needs."""
    name = "get_requires_for_build_wheel"
    return set(_backend(name, {}, options.get("extra_environ")))


def default_system_dependencies(*args: Any, **options: Any) -> set[str]:
    """What pyproject.toml says that the build needs."""
    return set(REQUEST["build_requires"])


def default_install_dependencies(*args: Any, **options: Any) -> set[Any]:
    """What the wheel would need, as its backend says."""
    from email import message_from_bytes

    requirement = import_module("packaging.requirements").Requirement
    with tempfile.TemporaryDirectory() as folder:
        given = {"metadata_directory": folder, "_allow_fallback": True}
        hook = "prepare_metadata_for_build_wheel"
        name = _backend(hook, given, options.get("extra_environ"))
        told = message_from_bytes(Path(folder, name, "METADATA").read_bytes())
    return {requirement(text) for text in told.get_all("Requires-Dist") or ()}


def _backend(hook: str, given: dict[str, Any], variables: Any) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        settings = REQUEST["config_settings"] or None
        kwargs = {"kwargs": {**given, "config_settings": settings}}
        Path(folder, "input.json").write_text(json.dumps(kwargs))
        subprocess.run(
            [sys.executable, REQUEST["hooks"], hook, folder],
            cwd=REQUEST["values"].get("project") or None,
            env={**os.environ, **(variables or {})},
            check=True,
        )
        answer = json.loads(Path(folder, "output.json").read_text())
    if "return_val" not in answer:
        raise RuntimeError(f"the backend gave nothing for {hook}: {answer}")
    return answer["return_val"]


def download_url(
    *args: Any,
    destination_dir: Any = None,
    url: str = "",
    destination_filename: Any = None,
    **options: Any,
) -> Path:
    """Fetch a file, unless it is there."""
    from urllib.request import urlopen

    name = destination_filename or url.partition("#")[0].rpartition("/")[2]
    target = Path(destination_dir, name)
    if not target.is_file():
        with urlopen(url) as answer:
            target.write_bytes(answer.read())
    return target


def default_download_source(*args: Any, **options: Any) -> Path:
    """Fetch the file that was resolved to."""
    values = REQUEST["values"]
    folder = values["sdists_downloads_dir"]
    return download_url(destination_dir=folder, url=values["download_url"])


def download_git_source(
    *args: Any,
    url_to_clone: str = "",
    destination_dir: Any = None,
    ref: Any = None,
    **options: Any,
) -> None:
    """Fetch a commit of a repository, with its submodules, into a folder."""
    where = str(destination_dir)
    command = ["git", "-c", "advice.detachedHead=false", "clone", "--quiet"]
    if ref:
        command += ["--branch", str(ref)]
    run([*command, "--recurse-submodules", "--", url_to_clone, where])


_PREPARE = {
    "default_prepare_source": unpack_source,
    "default_build_sdist": default_build_sdist,
    "ensure_pkg_info": ensure_pkg_info,
    "patch_source": prepare_source,
    "pep517_build_sdist": pep517_build_sdist,
    "prepare_new_source": prepare_source,
    "unpack_source": unpack_source,
}
_DOWNLOAD = {
    "default_download_source": default_download_source,
    "download_git_source": download_git_source,
    "download_url": download_url,
}
_MODULES: dict[str, dict[str, Any]] = {
    "build_environment": {"BuildEnvironment": BuildEnvironment},
    "constraints": {"Constraints": Constraints},
    "context": {"WorkContext": WorkContext},
    "dependencies": {
        "default_get_build_backend_dependencies": default_backend_dependencies,
        "default_get_build_sdist_dependencies": default_backend_dependencies,
        "default_get_build_system_dependencies": default_system_dependencies,
        "default_get_install_dependencies_of_sdist": default_install_dependencies,
    },
    "downloads": _DOWNLOAD,
    "external_commands": {"run": run},
    "packagesettings": {"PackageBuildInfo": PackageBuildInfo},
    "sources": {**_PREPARE, **_DOWNLOAD},
    "tarballs": {"tar_reproducible": tar_reproducible},
    "wheels": {
        "default_build_wheel": default_build_wheel,
        "pep517_build_wheel": default_build_wheel,
    },
}
