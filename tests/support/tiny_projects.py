"""Sdists of tiny projects, made in memory: no network, and no build tool is needed.

Each brings its backend along (`backend-path`), or is built by another tiny project
that offers one. The backend is 40 lines that put a package folder into a wheel.

    sdist("greeting", "1.0", requires=["wording>=1"])
    sdist("tool", "1.0", offers="tool.backend")
    sdist("built-by-tool", "2.0", build_requires=["tool"], backend="tool.backend")
"""

import gzip
import io
import re
import tarfile
from collections.abc import Mapping, Sequence
from typing import Final

MTIME: Final = 1_700_000_000

BACKEND: Final = '''\
"""A build backend for one package folder and its metadata."""

import base64
import hashlib
import os
import re
import zipfile


def _metadata():
    with open("PKG-INFO", encoding="utf-8") as file:
        text = file.read()
    name = re.search("^Name: (.*)$", text, re.M).group(1)
    version = re.search("^Version: (.*)$", text, re.M).group(1)
    return text, re.sub("[-_.]+", "_", name).lower(), version


def get_requires_for_build_wheel(config_settings=None):
    return []


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    text, name, version = _metadata()
    folder = f"{name}-{version}.dist-info"
    os.makedirs(os.path.join(metadata_directory, folder))
    path = os.path.join(metadata_directory, folder, "METADATA")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return folder


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    text, name, version = _metadata()
    info = f"{name}-{version}.dist-info"
    wheel = "Wheel-Version: 1.0\\nGenerator: tiny\\n"
    wheel += "Root-Is-Purelib: true\\nTag: py3-none-any\\n"
    files = {}
    for folder, folders, names in os.walk(name):
        folders.sort()
        for entry in sorted(names):
            path = os.path.join(folder, entry)
            if not path.endswith(".pyc"):
                with open(path, "rb") as file:
                    files[path] = file.read()
    files[f"{info}/METADATA"] = text.encode()
    files[f"{info}/WHEEL"] = wheel.encode()
    if os.path.exists("entry_points.txt"):
        with open("entry_points.txt", "rb") as file:
            files[f"{info}/entry_points.txt"] = file.read()
    record = ""
    for path, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest())
        record += f"{path},sha256={digest.rstrip(b'=').decode()},{len(content)}\\n"
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\\n".encode()
    filename = f"{name}-{version}-py3-none-any.whl"
    print("building", filename)
    with zipfile.ZipFile(os.path.join(wheel_directory, filename), "w") as archive:
        for path, content in files.items():
            archive.writestr(zipfile.ZipInfo(path), content)
    return filename
'''


def sdist(
    name: str,
    version: str,
    *,
    requires: Sequence[str] = (),
    build_requires: Sequence[str] = (),
    backend: str | None = None,
    offers: str | None = None,
    requires_python: str | None = None,
    scripts: Sequence[str] = (),
    files: Mapping[str, str] | None = None,
) -> bytes:
    """A `.tar.gz` of a project with one package folder of its name.

    `backend` is an object path that a build requirement offers; without it the
    project builds itself. `offers` is the object path of a backend in its package.
    `scripts` are console scripts as in `entry_points.txt`. `files` are added, or
    replace what would be there.
    """
    module = re.sub("[-_.]+", "_", name).lower()
    content = {
        "PKG-INFO": _metadata(name, version, requires, requires_python),
        "pyproject.toml": _pyproject(build_requires, backend),
        f"{module}/__init__.py": f'__version__ = "{version}"\n',
    }
    if backend is None:
        content["tiny_backend.py"] = BACKEND
    if offers is not None:
        content[f"{offers.replace('.', '/')}.py"] = BACKEND
    if scripts:
        lines = "".join(f"{line}\n" for line in scripts)
        content["entry_points.txt"] = f"[console_scripts]\n{lines}"
    content |= files or {}
    return _archive(f"{module}-{version}", content)


def sdist_name(name: str, version: str) -> str:
    """The file name of such an sdist."""
    return f"{re.sub('[-_.]+', '_', name).lower()}-{version}.tar.gz"


def _metadata(
    name: str, version: str, requires: Sequence[str], requires_python: str | None
) -> str:
    lines = ["Metadata-Version: 2.2", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Python: {requires_python}"] if requires_python else []
    lines += [f"Requires-Dist: {requirement}" for requirement in requires]
    return "".join(f"{line}\n" for line in lines)


def _pyproject(build_requires: Sequence[str], backend: str | None) -> str:
    quoted = ", ".join(f'"{requirement}"' for requirement in build_requires)
    text = f"[build-system]\nrequires = [{quoted}]\n"
    if backend is not None:
        return f'{text}build-backend = "{backend}"\n'
    return f'{text}build-backend = "tiny_backend"\nbackend-path = ["."]\n'


def _archive(root: str, content: Mapping[str, str]) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(content):
            data = content[path].encode()
            member = tarfile.TarInfo(f"{root}/{path}")
            member.size, member.mtime, member.mode = len(data), MTIME, 0o644
            archive.addfile(member, io.BytesIO(data))
    return gzip.compress(raw.getvalue(), mtime=MTIME)
