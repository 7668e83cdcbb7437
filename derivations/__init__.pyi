"""The types of the public names; `__init__.py` says where each is."""

from fromager.derivations.building.apart import (
    host_platform_apart as host_platform_apart,
)
from fromager.derivations.building.bubblewrap import Bubblewrap as Bubblewrap
from fromager.derivations.building.bubblewrap import find_bubblewrap as find_bubblewrap
from fromager.derivations.building.facts import Facts as Facts
from fromager.derivations.building.facts import NoFacts as NoFacts
from fromager.derivations.building.platform import HostBase as HostBase
from fromager.derivations.building.platform import Platform as Platform
from fromager.derivations.building.platform import host_platform as host_platform
from fromager.derivations.building.platform import known_platform as known_platform
from fromager.derivations.building.platform import (
    places_of_platform as places_of_platform,
)
from fromager.derivations.building.probe import probe as probe
from fromager.derivations.building.sandbox import Sandbox as Sandbox
from fromager.derivations.building.scan import scan as scan
from fromager.derivations.building.stopping import StopSignal as StopSignal
from fromager.derivations.building.unsandboxed import (
    UnsandboxedRunner as UnsandboxedRunner,
)
from fromager.derivations.checking.check import Checker as Checker
from fromager.derivations.checking.check import overall as overall
from fromager.derivations.checking.variations import Variation as Variation
from fromager.derivations.checking.variations import VariationMeans as VariationMeans
from fromager.derivations.checking.variations import look_around as look_around
from fromager.derivations.checking.verdict import Reach as Reach
from fromager.derivations.checking.verdict import Round as Round
from fromager.derivations.checking.verdict import State as State
from fromager.derivations.checking.verdict import VariationOutcome as VariationOutcome
from fromager.derivations.checking.verdict import Verdict as Verdict
from fromager.derivations.checking.verdict import judge as judge
from fromager.derivations.collecting.difference import (
    CollectionChange as CollectionChange,
)
from fromager.derivations.collecting.difference import (
    collection_changes as collection_changes,
)
from fromager.derivations.collecting.difference import rebuilt_wheels as rebuilt_wheels
from fromager.derivations.collecting.fitting import Misfit as Misfit
from fromager.derivations.collecting.graph import CollectionGraph as CollectionGraph
from fromager.derivations.collecting.graph import read_graph as read_graph
from fromager.derivations.comparing.causes import EXPLANATIONS as EXPLANATIONS
from fromager.derivations.comparing.causes import Cause as Cause
from fromager.derivations.comparing.causes import Explanation as Explanation
from fromager.derivations.comparing.compare import compare as compare
from fromager.derivations.comparing.contents import Contents as Contents
from fromager.derivations.comparing.contents import open_contents as open_contents
from fromager.derivations.comparing.diffoscope import diffoscope as diffoscope
from fromager.derivations.comparing.logs import LogDifference as LogDifference
from fromager.derivations.comparing.logs import compare_logs as compare_logs
from fromager.derivations.comparing.page import html_page as html_page
from fromager.derivations.comparing.report import Finding as Finding
from fromager.derivations.comparing.report import MemberDifference as MemberDifference
from fromager.derivations.comparing.report import Report as Report
from fromager.derivations.comparing.report import Sameness as Sameness
from fromager.derivations.comparing.summary import summary as summary
from fromager.derivations.comparing.summary import verdict as verdict
from fromager.derivations.comparing.tokens import Clues as Clues
from fromager.derivations.comparing.tokens import known_words as known_words
from fromager.derivations.comparison import Difference as Difference
from fromager.derivations.comparison import differences as differences
from fromager.derivations.customisation.customisation import (
    Customisation as Customisation,
)
from fromager.derivations.customisation.document import SettingsError as SettingsError
from fromager.derivations.customisation.effects import Effects as Effects
from fromager.derivations.customisation.lint import lint as lint
from fromager.derivations.customisation.overrides import DEFAULTS as DEFAULTS
from fromager.derivations.customisation.overrides import Overrides as Overrides
from fromager.derivations.customisation.overrides import (
    SettingsTables as SettingsTables,
)
from fromager.derivations.customisation.rules import Assignment as Assignment
from fromager.derivations.customisation.rules import Circumstances as Circumstances
from fromager.derivations.customisation.rules import plain_value as plain_value
from fromager.derivations.customisation.toml_document import load_toml as load_toml
from fromager.derivations.derivation import Derivation as Derivation
from fromager.derivations.derivation import Kind as Kind
from fromager.derivations.derivation import ResolvedDerivation as ResolvedDerivation
from fromager.derivations.derivation import decode as decode
from fromager.derivations.derivation import encode as encode
from fromager.derivations.derivation import resolve_inputs as resolve_inputs
from fromager.derivations.errors import BuildCycle as BuildCycle
from fromager.derivations.errors import BuildError as BuildError
from fromager.derivations.errors import CacheRefused as CacheRefused
from fromager.derivations.errors import DependencyFailed as DependencyFailed
from fromager.derivations.errors import DerivationError as DerivationError
from fromager.derivations.errors import HashMismatch as HashMismatch
from fromager.derivations.errors import InputError as InputError
from fromager.derivations.errors import InputGone as InputGone
from fromager.derivations.errors import InvalidDerivation as InvalidDerivation
from fromager.derivations.errors import NetworkError as NetworkError
from fromager.derivations.errors import PrebuiltRefused as PrebuiltRefused
from fromager.derivations.errors import RebuildRefused as RebuildRefused
from fromager.derivations.errors import ResolutionError as ResolutionError
from fromager.derivations.errors import SandboxUnavailable as SandboxUnavailable
from fromager.derivations.errors import SigningError as SigningError
from fromager.derivations.errors import SourceError as SourceError
from fromager.derivations.errors import Stopped as Stopped
from fromager.derivations.errors import UnsafeArchive as UnsafeArchive
from fromager.derivations.errors import Untrusted as Untrusted
from fromager.derivations.errors import WheelRefused as WheelRefused
from fromager.derivations.index.address import IndexUrl as IndexUrl
from fromager.derivations.index.address import redact as redact
from fromager.derivations.index.client import Freshness as Freshness
from fromager.derivations.index.client import HttpIndexClient as HttpIndexClient
from fromager.derivations.index.client import IndexClient as IndexClient
from fromager.derivations.index.client import open_client as open_client
from fromager.derivations.index.configuration import (
    IndexConfiguration as IndexConfiguration,
)
from fromager.derivations.index.configuration import Surroundings as Surroundings
from fromager.derivations.index.configuration import (
    find_http_settings as find_http_settings,
)
from fromager.derivations.index.configuration import find_indexes as find_indexes
from fromager.derivations.index.documents import Documents as Documents
from fromager.derivations.index.retries import Retries as Retries
from fromager.derivations.index.routed import RoutedClient as RoutedClient
from fromager.derivations.interpreter import Interpreter as Interpreter
from fromager.derivations.locking.difference import LockChange as LockChange
from fromager.derivations.locking.difference import lock_changes as lock_changes
from fromager.derivations.locking.errors import InvalidLock as InvalidLock
from fromager.derivations.locking.errors import LockMismatch as LockMismatch
from fromager.derivations.locking.lock import Lock as Lock
from fromager.derivations.locking.lock import LockedPlatform as LockedPlatform
from fromager.derivations.locking.lock import LockedRequest as LockedRequest
from fromager.derivations.locking.places import recorded as recorded
from fromager.derivations.locking.reading import parse_lock as parse_lock
from fromager.derivations.locking.writing import format_lock as format_lock
from fromager.derivations.plugins.broken import PluginBroken as PluginBroken
from fromager.derivations.plugins.broken import PluginFailed as PluginFailed
from fromager.derivations.plugins.entry_points import COMMAND_GROUP as COMMAND_GROUP
from fromager.derivations.plugins.entry_points import EntryPoint as EntryPoint
from fromager.derivations.plugins.entry_points import (
    find_entry_points as find_entry_points,
)
from fromager.derivations.plugins.linting import PluginLint as PluginLint
from fromager.derivations.plugins.plugins import Plugins as Plugins
from fromager.derivations.project_requirements import read_project as read_project
from fromager.derivations.realising.again import build_again as build_again
from fromager.derivations.realising.annotated import as_built as as_built
from fromager.derivations.realising.build_log import log_of as log_of
from fromager.derivations.realising.events import Event as Event
from fromager.derivations.realising.events import LogOutput as LogOutput
from fromager.derivations.realising.events import Noted as Noted
from fromager.derivations.realising.events import Reporter as Reporter
from fromager.derivations.realising.events import StepFailed as StepFailed
from fromager.derivations.realising.events import StepFinished as StepFinished
from fromager.derivations.realising.events import StepReused as StepReused
from fromager.derivations.realising.events import StepStarted as StepStarted
from fromager.derivations.realising.events import StepSubstituted as StepSubstituted
from fromager.derivations.realising.events import Waiting as Waiting
from fromager.derivations.realising.goals import WaitGraph as WaitGraph
from fromager.derivations.realising.history import Failure as Failure
from fromager.derivations.realising.history import Reason as Reason
from fromager.derivations.realising.history import build_closure as build_closure
from fromager.derivations.realising.history import build_steps as build_steps
from fromager.derivations.realising.history import compare_inputs as compare_inputs
from fromager.derivations.realising.history import last_failure as last_failure
from fromager.derivations.realising.history import why_rebuilt as why_rebuilt
from fromager.derivations.realising.host_facts import HostDifference as HostDifference
from fromager.derivations.realising.host_facts import HostFacts as HostFacts
from fromager.derivations.realising.host_facts import facts_of_host as facts_of_host
from fromager.derivations.realising.host_facts import (
    host_differences as host_differences,
)
from fromager.derivations.realising.host_facts import host_kernels as host_kernels
from fromager.derivations.realising.lock_making import Planned as Planned
from fromager.derivations.realising.lock_making import joined as joined
from fromager.derivations.realising.memo import Grounds as Grounds
from fromager.derivations.realising.memo import Memo as Memo
from fromager.derivations.realising.memo import plan_key as plan_key
from fromager.derivations.realising.patching import SourceTree as SourceTree
from fromager.derivations.realising.patching import SourceTrees as SourceTrees
from fromager.derivations.realising.patching import WorkTree as WorkTree
from fromager.derivations.realising.patching import all_patches as all_patches
from fromager.derivations.realising.patching import before_patch as before_patch
from fromager.derivations.realising.patching import make_work_tree as make_work_tree
from fromager.derivations.realising.patching import try_patches as try_patches
from fromager.derivations.realising.patching import unpatched as unpatched
from fromager.derivations.realising.patching import written_patch as written_patch
from fromager.derivations.realising.preferences import Preferences as Preferences
from fromager.derivations.realising.preferences import kept_versions as kept_versions
from fromager.derivations.realising.realise import Realiser as Realiser
from fromager.derivations.realising.rebuilding import Conditions as Conditions
from fromager.derivations.realising.rebuilding import RebuildMeans as RebuildMeans
from fromager.derivations.realising.rebuilding import Rebuilt as Rebuilt
from fromager.derivations.realising.recipes import recipe_versions as recipe_versions
from fromager.derivations.realising.request import Collect as Collect
from fromager.derivations.realising.request import Realised as Realised
from fromager.derivations.realising.request import RealisedWheel as RealisedWheel
from fromager.derivations.realising.request import RealiseRequest as RealiseRequest
from fromager.derivations.realising.restoring import (
    RestoreByBuilding as RestoreByBuilding,
)
from fromager.derivations.realising.runtime import runtime_closure as runtime_closure
from fromager.derivations.realising.steps import Steps as Steps
from fromager.derivations.realising.target import BuildPolicy as BuildPolicy
from fromager.derivations.realising.target import Share as Share
from fromager.derivations.realising.target import Target as Target
from fromager.derivations.requirement import parse_given as parse_given
from fromager.derivations.requirement import parse_requirement as parse_requirement
from fromager.derivations.requirement_places import FetchDocument as FetchDocument
from fromager.derivations.requirements import RequirementFile as RequirementFile
from fromager.derivations.requirements import read_constraints as read_constraints
from fromager.derivations.requirements import read_requirements as read_requirements
from fromager.derivations.resolution.cutoff import Cutoffs as Cutoffs
from fromager.derivations.resolution.cutoff import exact_pins as exact_pins
from fromager.derivations.resolution.request import GivenRequirement as GivenRequirement
from fromager.derivations.rust.registries import (
    CargoConfiguration as CargoConfiguration,
)
from fromager.derivations.rust.toolchain import InstalledRust as InstalledRust
from fromager.derivations.sbom.bill import SbomForm as SbomForm
from fromager.derivations.sbom.bill import sbom_of as sbom_of
from fromager.derivations.sbom.contents import SbomContents as SbomContents
from fromager.derivations.sbom.contents import SbomPart as SbomPart
from fromager.derivations.sbom.contents import SbomPatch as SbomPatch
from fromager.derivations.sbom.contents import SbomSource as SbomSource
from fromager.derivations.sbom.gathering import sbom_contents as sbom_contents
from fromager.derivations.serving.attesting import Attestor as Attestor
from fromager.derivations.serving.catalogue import Catalogue as Catalogue
from fromager.derivations.serving.listening import Answered as Answered
from fromager.derivations.serving.listening import Tls as Tls
from fromager.derivations.serving.listening import check_tls as check_tls
from fromager.derivations.serving.listening import listen as listen
from fromager.derivations.serving.provenance import Provenances as Provenances
from fromager.derivations.serving.provenance import read_provenances as read_provenances
from fromager.derivations.serving.service import Service as Service
from fromager.derivations.serving.store_cache import StoreCache as StoreCache
from fromager.derivations.serving.store_cache import shared_steps as shared_steps
from fromager.derivations.serving.tokens import Tokens as Tokens
from fromager.derivations.serving.tokens import read_tokens as read_tokens
from fromager.derivations.sharing.cache import Cache as Cache
from fromager.derivations.sharing.challenging import Challenge as Challenge
from fromager.derivations.sharing.challenging import Item as Item
from fromager.derivations.sharing.challenging import Outcome as Outcome
from fromager.derivations.sharing.challenging import challenge as challenge
from fromager.derivations.sharing.claims import Claim as Claim
from fromager.derivations.sharing.claims import Standing as Standing
from fromager.derivations.sharing.claims import agreement as agreement
from fromager.derivations.sharing.claims import examine as examine
from fromager.derivations.sharing.claims import result_in as result_in
from fromager.derivations.sharing.fetching import Fetcher as Fetcher
from fromager.derivations.sharing.findings import (
    found_by_challenge as found_by_challenge,
)
from fromager.derivations.sharing.findings import found_by_check as found_by_check
from fromager.derivations.sharing.findings import found_by_proof as found_by_proof
from fromager.derivations.sharing.keyring import Keyring as Keyring
from fromager.derivations.sharing.keyring import read_public_key as read_public_key
from fromager.derivations.sharing.keys import PublicKey as PublicKey
from fromager.derivations.sharing.keys import SigningKey as SigningKey
from fromager.derivations.sharing.keys import Trust as Trust
from fromager.derivations.sharing.keys import TrustedKey as TrustedKey
from fromager.derivations.sharing.offering import Offer as Offer
from fromager.derivations.sharing.offering import find_claimed as find_claimed
from fromager.derivations.sharing.offering import find_offer as find_offer
from fromager.derivations.sharing.offering import named_path as named_path
from fromager.derivations.sharing.offering import offered_names as offered_names
from fromager.derivations.sharing.place import CachePlace as CachePlace
from fromager.derivations.sharing.places import PlaceMeans as PlaceMeans
from fromager.derivations.sharing.places import open_place as open_place
from fromager.derivations.sharing.policy import Fault as Fault
from fromager.derivations.sharing.policy import Policy as Policy
from fromager.derivations.sharing.policy import read_policy as read_policy
from fromager.derivations.sharing.proving import Proof as Proof
from fromager.derivations.sharing.proving import Proven as Proven
from fromager.derivations.sharing.proving import prove as prove
from fromager.derivations.sharing.pulling import Puller as Puller
from fromager.derivations.sharing.pushing import Pushed as Pushed
from fromager.derivations.sharing.pushing import Pusher as Pusher
from fromager.derivations.sharing.pushing import sign_claim as sign_claim
from fromager.derivations.sharing.results import sign_result as sign_result
from fromager.derivations.sharing.signing import EnvelopeSigner as EnvelopeSigner
from fromager.derivations.sharing.signing import KeyVerifier as KeyVerifier
from fromager.derivations.sharing.substituting import Belief as Belief
from fromager.derivations.sharing.substituting import Substituter as Substituter
from fromager.derivations.sharing.tracing import Tracer as Tracer
from fromager.derivations.sharing.tracing import held_against_keys as held_against_keys
from fromager.derivations.sources.members import Limits as Limits
from fromager.derivations.sources.opening import Repositories as Repositories
from fromager.derivations.sources.opening import open_repositories as open_repositories
from fromager.derivations.sources.patch import apply_patch as apply_patch
from fromager.derivations.sources.patch_folder import PatchFolder as PatchFolder
