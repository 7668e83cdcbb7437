"""What to build, from what and how; and doing it.

The public names are those below; each is loaded when it is first used, so that a
command pays for what it needs only.
"""

from __future__ import annotations

from importlib import import_module

_HOME = {
    "plugins.linting": "PluginLint",
    "plugins.broken": "PluginBroken PluginFailed",
    "plugins.entry_points": "COMMAND_GROUP EntryPoint find_entry_points",
    "plugins.plugins": "Plugins",
    "realising.annotated": "as_built",
    "building.apart": "host_platform_apart",
    "building.bubblewrap": "Bubblewrap find_bubblewrap",
    "building.facts": "Facts NoFacts",
    "building.platform": (
        "HostBase Platform host_platform known_platform places_of_platform"
    ),
    "building.probe": "probe",
    "building.sandbox": "Sandbox",
    "building.scan": "scan",
    "building.stopping": "StopSignal",
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
    "comparing.logs": "LogDifference compare_logs",
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
    "customisation.toml_document": "load_toml",
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
    "index.documents": "Documents",
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
    "realising.build_log": "log_of",
    "realising.events": (
        "Event LogOutput Noted Reporter StepFailed StepFinished StepReused "
        "StepStarted StepSubstituted Waiting"
    ),
    "realising.goals": "WaitGraph",
    "realising.history": (
        "Failure Reason build_closure build_steps compare_inputs last_failure "
        "why_rebuilt"
    ),
    "realising.host_facts": (
        "HostDifference HostFacts facts_of_host host_differences host_kernels"
    ),
    "realising.lock_making": "Planned joined",
    "realising.memo": "Grounds Memo plan_key",
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
    "requirement_places": "FetchDocument",
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
    "serving.provenance": "Provenances read_provenances",
    "serving.service": "Service",
    "serving.store_cache": "StoreCache shared_steps",
    "serving.tokens": "Tokens read_tokens",
    "sharing.cache": "Cache",
    "sharing.challenging": "Challenge Item Outcome challenge",
    "sharing.claims": "Claim Standing agreement examine result_in",
    "sharing.fetching": "Fetcher",
    "sharing.findings": "found_by_challenge found_by_check found_by_proof",
    "sharing.keyring": "Keyring read_public_key",
    "sharing.keys": "PublicKey SigningKey Trust TrustedKey",
    "sharing.place": "CachePlace",
    "sharing.places": "PlaceMeans open_place",
    "sharing.policy": "Fault Policy read_policy",
    "sharing.proving": "Proof Proven prove",
    "sharing.offering": "Offer find_claimed find_offer named_path offered_names",
    "sharing.pulling": "Puller",
    "sharing.pushing": "Pushed Pusher sign_claim",
    "sharing.results": "sign_result",
    "sharing.signing": "EnvelopeSigner KeyVerifier",
    "sharing.substituting": "Belief Substituter",
    "sharing.tracing": "Tracer held_against_keys",
    "sources.members": "Limits",
    "sources.opening": "Repositories open_repositories",
    "sources.patch": "apply_patch",
    "sources.patch_folder": "PatchFolder",
}

_MODULE = {name: module for module, names in _HOME.items() for name in names.split()}

__all__ = list(_MODULE)


def __getattr__(name: str) -> object:
    if name not in _MODULE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULE[name]}"), name)
    globals()[name] = value
    return value
