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
    ANNOTATE_RECIPE,
    ENVIRONMENT_RECIPE,
    FETCH_COMMIT_RECIPE,
    FETCH_RECIPE,
    LAYOUT_RECIPE,
    METADATA_RECIPE,
    PATCH_SET_RECIPE,
    PLUGIN_REQUIRES_RECIPE,
    PLUGIN_SOURCE_RECIPE,
    PREBUILT_RECIPE,
    REQUIRES_RECIPE,
    SOURCE_RECIPE,
    TAKE_FOLDER_RECIPE,
    WHEEL_RECIPE,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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


def overridden_source(
    subject: str, inputs: Mapping[str, Derivation], options: Mapping[str, Value]
) -> Derivation:
    """A source as a plugin prepares it, from one that was prepared as usual."""
    return Derivation(
        Kind.SOURCE,
        subject,
        PLUGIN_SOURCE_RECIPE,
        inputs=tuple(sorted(inputs.items())),
        options=tuple(sorted(options.items())),
    )


def overridden_requires(
    subject: str,
    source: Derivation,
    environment: Derivation,
    plugin: Derivation,
    build: Mapping[str, Value],
    function: str,
) -> Derivation:
    """What a plugin says that an environment must hold, as a JSON list."""
    inputs = {"environment": environment, "plugin": plugin, "source": source}
    return Derivation(
        Kind.REQUIRES,
        subject,
        PLUGIN_REQUIRES_RECIPE,
        inputs=tuple(inputs.items()),
        options=tuple(sorted({**build, "hook": function}.items())),
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
    plugin: Derivation | None = None,
) -> Derivation:
    """What a backend says that it needs to build a wheel, as a JSON list."""
    return Derivation(
        Kind.REQUIRES,
        subject,
        f"{REQUIRES_RECIPE} {build['runner']}",
        inputs=_build_inputs(source, environment, plugin),
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
    plugin: Derivation | None = None,
) -> Derivation:
    """The core metadata that a wheel would have, as its backend says."""
    return Derivation(
        Kind.METADATA,
        subject,
        f"{METADATA_RECIPE} {build['runner']}",
        inputs=_build_inputs(source, environment, plugin),
        options=tuple(sorted(build.items())),
    )


def wheel(
    subject: str,
    source: Derivation,
    environment: Derivation,
    build: Mapping[str, Value],
    normalisation: str,
    plugin: Derivation | None = None,
) -> Derivation:
    """A wheel. The backend is asked for its requirements first, in the same process:
    what asking leaves behind is part of the recipe, whether or not the answer was
    known before."""
    return Derivation(
        Kind.WHEEL,
        subject,
        f"{WHEEL_RECIPE} {build['runner']}",
        inputs=_build_inputs(source, environment, plugin),
        options=tuple(sorted({**build, "normalisation": normalisation}.items())),
    )


def annotated(
    subject: str,
    wheel: Derivation,
    filename: str,
    annotation: Mapping[str, Value],
    origin: Mapping[str, Value] | None,
    normalisation: str,
) -> Derivation:
    """A wheel that was built and gets something more; `origin` is what its SBOM says
    that it was made of."""
    told = annotation["sbom"] is not None
    return Derivation(
        Kind.WHEEL,
        subject,
        ANNOTATE_RECIPE,
        inputs=(("wheel", wheel),),
        options=(
            ("annotation", annotation),
            ("filename", filename),
            ("normalisation", normalisation),
            ("origin", origin if told else None),
        ),
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
    source: Derivation, environment: Derivation, plugin: Derivation | None
) -> tuple[tuple[str, Derivation], ...]:
    """What a backend is run on; with a plugin, if one has a say in that."""
    code = () if plugin is None else (("plugin", plugin),)
    return (("environment", environment), *code, ("source", source))


def object_name(text: str) -> str:
    """A name that a store object may have, made from a file name or a subject."""
    return re.sub(r"[^A-Za-z0-9+._=-]", "-", text).lstrip(".-")[:160] or "object"
