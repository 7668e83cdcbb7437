"""A build backend that packs what `made.files()` gives, and nothing that varies."""

import base64
import hashlib
import json
import pathlib
import zipfile

import made

ABOUT = json.loads(pathlib.Path("about.json").read_text())


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    name = ABOUT["name"]
    info = f"{name}-1.0.dist-info"
    files = {
        **made.files(name),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: gallery\n"
        "Root-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files = {
        path: content if isinstance(content, bytes) else content.encode()
        for path, content in files.items()
    }
    rows = []
    for path, content in files.items():
        raw = hashlib.sha256(content).digest()
        digest = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
        rows.append(f"{path},sha256={digest},{len(content)}")
    record = "\n".join([*rows, f"{info}/RECORD,,", ""])
    filename = f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(wheel_directory, filename), "w") as wheel:
        for path, content in files.items():
            wheel.writestr(path, content)
        wheel.writestr(f"{info}/RECORD", record)
    return filename
