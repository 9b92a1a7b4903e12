"""YAML restricted to the JSON data model: plain values, unique string keys, no aliases (which can expand hugely)."""

from typing import Any

import yaml
from yaml.constructor import ConstructorError
from yaml.nodes import MappingNode

MAX_DEPTH = 30
_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _PlainLoader(_Base):  # type: ignore[misc]
    """The safe loader, which also refuses duplicate keys and keys that are not strings."""

    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Check the keys, then construct the mapping like the safe loader."""
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise _refusal("keys must be strings", key_node.start_mark)
            if key in seen:
                raise _refusal("duplicate key", key_node.start_mark)
            seen.add(key)
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        return found


def load(text: str) -> Any:
    """The one document in `text`; raises yaml.YAMLError and ValueError."""
    depth = 0
    for event in yaml.parse(text, Loader=_Base):  # before construction, which is recursive
        if isinstance(event, yaml.AliasEvent):
            raise _refusal("aliases are not allowed", event.start_mark)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise _refusal("nested too deeply", event.start_mark)
    return yaml.load(text, Loader=_PlainLoader)  # noqa: S506 (a safe loader)


def _refusal(problem: str, mark: Any) -> ConstructorError:
    return ConstructorError(None, None, problem, mark)
