"""A content-addressed store: bytes, names, references and what gave them.

It knows nothing of Python packaging. The public names are those below; each is
loaded when it is first used, so that a command pays for what it needs only.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fromager.store.accounts import Accounts, Reason, RootUse
    from fromager.store.api import ObjectInfo, Store, Transaction, TreeBuilder
    from fromager.store.beneath import NOTHING, Beneath
    from fromager.store.care import Care
    from fromager.store.collect import Collected, Collector
    from fromager.store.damage import (
        Damage,
        DamageKind,
        Irreparable,
        RebuiltDatabase,
        Repaired,
        Repairs,
        Verification,
    )
    from fromager.store.digest import (
        DERIVATION_CONTEXT,
        Digest,
        blob_digest,
        derived_digest,
        stream_digest,
    )
    from fromager.store.errors import (
        DatabaseTooNew,
        DatabaseUnusable,
        InvalidName,
        InvalidRecord,
        LinkRefused,
        NotRestored,
        ObjectDamaged,
        ObjectMissing,
        ObjectWithheld,
        ReferenceMissing,
        RootMissing,
        StoreError,
        StoreFull,
        StoreUnavailable,
        UnsupportedFile,
    )
    from fromager.store.exporting import (
        ExportRefused,
        export,
        export_archive,
        export_linked,
    )
    from fromager.store.garbage import Policy
    from fromager.store.generations import Generation, Generations, Member
    from fromager.store.layered import LayeredStore
    from fromager.store.liveness import Edge
    from fromager.store.local import LocalStore
    from fromager.store.locks import Caller
    from fromager.store.opening import make_room
    from fromager.store.other_store import OtherStore
    from fromager.store.path import StorePath, check_name
    from fromager.store.pool import Amount
    from fromager.store.reading import read_tree
    from fromager.store.realisation import (
        NOT_A_RECORD,
        ORIGIN_SUBSTITUTED,
        PURPOSE_CHECK,
        Realisation,
        dump_realisation,
        load_realisation,
    )
    from fromager.store.rebuild import rebuild_database
    from fromager.store.records import ObjectRecord, dump_record, load_record
    from fromager.store.repair import Restorer
    from fromager.store.scratch import Scratch
    from fromager.store.stores import open_layers, open_store
    from fromager.store.survey import Root, RootKind
    from fromager.store.tree import Directory, File, Link, Node, from_paths
    from fromager.store.usage import Space, StoreUsage, Usage
    from fromager.store.verify import Scope

_HOME = {
    "accounts": ("Accounts", "Reason", "RootUse"),
    "api": ("ObjectInfo", "Store", "Transaction", "TreeBuilder"),
    "collect": ("Collected", "Collector"),
    "digest": (
        "DERIVATION_CONTEXT",
        "Digest",
        "blob_digest",
        "derived_digest",
        "stream_digest",
    ),
    "errors": (
        "DatabaseTooNew",
        "DatabaseUnusable",
        "NotRestored",
        "ObjectWithheld",
        "InvalidName",
        "InvalidRecord",
        "LinkRefused",
        "ObjectDamaged",
        "ObjectMissing",
        "RootMissing",
        "ReferenceMissing",
        "StoreError",
        "StoreFull",
        "StoreUnavailable",
        "UnsupportedFile",
    ),
    "beneath": ("NOTHING", "Beneath"),
    "care": ("Care",),
    "damage": (
        "Damage",
        "DamageKind",
        "Irreparable",
        "RebuiltDatabase",
        "Repaired",
        "Repairs",
        "Verification",
    ),
    "other_store": ("OtherStore",),
    "rebuild": ("rebuild_database",),
    "records": ("ObjectRecord", "dump_record", "load_record"),
    "repair": ("Restorer",),
    "verify": ("Scope",),
    "exporting": ("ExportRefused", "export", "export_archive", "export_linked"),
    "garbage": ("Policy",),
    "generations": ("Generation", "Generations", "Member"),
    "liveness": ("Edge",),
    "layered": ("LayeredStore",),
    "local": ("LocalStore",),
    "locks": ("Caller",),
    "opening": ("make_room",),
    "path": ("StorePath", "check_name"),
    "pool": ("Amount",),
    "scratch": ("Scratch",),
    "survey": ("Root", "RootKind"),
    "reading": ("read_tree",),
    "realisation": (
        "NOT_A_RECORD",
        "ORIGIN_SUBSTITUTED",
        "PURPOSE_CHECK",
        "Realisation",
        "dump_realisation",
        "load_realisation",
    ),
    "stores": ("open_layers", "open_store"),
    "tree": ("Directory", "File", "Link", "Node", "from_paths"),
    "usage": ("Space", "StoreUsage", "Usage"),
}
_MODULE = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "DERIVATION_CONTEXT",
    "NOTHING",
    "NOT_A_RECORD",
    "ORIGIN_SUBSTITUTED",
    "PURPOSE_CHECK",
    "Accounts",
    "Amount",
    "Beneath",
    "Caller",
    "Care",
    "Collected",
    "Collector",
    "Damage",
    "DamageKind",
    "DatabaseTooNew",
    "DatabaseUnusable",
    "Digest",
    "Directory",
    "Edge",
    "ExportRefused",
    "File",
    "Generation",
    "Generations",
    "InvalidName",
    "InvalidRecord",
    "Irreparable",
    "LayeredStore",
    "Link",
    "LinkRefused",
    "LocalStore",
    "Member",
    "Node",
    "NotRestored",
    "ObjectDamaged",
    "ObjectInfo",
    "ObjectMissing",
    "ObjectRecord",
    "ObjectWithheld",
    "OtherStore",
    "Policy",
    "Realisation",
    "Reason",
    "RebuiltDatabase",
    "ReferenceMissing",
    "Repaired",
    "Repairs",
    "Restorer",
    "Root",
    "RootKind",
    "RootMissing",
    "RootUse",
    "Scope",
    "Scratch",
    "Space",
    "Store",
    "StoreError",
    "StoreFull",
    "StorePath",
    "StoreUnavailable",
    "StoreUsage",
    "Transaction",
    "TreeBuilder",
    "UnsupportedFile",
    "Usage",
    "Verification",
    "blob_digest",
    "check_name",
    "derived_digest",
    "dump_realisation",
    "dump_record",
    "export",
    "export_archive",
    "export_linked",
    "from_paths",
    "load_realisation",
    "load_record",
    "make_room",
    "open_layers",
    "open_store",
    "read_tree",
    "rebuild_database",
    "stream_digest",
]


def __getattr__(name: str) -> object:
    if name not in _MODULE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULE[name]}"), name)
    globals()[name] = value
    return value
