"""Which metrics and labels an expression in PromQL needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from promql_parser import (
    AggModifierType,
    AggregateExpr,
    BinaryExpr,
    Expr,
    Matcher,
    VectorSelector,
    parse,
    walk,
)

SYNTAX = (".+", "")  # any value, and none


@dataclass
class Needs:
    """What an expression needs of one metric."""

    labels: set[str] = field(default_factory=set)
    values: dict[str, set[str]] = field(default_factory=dict)  # that matchers ask for


def find_needs(expr: str) -> dict[str, Needs]:
    """By metric: labels in matchers, ``by`` and ``on``, and the values that matchers name."""
    found: dict[str, Needs] = {}
    for node in _nodes(parse(expr)):
        if isinstance(node, VectorSelector):
            for matcher in node.matchers.matchers:
                _note_matcher(found.setdefault(str(node.name), Needs()), matcher)
        for metric in _metrics(node):
            found.setdefault(metric, Needs()).labels.update(_grouping(node))
    return found


def _note_matcher(needs: Needs, matcher: Matcher) -> None:
    values = {value for value in matcher.value.split("|") if value not in SYNTAX}
    needs.labels.add(matcher.name)
    needs.values.setdefault(matcher.name, set()).update(values)


def _grouping(node: Expr) -> list[str]:
    """The labels that a node keeps, or matches its two sides by."""
    if isinstance(node, AggregateExpr) and node.modifier is not None:
        assert node.modifier.type == AggModifierType.By, "written with by, which names labels"
        return node.modifier.labels
    if isinstance(node, BinaryExpr) and node.modifier and node.modifier.matching:
        return node.modifier.matching.labels
    return []


def _metrics(node: Expr) -> Iterator[str]:
    return (str(one.name) for one in _nodes(node) if isinstance(one, VectorSelector))


def _nodes(root: Expr) -> list[Expr]:
    nodes: list[Expr] = []
    walk(root, nodes.append)
    return nodes
