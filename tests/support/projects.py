"""Tiny projects as sdists, with a build backend of their own: no download is needed.

`sdist("demo", "1.0", dependencies=["other"])` gives the file's name and bytes. What
the backend does beside a wheel is said by its `quirk`.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import tarfile
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MTIME = 1_600_000_000

BACKEND = """
import base64, hashlib, json, os, pathlib, subprocess, sys, time, zipfile



def _about():
    path = pathlib.Path("about.json")
    if path.exists():
        return json.loads(path.read_text())
    import tomllib
    # Somebody's own project: what it says of itself, and what git says.
    project = tomllib.loads(pathlib.Path("pyproject.toml").read_text())["project"]
    version = project.get("version") or os.environ["SETUPTOOLS_SCM_PRETEND_VERSION"]
    return {
        "name": project["name"].replace("-", "_"), "version": version, "quirk": "",
        "dependencies": project.get("dependencies", []), "extras": [],
        "asks": [], "imports": [], "files": {},
    }


ABOUT = _about()
NAME, VERSION, QUIRK = ABOUT["name"], ABOUT["version"], ABOUT["quirk"]
TAG = "py3-none-any"
if QUIRK == "tags":
    TAG = "cp{0}{1}-cp{0}{1}-any".format(*sys.version_info)


def get_requires_for_build_wheel(config_settings=None):
    if QUIRK == "requires-crash":
        raise RuntimeError("the backend does not know what it needs")
    if QUIRK == "requires-nonsense":
        return [42]
    return ABOUT["asks"]


def _files():
    metadata = ["Metadata-Version: 2.1", f"Name: {NAME}", f"Version: {VERSION}"]
    metadata += [f"Provides-Extra: {each}" for each in ABOUT["extras"]]
    metadata += [f"Requires-Dist: {each}" for each in ABOUT["dependencies"]]
    info = f"{NAME}-{VERSION}.dist-info"
    files = {path: text for path, text in ABOUT["files"].items()}
    for path in pathlib.Path(NAME).rglob("*.py"):
        files[str(path)] = path.read_text()
    if QUIRK == "imports":
        for module in ABOUT["imports"]:
            files[f"{NAME}/saw_{module}.txt"] = __import__(module).VALUE
    if QUIRK == "cores":
        print("cores", os.environ["FROMAGER_BUILD_CORES"])
    if QUIRK == "tags":
        files[f"{NAME}/python.txt"] = sys.version.split()[0]
    files[f"{info}/METADATA"] = "\\n".join(metadata) + "\\n"
    files[f"{info}/WHEEL"] = (
        "Wheel-Version: 1.0\\nGenerator: tiny\\nRoot-Is-Purelib: true\\n"
        f"Tag: {TAG}\\n"
    )
    rows = []
    for path, text in files.items():
        raw = hashlib.sha256(text.encode()).digest()
        digest = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
        rows.append(f"{path},sha256={digest},{len(text.encode())}")
    files[f"{info}/RECORD"] = "\\n".join([*rows, f"{info}/RECORD,,", ""])
    return files


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    if QUIRK == "crash":
        print("about to fail")
        raise RuntimeError("the build went wrong on purpose")
    if QUIRK == "exit":
        os._exit(3)
    if QUIRK == "kill":
        os.kill(os.getpid(), 9)
    if QUIRK == "hang":
        print("hanging", flush=True)
        time.sleep(3600)
    if QUIRK == "memory-full":
        mounts = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
        build = next(line.split()[3] for line in mounts if line.split()[4] == "/build")
        print(build)
        if "/.fromager/scratch/" not in build:
            raise OSError(28, os.strerror(28))
    if QUIRK == "chatter":
        for number in range(200_000):
            print(f"line {number} of very many " + "x" * 60)
    if QUIRK == "none":
        return f"{NAME}-{VERSION}-{TAG}.whl"
    if QUIRK == "network":
        import urllib.request
        urllib.request.urlopen("http://example.test/", timeout=5)
    if QUIRK == "outside":
        pathlib.Path("/usr/escaped").write_text("x")
    if QUIRK == "write-environment":
        pathlib.Path(sys.prefix, "escaped").write_text("x")
    if QUIRK == "daemon":
        subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(3600)"],
            start_new_session=True,
        )
    if QUIRK == "locked-folder":
        pathlib.Path("locked").mkdir()
        pathlib.Path("locked/file").write_text("x")
        os.chmod("locked", 0)
    version = "9.9" if QUIRK == "other-version" else VERSION
    name = "somebody" if QUIRK == "other-name" else NAME
    filename = f"{name}-{version}-{TAG}.whl"
    names = [filename]
    if QUIRK == "two":
        names.append(f"{NAME}-{VERSION}-py2-none-any.whl")
    for each in names:
        with zipfile.ZipFile(os.path.join(wheel_directory, each), "w") as wheel:
            for path, text in _files().items():
                if QUIRK == "false-record" and path.endswith(".py"):
                    text += "# not what RECORD says"
                wheel.writestr(path, text)
    if QUIRK == "truncated":
        path = pathlib.Path(wheel_directory, filename)
        path.write_bytes(path.read_bytes()[:-40])
    return 7 if QUIRK == "answer" else filename
"""


def sdist(
    name: str,
    version: str,
    *,
    dependencies: Sequence[str] = (),
    requires: Sequence[str] = (),
    asks: Sequence[str] = (),
    imports: Sequence[str] = (),
    quirk: str = "",
    static: bool = True,
    extras: Sequence[str] = (),
    backend: str = "",
    offers: str = "",
    value: str = "",
    files: Mapping[str, str] | None = None,
    more: Mapping[str, str] | None = None,
) -> tuple[str, bytes]:
    """An sdist's name and bytes.

    `requires` stands in pyproject.toml, `asks` is what the backend answers when it is
    asked, `imports` are modules that its build imports from its environment.
    `static` says that PKG-INFO commits to the dependencies, which may name `extras`.
    `backend` is the object path of a backend that a build requirement offers, and
    `offers` the name of a module of this project that is one. `value` ends up in the
    module, `files` in the wheel only and `more` in the sdist only.
    """
    module = re.sub("[-_.]+", "_", name).lower()
    about = {
        "name": module,
        "version": version,
        "dependencies": list(dependencies),
        "extras": list(extras),
        "asks": list(asks),
        "imports": list(imports),
        "quirk": "imports" if imports and not quirk else quirk,
        "files": dict(files or {}),
    }
    pkg_info = ["Metadata-Version: 2.2", f"Name: {name}", f"Version: {version}"]
    pkg_info += [f"Provides-Extra: {each}" for each in extras]
    if static:
        pkg_info += [f"Requires-Dist: {each}" for each in dependencies]
    else:
        pkg_info.append("Dynamic: Requires-Dist")
    own = 'build-backend = "tiny_backend"\nbackend-path = ["."]\n'
    members = {
        "PKG-INFO": "\n".join(pkg_info) + "\n",
        "pyproject.toml": (
            f"[build-system]\nrequires = {json.dumps(list(requires))}\n"
            + (f'build-backend = "{backend}"\n' if backend else own)
        ),
        "about.json": json.dumps(about),
        f"{module}/__init__.py": f"VALUE = {value or version!r}\n",
        **({} if backend else {"tiny_backend.py": BACKEND}),
        **({f"{module}/{offers}.py": BACKEND} if offers else {}),
        **(more or {}),
    }
    return f"{module}-{version}.tar.gz", archive(f"{module}-{version}", members)


def archive(top: str, members: Mapping[str, str]) -> bytes:
    """A `.tar.gz` with these files below one folder; the same bytes every time."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for path, text in members.items():
            info = tarfile.TarInfo(f"{top}/{path}")
            info.size, info.mtime = len(text.encode()), MTIME
            tar.addfile(info, io.BytesIO(text.encode()))
    return gzip.compress(raw.getvalue(), mtime=0)


TELLING_BACKEND: Final = (
    BACKEND
    + """
def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    info = f"{NAME}-{VERSION}.dist-info"
    folder = pathlib.Path(metadata_directory, info)
    folder.mkdir()
    text = _files()[f"{info}/METADATA"]
    if QUIRK == "lies":
        text = text.replace("Requires-Dist", "X-Requires-Dist")
    (folder / "METADATA").write_text(text)
    return info
"""
)
"""One that tells metadata without building a wheel; with the quirk `lies` it leaves out
what is needed."""
SCM_BACKEND: Final = BACKEND.replace(
    'NAME, VERSION, QUIRK = ABOUT["name"], ABOUT["version"], ABOUT["quirk"]',
    'NAME, QUIRK = ABOUT["name"], ABOUT["quirk"]\n'
    'VERSION = os.environ.get("SETUPTOOLS_SCM_PRETEND_VERSION_FOR_" + NAME.upper())\n'
    'VERSION = VERSION or "0.0"',
)
"""A backend that takes its version from the variable of setuptools-scm."""


def sdist_members(name: str, version: str = "1.0", **options: Any) -> dict[str, str]:
    """The files of a tiny project."""
    _, content = sdist(name, version, **options)
    found = {}
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for member in archive:
            stream = archive.extractfile(member)
            assert stream is not None
            found[member.name.partition("/")[2]] = stream.read().decode()
    return found


def scm_members(name: str, **options: Any) -> dict[str, str]:
    """The files of a project whose version only git knows."""
    files = sdist_members(name, **options)
    del files["PKG-INFO"]
    files["tiny_backend.py"] = SCM_BACKEND
    files["pyproject.toml"] += f'[project]\nname = "{name}"\ndynamic = ["version"]\n'
    return files
