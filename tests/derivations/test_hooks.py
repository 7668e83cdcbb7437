from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fromager.derivations.building.hooks import HookRequest, HookStatus
from fromager.derivations.building.scripts import runner_digest
from fromager.derivations.building.unsandboxed import UnsandboxedRunner

if TYPE_CHECKING:
    from support.workbench import Workbench

WHEEL = "demo-1-py3-none-any.whl"
BUILD = f"""
def build_wheel(directory, config_settings=None, metadata_directory=None):
    open(directory + "/{WHEEL}", "w").close()
    return "{WHEEL}"
"""
ASK = HookRequest(operation="ask", backend="backend", backend_path=(".",))
REQUEST = replace(ASK, operation="wheel")


def test_a_backend_without_requirements_builds_at_once(workbench: Workbench) -> None:
    answer, _ = workbench.ask(REQUEST, {"backend.py": BUILD})

    assert (answer.status, answer.requires, answer.result) == (
        HookStatus.DONE,
        (),
        WHEEL,
    )


def test_requirements_are_told_and_nothing_is_built(workbench: Workbench) -> None:
    text = (
        BUILD + "def get_requires_for_build_wheel(s=None): return ['cython >=3', 'a']"
    )

    answer, _ = workbench.ask(ASK, {"backend.py": text})

    assert answer.status is HookStatus.DONE
    assert (answer.requires, answer.result) == (("cython >=3", "a"), "")


def test_requirements_that_were_accepted_are_asked_for_and_built_with_in_one_process(
    workbench: Workbench,
) -> None:
    text = (
        "import os\nnumber = []\n"
        "def get_requires_for_build_wheel(s=None): number.append(os.getpid()); return ['a']\n"
        + BUILD.replace("    open", "    print(number == [os.getpid()])\n    open")
    )
    request = replace(REQUEST, accept=("b", "a"))

    answer, log = workbench.ask(request, {"backend.py": text})

    assert (answer.status, answer.requires) == (HookStatus.DONE, ("a",))
    assert log == "True\n"


def test_requirements_beyond_what_is_accepted_stop_the_build(
    workbench: Workbench,
) -> None:
    text = "def get_requires_for_build_wheel(s=None): return ['a', 'c']\n" + BUILD
    place = workbench.place()

    answer, _ = workbench.ask(
        replace(REQUEST, accept=("a",)), {"backend.py": text}, place=place
    )

    assert (answer.status, answer.requires) == (HookStatus.MORE, ("a", "c"))
    assert list(place.out.iterdir()) == []


def test_metadata_comes_from_the_wheel_if_the_backend_has_no_hook_for_it(
    workbench: Workbench,
) -> None:
    text = f"""
import zipfile
def build_wheel(directory, config_settings=None, metadata_directory=None):
    with zipfile.ZipFile(directory + "/{WHEEL}", "w") as file:
        file.writestr("demo-1.dist-info/METADATA", "Name: demo")
    return "{WHEEL}"
"""
    place = workbench.place()

    answer, _ = workbench.ask(
        replace(REQUEST, operation="metadata"), {"backend.py": text}, place=place
    )

    assert answer.result == "demo-1.dist-info"
    assert (place.out / answer.result / "METADATA").read_text() == "Name: demo"


def test_an_sdist_is_built_with_its_own_question(workbench: Workbench) -> None:
    text = (
        "def get_requires_for_build_sdist(s=None): return ['for-sdist']\n"
        "def build_sdist(directory, s=None):\n"
        "    open(directory + '/demo-1.tar.gz', 'w').close(); return 'demo-1.tar.gz'\n"
    )
    request = replace(REQUEST, operation="sdist", accept=("for-sdist",))

    answer, _ = workbench.ask(request, {"backend.py": text})

    assert (answer.status, answer.result) == (HookStatus.DONE, "demo-1.tar.gz")


def test_config_settings_reach_every_hook(workbench: Workbench) -> None:
    text = (
        "def get_requires_for_build_wheel(config_settings=None):\n"
        "    print(sorted(config_settings.items())); return []\n"
        + BUILD.replace(
            "    open", "    print(sorted(config_settings.items()))\n    open"
        )
    )
    request = replace(REQUEST, config_settings={"b": ("1", "2"), "a": "x"})

    _, log = workbench.ask(request, {"backend.py": text})

    assert log == "[('a', 'x'), ('b', ['1', '2'])]\n" * 2


def test_a_hook_finds_the_world_as_if_no_other_hook_had_run(
    workbench: Workbench,
) -> None:
    text = (
        "import os, sys\n"
        "def get_requires_for_build_wheel(s=None):\n"
        "    os.environ['LEFT'] = '1'; os.chdir('/'); sys.path.insert(0, '/x'); sys.argv[:] = []\n"
        "    return []\n"
        + BUILD.replace(
            "    open",
            "    print(os.environ.get('LEFT'), os.getcwd(), '/x' in sys.path, sys.argv)\n    open",
        )
    )

    _, log = workbench.ask(REQUEST, {"backend.py": text})

    assert log == "None /build/src False ['/fromager/_in_process.py', 'build_wheel']\n"


def test_a_backend_in_the_tree_comes_from_its_path_only(workbench: Workbench) -> None:
    files = {"tools/backend.py": BUILD, "backend.py": "raise RuntimeError"}

    answer, _ = workbench.ask(replace(REQUEST, backend_path=("tools",)), files)

    assert answer.status is HookStatus.DONE


def test_a_backend_object_may_be_an_attribute(workbench: Workbench) -> None:
    text = "class Outer:\n class Inner:\n  build_wheel = staticmethod(lambda *a: open(a[0] + '/x', 'w').name[-1])"

    answer, _ = workbench.ask(
        replace(REQUEST, backend="backend:Outer.Inner"), {"backend.py": text}
    )

    assert (answer.status, answer.result) == (HookStatus.DONE, "x")


@pytest.mark.parametrize(
    ("text", "status", "reason"),
    [
        (
            "import no_such_module",
            HookStatus.BACKEND_MISSING,
            "Cannot import 'backend'",
        ),
        ("1/0", HookStatus.RAISED, "ZeroDivisionError: division by zero"),
        ("", HookStatus.HOOK_MISSING, "no hook build_wheel"),
        (
            "def build_wheel(*a): raise KeyError('x')",
            HookStatus.RAISED,
            "KeyError: 'x'",
        ),
        (
            "def build_wheel(*a): raise SystemExit('no')",
            HookStatus.RAISED,
            "SystemExit",
        ),
        ("def build_wheel(*a): raise AttributeError('q')", HookStatus.RAISED, "q"),
        ("def build_wheel(*a): return None", HookStatus.BAD_ANSWER, "returned None"),
        ("def build_wheel(*a): return b'x'", HookStatus.BAD_ANSWER, "a bytes"),
        ("def build_wheel(*a): return 'x.whl'", HookStatus.NO_OUTPUT, "did not write"),
        ("def build_wheel(*a): return '../src'", HookStatus.NO_OUTPUT, "'../src'"),
        (
            "def get_requires_for_build_wheel(s): return 'cython'",
            HookStatus.BAD_ANSWER,
            "returned 'cython', a str",
        ),
        (
            "def get_requires_for_build_wheel(s): return [1]",
            HookStatus.BAD_ANSWER,
            "returned [1], a list",
        ),
        (
            "import os\ndef build_wheel(*a): os._exit(7)",
            HookStatus.CRASHED,
            "exit code 7",
        ),
        (
            "import os\ndef build_wheel(*a): os.kill(os.getpid(), 11)",
            HookStatus.CRASHED,
            "signal 11",
        ),
        (
            "import time\ndef build_wheel(*a): time.sleep(1000)",
            HookStatus.TIMED_OUT,
            "the time that it was given",
        ),
    ],
)
def test_each_way_to_fail_is_told_apart(
    workbench: Workbench, text: str, status: HookStatus, reason: str
) -> None:
    answer, _ = workbench.ask(REQUEST, {"backend.py": text}, timeout=1)

    assert answer.status is status
    assert reason in answer.reason


def test_a_missing_backend_is_told_by_its_name(workbench: Workbench) -> None:
    request = HookRequest(operation="wheel", backend="flit_core.buildapi")

    answer, log = workbench.ask(request, {})

    assert answer.status is HookStatus.BACKEND_MISSING
    assert "flit_core.buildapi" in answer.reason
    assert "ModuleNotFoundError" in log


def test_a_missing_attribute_of_the_backend_is_a_missing_backend(
    workbench: Workbench,
) -> None:
    request = replace(REQUEST, backend="backend:nothing")

    answer, _ = workbench.ask(request, {"backend.py": BUILD})

    assert answer.status is HookStatus.BACKEND_MISSING


def test_the_traceback_of_a_hook_is_in_the_log(workbench: Workbench) -> None:
    _, log = workbench.ask(
        REQUEST, {"backend.py": "def build_wheel(*a):\n    raise ValueError('why')"}
    )

    assert "/build/src/backend.py" in log and "ValueError: why" in log


def test_output_of_a_hook_and_of_its_children_comes_in_order(
    workbench: Workbench,
) -> None:
    text = "import os\n" + BUILD.replace(
        "    open", "    print(1); os.system('echo 2'); print(3)\n    open"
    )

    _, log = workbench.ask(REQUEST, {"backend.py": text})

    assert log == "1\n2\n3\n"


def test_threads_that_a_backend_left_are_not_waited_for(workbench: Workbench) -> None:
    text = "import threading, time\n" + BUILD.replace(
        "    open",
        "    threading.Thread(target=time.sleep, args=(1000,)).start()\n    open",
    )

    answer, _ = workbench.ask(REQUEST, {"backend.py": text})

    assert answer.status is HookStatus.DONE


def test_the_backend_finds_nothing_of_the_runner(workbench: Workbench) -> None:
    text = "import os, sys\n" + BUILD.replace(
        "    open",
        "    print(sorted(os.listdir('/build')), [p for p in sys.path if 'fromager' in p])\n    open",
    )

    _, log = workbench.ask(REQUEST, {"backend.py": text})

    assert log == "['out', 'src', 'tmp'] []\n"


def test_without_a_sandbox_the_same_request_gives_the_same_answer(
    workbench: Workbench,
) -> None:
    weaker = workbench.with_sandbox(UnsandboxedRunner())
    text = "def get_requires_for_build_wheel(s=None): return ['a']\n" + BUILD
    request = replace(REQUEST, accept=("a",))
    place = weaker.place()

    answer, log = weaker.ask(request, {"backend.py": text}, place=place)

    assert (answer.status, answer.result) == (HookStatus.DONE, WHEEL), log
    assert [path.name for path in place.out.iterdir()] == [WHEEL]


def test_the_digest_of_the_runner_is_short_and_does_not_change() -> None:
    assert runner_digest() == runner_digest()
    assert len(runner_digest()) == 16


def test_the_runner_can_be_read_by_the_oldest_interpreter() -> None:
    import ast

    from fromager.derivations.building import hooks

    folder = Path(hooks.__file__).parent
    for name in ("runner.py", "inspection.py"):
        ast.parse((folder / name).read_text(), feature_version=(3, 9))
