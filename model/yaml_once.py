"""YAML in which each key counts: a key that stands twice in a mapping is an error.

The library lets the last one count silently: a hospital's second `concepts:` would take the first away.
"""

from __future__ import annotations

from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # safe, and in C where the library has it


def parse_yaml(text: str) -> Any:
    """Reads a YAML document that people have written.

    Raises:
        yaml.YAMLError: it is not valid, or a mapping has a key twice; then the text names it and both lines.
    """
    node = yaml.compose(text, _LOADER)
    if node is not None:
        _check(node)
    return yaml.load(text, _LOADER)


def _check(root: Node) -> None:
    nodes: list[Node] = [root]
    seen: set[int] = set()
    while nodes:
        node = nodes.pop()
        if id(node) in seen:  # an alias may name a mapping in which it stands
            continue
        seen.add(id(node))
        if isinstance(node, SequenceNode):
            nodes += node.value
        elif isinstance(node, MappingNode):
            _check_keys(node)
            nodes += [value for _key, value in node.value]


def _check_keys(mapping: MappingNode) -> None:
    lines: dict[tuple[str, str], int] = {}
    for key, _value in mapping.value:
        if not isinstance(key, ScalarNode):
            continue
        name, mark = (key.tag, key.value), key.start_mark
        if name in lines:
            raise yaml.MarkedYAMLError(
                problem=f"the key {key.value[:100]!r} is already in line {lines[name]}", problem_mark=mark
            )
        lines[name] = mark.line + 1
