"""From what is known to derivations: one pure function per kind of step.

Each recipe carries a version. Raise it whenever the same inputs may give other
bytes than before: it is part of every key that the recipe makes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from fromager.derivations.derivation import (
    Derivation,
    Kind,
    ResolvedDerivation,
    Value,
)
from fromager.derivations.versions import (
    COLLECTION_RECIPE,
    CRATES_RECIPE,
    ENVIRONMENT_RECIPE,
    FETCH_COMMIT_RECIPE,
    FETCH_RECIPE,
    LAYOUT_RECIPE,
    METADATA_RECIPE,
    PATCH_SET_RECIPE,
    PREBUILT_RECIPE,
    REQUIRES_RECIPE,
    SOURCE_RECIPE,
    TAKE_FOLDER_RECIPE,
    WHEEL_RECIPE,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fromager.derivations.collecting.plan import CollectionPlan
    from fromager.derivations.interpreter import Interpreter
    from fromager.store import Digest


_QUESTION: Final = "get_requires_for_build_wheel"


def fetch(filename: str, sha256: str, urls: Sequence[str]) -> Derivation:
    """A file known by its hash; where it may be found is no part of the key."""
    return Derivation(
        Kind.FETCH,
        filename,
        FETCH_RECIPE,
        options=(("filename", filename), ("sha256", sha256)),
        hints=(("urls", tuple(urls)),),
    )


def patch_set(
    subject: str, patches: Sequence[tuple[str, Digest]], files: Sequence[Digest] = ()
) -> Derivation:
    """Patch files in the order in which they are applied, and files to drop in."""
    options: dict[str, Value] = {
        "patches": tuple((name, str(digest)) for name, digest in patches)
    }
    if files:
        options["files"] = tuple(str(digest) for digest in files)
    return Derivation(
        Kind.PATCH_SET,
        subject,
        PATCH_SET_RECIPE,
        options=tuple(sorted(options.items())),
    )


def fetch_commit(
    name: str, commit: str, submodules: Sequence[str] | None, urls: Sequence[str]
) -> Derivation:
    """The files of a git commit; `submodules` are the paths of those taken along, or
    None for all. Where the repository may be found is no part of the key."""
    chosen: Value = "all" if submodules is None else tuple(submodules)
    return Derivation(
        Kind.FETCH,
        f"{name}@{commit[:12]}",
        FETCH_COMMIT_RECIPE,
        options=(("commit", commit), ("submodules", chosen)),
        hints=(("urls", tuple(urls)),),
    )


def take_folder(name: str, tree: Digest) -> Derivation:
    """The files of a folder, known by their content alone."""
    return Derivation(
        Kind.FETCH, name, TAKE_FOLDER_RECIPE, options=(("tree", str(tree)),)
    )


def source(
    subject: str,
    archive: Derivation,
    filename: str,
    more: Mapping[str, Derivation],
    options: Mapping[str, Value],
) -> Derivation:
    """The tree that a backend gets to see: an unpacked archive, prepared.

    `more` are inputs beside the archive: the patch set, extra sources. `options` say
    what else is done to it.
    """
    inputs: dict[str, Digest | Derivation] = {**more, "archive": archive}
    return Derivation(
        Kind.SOURCE,
        subject,
        SOURCE_RECIPE,
        inputs=tuple(sorted(inputs.items())),
        options=tuple(sorted({**options, "filename": filename}.items())),
    )


def source_of_tree(
    subject: str,
    tree: Derivation,
    epoch: int,
    more: Mapping[str, Derivation],
    options: Mapping[str, Value],
) -> Derivation:
    """The tree that a backend gets to see: one that was fetched as a tree, prepared.

    `epoch` is the time that it is said to be from, in seconds since 1970; the rest is
    as in `source`.
    """
    inputs: dict[str, Digest | Derivation] = {**more, "tree": tree}
    return Derivation(
        Kind.SOURCE,
        subject,
        SOURCE_RECIPE,
        inputs=tuple(sorted(inputs.items())),
        options=tuple(sorted({**options, "epoch": epoch}.items())),
    )


def crates(
    subject: str,
    inputs: Mapping[str, Derivation],
    listed: Sequence[Mapping[str, Value]],
) -> Derivation:
    """Crates of Rust, unpacked where cargo finds them without a network.

    `inputs` are what holds each of the crates `listed`, by role.
    """
    found: dict[str, Digest | Derivation] = {**inputs}
    return Derivation(
        Kind.SOURCE,
        subject,
        CRATES_RECIPE,
        inputs=tuple(sorted(found.items())),
        options=(("crates", tuple(listed)),),
    )


def layout(
    subject: str,
    wheel: Derivation,
    filename: str,
    interpreter: Interpreter,
    compiler: str,
    surroundings: Mapping[str, Value],
) -> Derivation:
    """A wheel unpacked as installed below `/env`, with bytecode.

    `compiler` names the script that makes the bytecode, `surroundings` what it runs
    in: the interpreter's part of the platform and the sandbox.
    """
    return Derivation(
        Kind.LAYOUT,
        subject,
        f"{LAYOUT_RECIPE} {compiler}",
        inputs=(("wheel", wheel),),
        options=tuple(
            sorted(
                {
                    **surroundings,
                    "cache_tag": interpreter.cache_tag,
                    "filename": filename,
                    "platlib": interpreter.platlib_name,
                    "purelib": interpreter.purelib_name,
                }.items()
            )
        ),
    )


def environment(
    subject: str,
    layouts: Mapping[str, Derivation],
    interpreter: Interpreter,
    base: Digest,
) -> Derivation:
    """Layouts merged into one installation; `base` is the tree of what all have."""
    return Derivation(
        Kind.ENVIRONMENT,
        subject,
        ENVIRONMENT_RECIPE,
        inputs=tuple(
            sorted((f"layout:{name}", layout) for name, layout in layouts.items())
        ),
        options=(
            ("base", str(base)),
            ("executable", interpreter.executable),
            ("purelib", interpreter.purelib_name),
        ),
    )


def requires(
    subject: str,
    source: Derivation,
    environment: Derivation,
    build: Mapping[str, Value],
    more: Mapping[str, Derivation] | None = None,
) -> Derivation:
    """What a backend says that it needs to build a wheel, as a JSON list."""
    return Derivation(
        Kind.REQUIRES,
        subject,
        f"{REQUIRES_RECIPE} {build['runner']}",
        inputs=_build_inputs(source, environment, more),
        options=tuple(sorted({**build, "hook": _QUESTION}.items())),
    )


def question_of(wheel: ResolvedDerivation) -> ResolvedDerivation:
    """The `requires` derivation that the process of a `wheel` derivation answers."""
    options = {k: v for k, v in wheel.options if k != "normalisation"}
    options["hook"] = _QUESTION
    return ResolvedDerivation(
        Kind.REQUIRES,
        wheel.subject,
        f"{REQUIRES_RECIPE} {options.get('runner')}",
        wheel.inputs,
        tuple(sorted(options.items())),
    )


def metadata(
    subject: str,
    source: Derivation,
    environment: Derivation,
    build: Mapping[str, Value],
    more: Mapping[str, Derivation] | None = None,
) -> Derivation:
    """The core metadata that a wheel would have, as its backend says."""
    return Derivation(
        Kind.METADATA,
        subject,
        f"{METADATA_RECIPE} {build['runner']}",
        inputs=_build_inputs(source, environment, more),
        options=tuple(sorted(build.items())),
    )


def wheel(
    subject: str,
    source: Derivation,
    environment: Derivation,
    build: Mapping[str, Value],
    normalisation: str,
    more: Mapping[str, Derivation] | None = None,
) -> Derivation:
    """A wheel. The backend is asked for its requirements first, in the same process:
    what asking leaves behind is part of the recipe, whether or not the answer was
    known before."""
    return Derivation(
        Kind.WHEEL,
        subject,
        f"{WHEEL_RECIPE} {build['runner']}",
        inputs=_build_inputs(source, environment, more),
        options=tuple(sorted({**build, "normalisation": normalisation}.items())),
    )


def prebuilt(subject: str, file: Derivation, filename: str) -> Derivation:
    """A wheel that was fetched and is taken as it is, in place of one that is built."""
    return Derivation(
        Kind.WHEEL,
        subject,
        PREBUILT_RECIPE,
        inputs=(("file", file),),
        options=(("filename", filename), ("prebuilt", True)),
    )


def collection(plan: CollectionPlan, wheels: Mapping[str, Derivation]) -> Derivation:
    """Wheels as one thing to install from; `wheels` gave them, by subject.

    What the wheels were built from is in its inputs only: the same wheels, chosen in
    the same way, are one collection whoever built them.
    """
    roles = {plan.role(wheel): wheels[wheel.subject] for wheel in plan.wheels}
    return Derivation(
        Kind.COLLECTION,
        plan.subject,
        COLLECTION_RECIPE,
        inputs=tuple(sorted(roles.items())),
        options=tuple(sorted(plan.options.items())),
    )


def build_options(
    *,
    platform: Digest,
    sandbox: str,
    runner: str,
    variables: Mapping[str, str],
    config_settings: Mapping[str, Value],
    build_dir: str = "",
    more: Mapping[str, Value] | None = None,
) -> Mapping[str, Value]:
    """What every step that runs a backend has in common.

    `sandbox` is the policy's version and level, `variables` the final environment
    variables without those that are no part of a key (the number of jobs),
    `build_dir` the project's folder in the source, `more` what few packages have.
    """
    return {
        **(more or {}),
        "build_dir": f"/build/src/{build_dir}" if build_dir else "/build/src",
        "config_settings": dict(config_settings),
        "platform": str(platform),
        "runner": runner,
        "sandbox": sandbox,
        "variables": dict(variables),
    }


def _build_inputs(
    source: Derivation, environment: Derivation, more: Mapping[str, Derivation] | None
) -> tuple[tuple[str, Digest | Derivation], ...]:
    """What every step that runs a backend is given; `more` is what few packages have."""
    inputs: dict[str, Digest | Derivation] = {
        **(more or {}),
        "environment": environment,
        "source": source,
    }
    return tuple(sorted(inputs.items()))


def object_name(text: str) -> str:
    """A name that a store object may have, made from a file name or a subject."""
    return re.sub(r"[^A-Za-z0-9+._=-]", "-", text).lstrip(".-")[:160] or "object"
