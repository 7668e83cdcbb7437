"""YAML files as values with lines, read from the parser's events.

Aliases are followed, merge keys (`<<`) are obeyed. A key that is there twice, an
alias that holds itself and anything that grows beyond reason are errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from fromager.derivations.customisation.document import Node, Origin, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from yaml.events import Event, ScalarEvent

MOST_VALUES: Final = 100_000
"""Values that a file may hold once its aliases are followed."""
DEEPEST: Final = 50

_PREFIX: Final = "tag:yaml.org,2002:"


def parse_yaml(text: str, file: str) -> Node:
    """The value that a YAML file holds; an empty file is an empty table.

    Raises:
        SettingsError: no YAML, several documents, a key that is there twice, a tag
            other than those of JSON's types, or too many or too deeply nested values.
    """
    import yaml

    # The parser in C where PyYAML has it: a file takes a tenth of the time.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        events = yaml.parse(text, Loader=loader)
        return _Reader(events, file).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else 1
        reason = " ".join(part for part in (error.context, error.problem) if part)
        raise SettingsError(Origin(file, line), f"no YAML: {reason}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0] if str(error) else "nested too deeply"
        raise SettingsError(Origin(file, 1), f"no YAML: {reason}") from error


class _Reader:
    def __init__(self, events: Iterator[Event], file: str) -> None:
        from yaml.constructor import SafeConstructor
        from yaml.resolver import Resolver

        self._events, self._file = events, file
        self._constructor = SafeConstructor()
        self._resolve: Callable[..., str] = Resolver().resolve
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._open: set[str] = set()
        self._count = 0

    def document(self) -> Node:
        from yaml import events as kinds

        found: Node | None = None
        for event in self._events:
            if isinstance(event, (kinds.StreamStartEvent, kinds.DocumentStartEvent)):
                if found is not None:
                    raise self._error(event, "it holds more than one document")
            elif not isinstance(event, (kinds.StreamEndEvent, kinds.DocumentEndEvent)):
                found = self._node(event, 0)
        if found is None or found.value is None:
            return Node({}, Origin(self._file, 1))
        return found

    def _node(self, event: Event, depth: int) -> Node:
        from yaml import events as kinds

        if depth > DEEPEST:
            raise self._error(event, f"nested more than {DEEPEST} deep")
        if isinstance(event, kinds.AliasEvent):
            return self._alias(event)
        before = self._count
        self._count += 1
        anchor = getattr(event, "anchor", None)
        if anchor is not None:
            self._open.add(anchor)
        if isinstance(event, kinds.MappingStartEvent):
            node = self._mapping(event, depth)
        elif isinstance(event, kinds.SequenceStartEvent):
            items = []
            while not isinstance(item := next(self._events), kinds.SequenceEndEvent):
                items.append(self._node(item, depth + 1))
            node = Node(tuple(items), self._origin(event))
        elif isinstance(event, kinds.ScalarEvent):
            node = self._scalar(event)
        else:
            raise self._error(event, "it ends in the middle")
        if anchor is not None:
            self._open.discard(anchor)
            self._anchors[anchor] = node, self._count - before
        self._check_size(event)
        return node

    def _alias(self, event: Event) -> Node:
        name = str(getattr(event, "anchor", ""))
        if name in self._open:
            raise self._error(event, f"the alias {name!r} holds itself")
        if name not in self._anchors:
            raise self._error(event, f"there is no anchor {name!r}")
        node, size = self._anchors[name]
        self._count += size
        self._check_size(event)
        return node

    def _check_size(self, event: Event) -> None:
        if self._count > MOST_VALUES:
            reason = f"with its aliases it holds more than {MOST_VALUES} values"
            raise self._error(event, reason)

    def _mapping(self, event: Event, depth: int) -> Node:
        from yaml import events as kinds

        members: dict[str, Node] = {}
        merged: dict[str, Node] = {}
        while not isinstance(key := next(self._events), kinds.MappingEndEvent):
            if not isinstance(key, kinds.ScalarEvent):
                raise self._error(key, "a key must be a text")
            name = key.value
            value = self._node(next(self._events), depth + 1)
            if name == "<<" and key.implicit[0]:
                merged = {**self._merged(value), **merged}
                continue
            if name in members:
                first = members[name].origin.line
                raise self._error(
                    key, f"{name!r} is there twice, first in line {first}"
                )
            members[name] = Node(value.value, self._origin(key))
        return Node({**merged, **members}, self._origin(event))

    def _merged(self, node: Node) -> Mapping[str, Node]:
        if isinstance(node.value, Mapping):
            return node.value
        if isinstance(node.value, tuple):
            found: dict[str, Node] = {}
            for each in reversed(node.value):
                found.update(self._merged(each))
            return found
        raise SettingsError(node.origin, "'<<' wants a table")

    def _scalar(self, event: ScalarEvent) -> Node:
        from yaml import ScalarNode

        tag = event.tag
        if tag is None or tag == "!":
            tag = self._resolve(ScalarNode, event.value, event.implicit)
        scalar = ScalarNode(tag, event.value)
        value: str | int | float | bool | None
        match str(tag).removeprefix(_PREFIX):
            case "null":
                value = None
            case "bool":
                value = bool(self._constructor.construct_yaml_bool(scalar))
            case "int":
                value = int(self._constructor.construct_yaml_int(scalar))
            case "float":
                value = float(self._constructor.construct_yaml_float(scalar))
            case "str" | "timestamp" | "value" | "merge":
                value = event.value
            case _:
                raise self._error(event, f"the tag {event.tag} is not understood")
        return Node(value, self._origin(event))

    def _origin(self, event: Event) -> Origin:
        mark = event.start_mark
        return Origin(self._file, mark.line + 1 if mark is not None else 1)

    def _error(self, event: Event, reason: str) -> SettingsError:
        return SettingsError(self._origin(event), reason)
