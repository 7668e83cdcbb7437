"""What to build, from what and how; and doing it.

The public names are those below; each is loaded when it is first used, so that a
command pays for what it needs only.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fromager.derivations.building.bubblewrap import Bubblewrap, find_bubblewrap
    from fromager.derivations.building.facts import Facts, NoFacts
    from fromager.derivations.building.platform import (
        HostBase,
        Platform,
        host_platform,
        known_platform,
    )
    from fromager.derivations.building.probe import probe
    from fromager.derivations.building.sandbox import Sandbox, StopSignal
    from fromager.derivations.building.unsandboxed import UnsandboxedRunner
    from fromager.derivations.checking.check import Checker, overall
    from fromager.derivations.checking.variations import (
        Variation,
        VariationMeans,
        look_around,
    )
    from fromager.derivations.checking.verdict import (
        Reach,
        Round,
        State,
        VariationOutcome,
        Verdict,
        judge,
    )
    from fromager.derivations.collecting.difference import (
        CollectionChange,
        collection_changes,
        rebuilt_wheels,
    )
    from fromager.derivations.collecting.fitting import Misfit
    from fromager.derivations.collecting.graph import CollectionGraph, read_graph
    from fromager.derivations.comparing.causes import (
        EXPLANATIONS,
        Cause,
        Explanation,
    )
    from fromager.derivations.comparing.compare import compare
    from fromager.derivations.comparing.contents import Contents, open_contents
    from fromager.derivations.comparing.diffoscope import diffoscope
    from fromager.derivations.comparing.page import html_page
    from fromager.derivations.comparing.report import (
        Finding,
        MemberDifference,
        Report,
        Sameness,
    )
    from fromager.derivations.comparing.summary import summary, verdict
    from fromager.derivations.comparing.tokens import Clues, known_words
    from fromager.derivations.comparison import Difference, differences
    from fromager.derivations.customisation.customisation import Customisation
    from fromager.derivations.customisation.document import SettingsError
    from fromager.derivations.customisation.effects import Effects
    from fromager.derivations.customisation.lint import lint
    from fromager.derivations.customisation.overrides import (
        DEFAULTS,
        Overrides,
        SettingsTables,
    )
    from fromager.derivations.customisation.rules import (
        Assignment,
        Circumstances,
        plain_value,
    )
    from fromager.derivations.derivation import (
        Derivation,
        Kind,
        ResolvedDerivation,
        decode,
        encode,
        resolve_inputs,
    )
    from fromager.derivations.errors import (
        BuildCycle,
        BuildError,
        CacheRefused,
        DependencyFailed,
        DerivationError,
        HashMismatch,
        InputError,
        InputGone,
        InvalidDerivation,
        NetworkError,
        PrebuiltRefused,
        RebuildRefused,
        ResolutionError,
        SandboxUnavailable,
        SigningError,
        SourceError,
        Stopped,
        UnsafeArchive,
        Untrusted,
        WheelRefused,
    )
    from fromager.derivations.index.address import IndexUrl, redact
    from fromager.derivations.index.client import (
        Freshness,
        HttpIndexClient,
        IndexClient,
        open_client,
    )
    from fromager.derivations.index.configuration import (
        IndexConfiguration,
        Surroundings,
        find_http_settings,
        find_indexes,
    )
    from fromager.derivations.index.retries import Retries
    from fromager.derivations.index.routed import RoutedClient
    from fromager.derivations.interpreter import Interpreter
    from fromager.derivations.locking.difference import LockChange, lock_changes
    from fromager.derivations.locking.errors import InvalidLock, LockMismatch
    from fromager.derivations.locking.lock import Lock, LockedPlatform, LockedRequest
    from fromager.derivations.locking.places import recorded
    from fromager.derivations.locking.reading import parse_lock
    from fromager.derivations.locking.writing import format_lock
    from fromager.derivations.plugins.broken import PluginBroken, PluginFailed
    from fromager.derivations.plugins.entry_points import (
        COMMAND_GROUP,
        EntryPoint,
        find_entry_points,
    )
    from fromager.derivations.plugins.linting import PluginLint
    from fromager.derivations.plugins.plugins import Plugins
    from fromager.derivations.project_requirements import read_project
    from fromager.derivations.realising.again import build_again
    from fromager.derivations.realising.annotated import as_built
    from fromager.derivations.realising.events import (
        Event,
        LogOutput,
        Noted,
        Reporter,
        StepFailed,
        StepFinished,
        StepReused,
        StepStarted,
        StepSubstituted,
        Waiting,
    )
    from fromager.derivations.realising.goals import WaitGraph
    from fromager.derivations.realising.history import (
        Failure,
        Reason,
        build_closure,
        build_steps,
        compare_inputs,
        last_failure,
        why_rebuilt,
    )
    from fromager.derivations.realising.lock_making import Planned, joined
    from fromager.derivations.realising.memo import Memo, plan_key
    from fromager.derivations.realising.patching import (
        SourceTree,
        SourceTrees,
        WorkTree,
        all_patches,
        before_patch,
        make_work_tree,
        try_patches,
        unpatched,
        written_patch,
    )
    from fromager.derivations.realising.preferences import Preferences, kept_versions
    from fromager.derivations.realising.realise import Realiser
    from fromager.derivations.realising.rebuilding import (
        Conditions,
        RebuildMeans,
        Rebuilt,
    )
    from fromager.derivations.realising.recipes import recipe_versions
    from fromager.derivations.realising.request import (
        Collect,
        Realised,
        RealisedWheel,
        RealiseRequest,
    )
    from fromager.derivations.realising.restoring import RestoreByBuilding
    from fromager.derivations.realising.runtime import runtime_closure
    from fromager.derivations.realising.steps import Steps
    from fromager.derivations.realising.target import BuildPolicy, Share, Target
    from fromager.derivations.requirement import parse_given, parse_requirement
    from fromager.derivations.requirements import (
        RequirementFile,
        read_constraints,
        read_requirements,
    )
    from fromager.derivations.resolution.cutoff import Cutoffs, exact_pins
    from fromager.derivations.resolution.request import GivenRequirement
    from fromager.derivations.rust.registries import CargoConfiguration
    from fromager.derivations.rust.toolchain import InstalledRust
    from fromager.derivations.sbom.bill import SbomForm, sbom_of
    from fromager.derivations.sbom.contents import (
        SbomContents,
        SbomPart,
        SbomPatch,
        SbomSource,
    )
    from fromager.derivations.sbom.gathering import sbom_contents
    from fromager.derivations.serving.attesting import Attestor
    from fromager.derivations.serving.catalogue import Catalogue
    from fromager.derivations.serving.listening import Answered, Tls, check_tls, listen
    from fromager.derivations.serving.service import Service
    from fromager.derivations.serving.store_cache import StoreCache, shared_steps
    from fromager.derivations.serving.tokens import Tokens, read_tokens
    from fromager.derivations.sharing.cache import Cache
    from fromager.derivations.sharing.challenging import (
        Challenge,
        Item,
        Outcome,
        challenge,
    )
    from fromager.derivations.sharing.claims import Claim, Standing, agreement, examine
    from fromager.derivations.sharing.fetching import Fetcher
    from fromager.derivations.sharing.keyring import Keyring, read_public_key
    from fromager.derivations.sharing.keys import (
        PublicKey,
        SigningKey,
        Trust,
        TrustedKey,
    )
    from fromager.derivations.sharing.place import CachePlace
    from fromager.derivations.sharing.places import PlaceMeans, open_place
    from fromager.derivations.sharing.policy import Fault, Policy, read_policy
    from fromager.derivations.sharing.proving import Proof, Proven, prove
    from fromager.derivations.sharing.pulling import Offer, Puller, find_offer
    from fromager.derivations.sharing.pushing import Pushed, Pusher, sign_claim
    from fromager.derivations.sharing.signing import EnvelopeSigner, KeyVerifier
    from fromager.derivations.sharing.substituting import Belief, Substituter
    from fromager.derivations.sharing.tracing import Tracer
    from fromager.derivations.sources.members import Limits
    from fromager.derivations.sources.opening import Repositories, open_repositories
    from fromager.derivations.sources.patch import apply_patch
    from fromager.derivations.sources.patch_folder import PatchFolder

_HOME = {
    "plugins.linting": "PluginLint",
    "plugins.broken": "PluginBroken PluginFailed",
    "plugins.entry_points": "COMMAND_GROUP EntryPoint find_entry_points",
    "plugins.plugins": "Plugins",
    "realising.annotated": "as_built",
    "building.bubblewrap": "Bubblewrap find_bubblewrap",
    "building.facts": "Facts NoFacts",
    "building.platform": "HostBase Platform host_platform known_platform",
    "building.probe": "probe",
    "building.sandbox": "Sandbox StopSignal",
    "building.unsandboxed": "UnsandboxedRunner",
    "checking.check": "Checker overall",
    "checking.variations": "Variation VariationMeans look_around",
    "checking.verdict": "Reach Round State VariationOutcome Verdict judge",
    "collecting.difference": "CollectionChange collection_changes rebuilt_wheels",
    "collecting.fitting": "Misfit",
    "collecting.graph": "CollectionGraph read_graph",
    "comparing.causes": "Cause EXPLANATIONS Explanation",
    "comparing.compare": "compare",
    "comparing.contents": "Contents open_contents",
    "comparing.diffoscope": "diffoscope",
    "comparing.page": "html_page",
    "comparing.report": "Finding MemberDifference Report Sameness",
    "comparing.summary": "summary verdict",
    "comparing.tokens": "Clues known_words",
    "comparison": "Difference differences",
    "customisation.customisation": "Customisation",
    "customisation.document": "SettingsError",
    "customisation.effects": "Effects",
    "customisation.lint": "lint",
    "customisation.overrides": "DEFAULTS Overrides SettingsTables",
    "customisation.rules": "Assignment Circumstances plain_value",
    "derivation": "Derivation Kind ResolvedDerivation decode encode resolve_inputs",
    "errors": (
        "BuildCycle BuildError CacheRefused DependencyFailed DerivationError "
        "HashMismatch InputError InputGone InvalidDerivation NetworkError "
        "PrebuiltRefused RebuildRefused ResolutionError SandboxUnavailable "
        "SigningError SourceError Stopped UnsafeArchive Untrusted "
        "WheelRefused"
    ),
    "index.address": "IndexUrl redact",
    "index.client": "Freshness HttpIndexClient IndexClient open_client",
    "index.configuration": (
        "IndexConfiguration Surroundings find_http_settings find_indexes"
    ),
    "index.retries": "Retries",
    "index.routed": "RoutedClient",
    "interpreter": "Interpreter",
    "locking.difference": "LockChange lock_changes",
    "locking.errors": "InvalidLock LockMismatch",
    "locking.lock": "Lock LockedPlatform LockedRequest",
    "locking.places": "recorded",
    "locking.reading": "parse_lock",
    "locking.writing": "format_lock",
    "project_requirements": "read_project",
    "realising.again": "build_again",
    "realising.events": (
        "Event LogOutput Noted Reporter StepFailed StepFinished StepReused "
        "StepStarted StepSubstituted Waiting"
    ),
    "realising.goals": "WaitGraph",
    "realising.history": (
        "Failure Reason build_closure build_steps compare_inputs last_failure "
        "why_rebuilt"
    ),
    "realising.lock_making": "Planned joined",
    "realising.memo": "Memo plan_key",
    "realising.patching": (
        "SourceTree SourceTrees WorkTree all_patches before_patch "
        "make_work_tree try_patches unpatched written_patch"
    ),
    "realising.preferences": "Preferences kept_versions",
    "realising.realise": "Realiser",
    "realising.rebuilding": "Conditions RebuildMeans Rebuilt",
    "realising.recipes": "recipe_versions",
    "realising.request": "Collect RealiseRequest Realised RealisedWheel",
    "realising.restoring": "RestoreByBuilding",
    "realising.runtime": "runtime_closure",
    "realising.steps": "Steps",
    "realising.target": "BuildPolicy Share Target",
    "requirement": "parse_given parse_requirement",
    "requirements": "RequirementFile read_constraints read_requirements",
    "resolution.cutoff": "Cutoffs exact_pins",
    "resolution.request": "GivenRequirement",
    "rust.registries": "CargoConfiguration",
    "rust.toolchain": "InstalledRust",
    "sbom.bill": "SbomForm sbom_of",
    "sbom.contents": "SbomContents SbomPart SbomPatch SbomSource",
    "sbom.gathering": "sbom_contents",
    "serving.attesting": "Attestor",
    "serving.catalogue": "Catalogue",
    "serving.listening": "Answered Tls check_tls listen",
    "serving.service": "Service",
    "serving.store_cache": "StoreCache shared_steps",
    "serving.tokens": "Tokens read_tokens",
    "sharing.cache": "Cache",
    "sharing.challenging": "Challenge Item Outcome challenge",
    "sharing.claims": "Claim Standing agreement examine",
    "sharing.fetching": "Fetcher",
    "sharing.keyring": "Keyring read_public_key",
    "sharing.keys": "PublicKey SigningKey Trust TrustedKey",
    "sharing.place": "CachePlace",
    "sharing.places": "PlaceMeans open_place",
    "sharing.policy": "Fault Policy read_policy",
    "sharing.proving": "Proof Proven prove",
    "sharing.pulling": "Offer Puller find_offer",
    "sharing.pushing": "Pushed Pusher sign_claim",
    "sharing.signing": "EnvelopeSigner KeyVerifier",
    "sharing.substituting": "Belief Substituter",
    "sharing.tracing": "Tracer",
    "sources.members": "Limits",
    "sources.opening": "Repositories open_repositories",
    "sources.patch": "apply_patch",
    "sources.patch_folder": "PatchFolder",
}
_MODULE = {name: module for module, names in _HOME.items() for name in names.split()}

__all__ = [
    "COMMAND_GROUP",
    "DEFAULTS",
    "EXPLANATIONS",
    "Answered",
    "Assignment",
    "Attestor",
    "Belief",
    "Bubblewrap",
    "BuildCycle",
    "BuildError",
    "BuildPolicy",
    "Cache",
    "CachePlace",
    "CacheRefused",
    "CargoConfiguration",
    "Catalogue",
    "Cause",
    "Challenge",
    "Checker",
    "Circumstances",
    "Claim",
    "Clues",
    "Collect",
    "CollectionChange",
    "CollectionGraph",
    "Conditions",
    "Contents",
    "Customisation",
    "Cutoffs",
    "DependencyFailed",
    "Derivation",
    "DerivationError",
    "Difference",
    "Effects",
    "EntryPoint",
    "EnvelopeSigner",
    "Event",
    "Explanation",
    "Facts",
    "Failure",
    "Fault",
    "Fetcher",
    "Finding",
    "Freshness",
    "GivenRequirement",
    "HashMismatch",
    "HostBase",
    "HttpIndexClient",
    "IndexClient",
    "IndexConfiguration",
    "IndexUrl",
    "InputError",
    "InputGone",
    "InstalledRust",
    "Interpreter",
    "InvalidDerivation",
    "InvalidLock",
    "Item",
    "KeyVerifier",
    "Keyring",
    "Kind",
    "Limits",
    "Lock",
    "LockChange",
    "LockMismatch",
    "LockedPlatform",
    "LockedRequest",
    "LogOutput",
    "MemberDifference",
    "Memo",
    "Misfit",
    "NetworkError",
    "NoFacts",
    "Noted",
    "Offer",
    "Outcome",
    "Overrides",
    "PatchFolder",
    "PlaceMeans",
    "Planned",
    "Platform",
    "PluginBroken",
    "PluginFailed",
    "PluginLint",
    "Plugins",
    "Policy",
    "PrebuiltRefused",
    "Preferences",
    "Proof",
    "Proven",
    "PublicKey",
    "Puller",
    "Pushed",
    "Pusher",
    "Reach",
    "RealiseRequest",
    "Realised",
    "RealisedWheel",
    "Realiser",
    "Reason",
    "RebuildMeans",
    "RebuildRefused",
    "Rebuilt",
    "Report",
    "Reporter",
    "Repositories",
    "RequirementFile",
    "ResolutionError",
    "ResolvedDerivation",
    "RestoreByBuilding",
    "Retries",
    "Round",
    "RoutedClient",
    "Sameness",
    "Sandbox",
    "SandboxUnavailable",
    "SbomContents",
    "SbomForm",
    "SbomPart",
    "SbomPatch",
    "SbomSource",
    "Service",
    "SettingsError",
    "SettingsTables",
    "Share",
    "SigningError",
    "SigningKey",
    "SourceError",
    "SourceTree",
    "SourceTrees",
    "Standing",
    "State",
    "StepFailed",
    "StepFinished",
    "StepReused",
    "StepStarted",
    "StepSubstituted",
    "Steps",
    "StopSignal",
    "Stopped",
    "StoreCache",
    "Substituter",
    "Surroundings",
    "Target",
    "Tls",
    "Tokens",
    "Tracer",
    "Trust",
    "TrustedKey",
    "UnsafeArchive",
    "UnsandboxedRunner",
    "Untrusted",
    "Variation",
    "VariationMeans",
    "VariationOutcome",
    "Verdict",
    "WaitGraph",
    "Waiting",
    "WheelRefused",
    "WorkTree",
    "agreement",
    "all_patches",
    "apply_patch",
    "as_built",
    "before_patch",
    "build_again",
    "build_closure",
    "build_steps",
    "challenge",
    "check_tls",
    "collection_changes",
    "compare",
    "compare_inputs",
    "decode",
    "differences",
    "diffoscope",
    "encode",
    "exact_pins",
    "examine",
    "find_bubblewrap",
    "find_entry_points",
    "find_http_settings",
    "find_indexes",
    "find_offer",
    "format_lock",
    "host_platform",
    "html_page",
    "joined",
    "judge",
    "kept_versions",
    "known_platform",
    "known_words",
    "last_failure",
    "lint",
    "listen",
    "lock_changes",
    "look_around",
    "make_work_tree",
    "open_client",
    "open_contents",
    "open_place",
    "open_repositories",
    "overall",
    "parse_given",
    "parse_lock",
    "parse_requirement",
    "plain_value",
    "plan_key",
    "probe",
    "prove",
    "read_constraints",
    "read_graph",
    "read_policy",
    "read_project",
    "read_public_key",
    "read_requirements",
    "read_tokens",
    "rebuilt_wheels",
    "recipe_versions",
    "recorded",
    "redact",
    "resolve_inputs",
    "runtime_closure",
    "sbom_contents",
    "sbom_of",
    "shared_steps",
    "sign_claim",
    "summary",
    "try_patches",
    "unpatched",
    "verdict",
    "why_rebuilt",
    "written_patch",
]


def __getattr__(name: str) -> object:
    if name not in _MODULE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULE[name]}"), name)
    globals()[name] = value
    return value
