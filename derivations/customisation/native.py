"""Rules from TOML: `[package.<name>]` of fromager.toml, and a package's own file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fromager.derivations.customisation import readers
from fromager.derivations.customisation.document import SettingsError, unknown
from fromager.derivations.customisation.rules import (
    EVERY_PACKAGE,
    Assignment,
    Condition,
    Rule,
)
from fromager.derivations.customisation.schema import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from packaging.markers import Marker
    from packaging.specifiers import SpecifierSet

    from fromager.derivations.customisation.document import Node

CONDITIONS: Final = ("version", "variant", "platform", "marker")
WHEN: Final = "when"
VARIANTS: Final = "variants"
_BEFORE_VERSIONS: Final = ("index", "min-age", "prebuilt-index", "tags")


def package_rules(package: str, node: Node, layer: int) -> tuple[Rule, ...]:
    """The rules of a package's table: its settings, those `when`, its `variants`.

    Raises:
        SettingsError: an unknown key, a value of a wrong form.
    """
    found = readers.table(node)
    whole = {n: v for n, v in found.items() if n not in (WHEN, VARIANTS)}
    rules = [(Condition(), tuple(_assignments(whole)))]
    if VARIANTS in found:
        rules += _variants(found[VARIANTS])
    if WHEN in found:
        for each in readers.items(found[WHEN]):
            members = readers.table(each)
            rest = {n: v for n, v in members.items() if n not in CONDITIONS}
            # What is misspelt may be the condition.
            assignments = tuple(_assignments(rest, CONDITIONS))
            if not members.keys() & set(CONDITIONS):
                raise SettingsError(
                    each.origin,
                    f"{WHEN} has no condition",
                    hint=f"Give one of {', '.join(CONDITIONS)}",
                )
            rules.append((_condition(members), assignments))
    return tuple(
        checked(Rule(package, condition, assignments, layer, position))
        for position, (condition, assignments) in enumerate(rules)
    )


def variant_rules(node: Node, layer: int) -> tuple[Rule, ...]:
    """The rules of the table `[variants.<name>]`, which hold for every package."""
    return tuple(
        Rule(EVERY_PACKAGE, condition, assignments, layer, position)
        for position, (condition, assignments) in enumerate(_variants(node))
    )


def checked(rule: Rule) -> Rule:
    """The rule, if what it sets can be known when it is needed."""
    if rule.condition.version is not None:
        for assignment in rule.assignments:
            if assignment.setting in _BEFORE_VERSIONS:
                raise SettingsError(
                    assignment.origin,
                    f"{assignment.setting} cannot be limited to versions: it says "
                    "which versions there are",
                )
    return rule


def _variants(node: Node) -> list[tuple[Condition, tuple[Assignment, ...]]]:
    return [
        (Condition(variants=(name,)), tuple(_assignments(readers.table(members))))
        for name, members in readers.table(node).items()
    ]


def _assignments(
    found: Mapping[str, Node], beside: Sequence[str] = (WHEN, VARIANTS)
) -> Iterator[Assignment]:
    """The settings of a table; `beside` are its other keys."""
    for name, node in found.items():
        setting = SETTINGS.get(name)
        if setting is None:
            raise unknown("setting", name, (*SETTINGS, *beside), node.origin)
        try:
            parts = setting.read(node)
        except SettingsError as error:
            raise SettingsError(
                error.origin, f"{name}: {error.reason}", hint=error.hint
            ) from error
        for part in parts:
            yield Assignment(name, part.key, part.value, part.origin)


def _condition(found: Mapping[str, Node]) -> Condition:
    return Condition(
        _specifiers(found["version"]) if "version" in found else None,
        readers.text_or_texts(found["variant"]) if "variant" in found else (),
        readers.text_or_texts(found["platform"]) if "platform" in found else (),
        _marker(found["marker"]) if "marker" in found else None,
    )


def _specifiers(node: Node) -> SpecifierSet:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    given = readers.text(node)
    try:
        return SpecifierSet(given)
    except InvalidSpecifier as error:
        raise SettingsError(
            node.origin,
            f"{given!r} is no version specifier",
            hint="Write it as in a requirement: '>=1.2,<2'",
        ) from error


def _marker(node: Node) -> Marker:
    from packaging.markers import InvalidMarker, Marker

    given = readers.text(node)
    try:
        return Marker(given)
    except InvalidMarker as error:
        reason = str(error).splitlines()[0]
        raise SettingsError(node.origin, f"{given!r} is no marker: {reason}") from error
