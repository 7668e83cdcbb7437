"""Console sessions in Markdown pages: found, run by bash, compared.

A fenced block named `console` is a session. Lines that begin with `$ ` are commands,
`> ` goes on with one; the lines below are what it prints, on either stream. `...`
stands for any text in a line and, alone in a line, for any number of lines. All
blocks of a page are one shell. A command must succeed, unless `echo $?` follows it.

Blocks named `console-network` are sessions that need the public package index.
"""

import os
import re
import signal
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

OFFLINE: Final = "console"
NETWORK: Final = "console-network"

_FENCE: Final = re.compile(r"^(?P<indent> *)(?P<fence>```+|~~~+)(?P<name>[^`]*)$")
_MARK: Final = "\x1e"
_SHELLS: Final = frozenset(("bash", "sh", "shell", "shell-session", "zsh"))


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: str
    line: int
    """Of the fence; the first line is 1."""
    name: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Command:
    """A command and what it prints, as the page says."""

    place: str
    text: str
    expected: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What a command printed, and its exit status."""

    output: str
    status: int


def blocks(page: Path, root: Path) -> Iterator[Block]:
    """All fenced blocks of a page, in order."""
    opened: re.Match[str] | None = None
    start, lines = 0, list[str]()
    for number, line in enumerate(
        page.read_text(encoding="utf-8").splitlines(), start=1
    ):
        fence = _FENCE.match(line)
        if opened is None:
            if fence is not None:
                opened, start, lines = fence, number, []
        elif line.strip() == opened["fence"]:
            name = opened["name"].strip()
            yield Block(str(page.relative_to(root)), start, name, tuple(lines))
            opened = None
        else:
            lines.append(line.removeprefix(opened["indent"]))
    if opened is not None:
        raise ValueError(f"{page}:{start}: a block that does not end")


def stray_sessions(found: Iterable[Block]) -> list[str]:
    """Blocks that look like a session or a script, and are not run as one."""
    return [
        f"{block.page}:{block.line}"
        for block in found
        if block.name not in (OFFLINE, NETWORK)
        and (
            block.name.split(" ")[0] in _SHELLS
            or any(line.startswith("$ ") for line in block.lines)
        )
    ]


def commands(block: Block) -> tuple[Command, ...]:
    """The commands of a session.

    Raises:
        ValueError: the block does not begin with one.
    """
    found: list[tuple[int, str, list[str]]] = []
    for number, line in enumerate(block.lines, start=block.line + 1):
        if line.startswith("$ "):
            found.append((number, line[2:], []))
        elif not found:
            raise ValueError(f"{block.page}:{number}: output without a command")
        elif line.startswith("> ") and not found[-1][2]:
            first, text, _ = found[-1]
            found[-1] = (first, f"{text}\n{line[2:]}", [])
        else:
            found[-1][2].append(line)
    if not found:
        raise ValueError(f"{block.page}:{block.line}: a session without a command")
    return tuple(
        Command(f"{block.page}:{number}", text, tuple(expected))
        for number, text, expected in found
    )


def run(
    session: Sequence[Command],
    folder: Path,
    environment: Mapping[str, str],
    timeout: float,
) -> list[Outcome]:
    """What the commands print, in one shell; fewer if the shell ended before."""
    script = ["exec </dev/null 2>&1"]
    for command in session:
        quoted = "'" + command.text.replace("'", "'\\''") + "'"
        script += [
            f'(exit "${{__status:-0}}"); eval {quoted}',
            f"__status=$?; printf '{_MARK}%d{_MARK}' $__status",
        ]
    with subprocess.Popen(
        ["bash", "--noprofile", "--norc", "-c", "\n".join(script)],
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as shell:
        try:
            output, _ = shell.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(shell.pid, signal.SIGKILL)
            output, _ = shell.communicate()
    parts = output.decode(errors="replace").split(_MARK)
    pairs = zip(parts[::2], parts[1::2], strict=False)
    return [Outcome(printed, int(status)) for printed, status in pairs]


def failures(session: Sequence[Command], outcomes: Sequence[Outcome]) -> list[str]:
    """Where the page and the shell disagree, as people read it."""
    found = []
    for number, command in enumerate(session):
        if number >= len(outcomes):
            found.append(f"{command.place}: did not end\n$ {command.text}")
            break
        outcome = outcomes[number]
        follower = session[number + 1].text if number + 1 < len(session) else ""
        shown = f"$ {command.text}\n{outcome.output}"
        if outcome.status and follower != "echo $?":
            found.append(f"{command.place}: exit status {outcome.status}\n{shown}")
        elif not matches(command.expected, outcome.output):
            wanted = "\n".join(command.expected)
            found.append(f"{command.place}: expected\n{wanted}\ngot\n{shown}")
    return found


def matches(expected: Sequence[str], output: str) -> bool:
    """Whether the output is what was expected, trailing blanks aside."""
    pattern = "".join(
        r"(?:.*\n)*"
        if line.strip() == "..."
        else ".*".join(re.escape(part) for part in line.rstrip().split("...")) + r"\n"
        for line in expected
    )
    lines = [f"{line.rstrip()}\n" for line in output.rstrip().splitlines()]
    return re.fullmatch(pattern.rstrip("\n"), "".join(lines)) is not None
