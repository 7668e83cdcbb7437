"""A sandbox for the tests that need one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.workbench import Workbench


@pytest.fixture(scope="session")
def workbench(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    """The interpreter that runs the tests, in the full sandbox."""
    from fromager.derivations.errors import SandboxUnavailable
    from support.workbench import Workbench

    try:
        workbench = Workbench.make(tmp_path_factory.mktemp("workbench"))
        workbench.run("true")
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    return workbench
