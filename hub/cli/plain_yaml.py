"""YAML as JSON would have it: plain values, text keys that stand once, no aliases that unfold into gigabytes."""

from typing import Any

import yaml
from yaml.constructor import ConstructorError
from yaml.nodes import MappingNode

MAX_DEPTH = 30
_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _PlainLoader(_Base):  # type: ignore[misc]
    """The safe loader, refusing keys that are no text or stand twice."""

    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Any, Any]:
        """As the safe loader does, after looking at the keys."""
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise _refusal("a key must be text", key_node.start_mark)
            if key in seen:
                raise _refusal("a key stands here a second time", key_node.start_mark)
            seen.add(key)
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        return found


def load(text: str) -> Any:
    """The one document in `text`; raises yaml.YAMLError and ValueError."""
    depth = 0
    for event in yaml.parse(text, Loader=_Base):  # first without building anything: building is recursive
        if isinstance(event, yaml.AliasEvent):
            raise _refusal("aliases are not allowed", event.start_mark)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise _refusal("nested too deeply", event.start_mark)
    return yaml.load(text, Loader=_PlainLoader)  # noqa: S506 (a safe loader)


def _refusal(problem: str, mark: Any) -> ConstructorError:
    return ConstructorError(None, None, problem, mark)
