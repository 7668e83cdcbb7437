"""Builds the conformance project and prints its report; run by tests, as a program.

python observe.py WORKBENCH_FOLDER PROJECT
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path

from fromager.derivations.building.hooks import HookRequest
from support.workbench import Workbench


def main() -> None:
    workbench = Workbench.make(Path(sys.argv[1]))
    project = Path(sys.argv[2])
    files = {
        path.name: path.read_text() for path in project.iterdir() if path.is_file()
    }
    place = workbench.place()
    with socket.create_server(("127.0.0.1", 0)) as server:
        request = HookRequest(
            operation="wheel",
            backend="observer",
            backend_path=(".",),
            config_settings={"port": str(server.getsockname()[1])},
        )
        answer, log = workbench.ask(request, files, place=place)
    if answer.result != "report.json":
        sys.exit(f"{answer}\n{log}")
    sys.stdout.write((place.out / "report.json").read_text())


if __name__ == "__main__":
    main()
