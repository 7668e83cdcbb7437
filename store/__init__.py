"""A content-addressed store: bytes, names, references and what gave them.

It knows nothing of Python packaging. The public names are those below; each is
loaded when it is first used, so that a command pays for what it needs only.
"""

from __future__ import annotations

from importlib import import_module

_HOME = {
    "accounts": "Accounts Reason RootUse",
    "api": "ObjectInfo Store Transaction TreeBuilder",
    "beneath": "Beneath NOTHING",
    "care": "Care",
    "collect": "Collected Collector",
    "damage": (
        "Damage DamageKind Irreparable RebuiltDatabase Repaired Repairs Verification"
    ),
    "digest": "DERIVATION_CONTEXT Digest blob_digest derived_digest stream_digest",
    "errors": (
        "DatabaseTooNew DatabaseUnusable InvalidName InvalidRecord LinkRefused "
        "NotRestored ObjectDamaged ObjectMissing ObjectWithheld "
        "ReferenceMissing RootMissing StoreError StoreFull StoreUnavailable "
        "UnsupportedFile"
    ),
    "exporting": "ExportRefused export export_archive export_linked",
    "garbage": "Policy",
    "generations": "Generation Generations Member",
    "layered": "LayeredStore",
    "liveness": "Edge",
    "local": "LocalStore",
    "locks": "Caller",
    "mounts": "file_system_of",
    "opening": "make_room",
    "other_store": "OtherStore",
    "path": "StorePath check_name",
    "pool": "Amount",
    "reading": "read_tree",
    "realisation": (
        "NOT_A_RECORD ORIGIN_SUBSTITUTED PURPOSE_CHECK Realisation "
        "dump_realisation load_realisation"
    ),
    "rebuild": "rebuild_database",
    "records": "ObjectRecord dump_record load_record",
    "repair": "Restorer",
    "scratch": "Scratch",
    "stores": "open_layers open_store",
    "survey": "Root RootKind",
    "tree": "Directory File Link Node from_paths",
    "usage": "Space StoreUsage Usage",
    "verify": "Scope",
}

_MODULE = {name: module for module, names in _HOME.items() for name in names.split()}

__all__ = list(_MODULE)


def __getattr__(name: str) -> object:
    if name not in _MODULE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULE[name]}"), name)
    globals()[name] = value
    return value
