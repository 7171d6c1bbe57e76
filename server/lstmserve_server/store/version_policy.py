"""Which stored versions of a model are served, by rule: the latest few, all, or named ones."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from lstmserve_bundle.store import VERSION_RULE, is_version

RULE = re.compile(r"latest(?::(?P<count>[1-9][0-9]{0,2}))?|all|(?P<pinned>[1-9][0-9,]*)")
EXPECTED = (
    "must be latest, latest:N, all or version numbers with commas, for all models or, after "
    "that and spaces, for single ones: 'latest:2 support-en=3,4'"
)


@dataclass(frozen=True, slots=True)
class VersionRule:
    """The rule of one model."""

    count: int | None = 1  # of the latest versions; None: all
    pinned: frozenset[int] = frozenset()  # these alone, when there are any

    def choose(self, versions: Collection[int]) -> frozenset[int]:
        """Those of the versions, all of which can be loaded, that are to be served."""
        if self.pinned:
            return self.pinned & frozenset(versions)
        return frozenset(sorted(versions, reverse=True)[: self.count])


@dataclass(frozen=True, slots=True)
class VersionPolicy:
    """A rule for every model."""

    general: VersionRule = VersionRule()
    special: Mapping[str, VersionRule] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def named(self) -> frozenset[str]:
        """The models that have a rule of their own."""
        return frozenset(self.special)

    def of(self, model: str) -> VersionRule:
        return self.special.get(model, self.general)


def parse_policy(text: str) -> VersionPolicy:
    """'latest', 'latest:2 support-en=3,4' and the like; raises ValueError."""
    general, special = VersionRule(), dict[str, VersionRule]()
    for number, word in enumerate(text.split()):
        model, is_special, rule = word.rpartition("=")
        if is_special and model and model not in special:
            special[model] = _parse_rule(rule)
        elif not is_special and number == 0:
            general = _parse_rule(rule)
        else:
            raise ValueError(f"{EXPECTED}, not {word!r} at that place")
    return VersionPolicy(general, MappingProxyType(special))


def _parse_rule(text: str) -> VersionRule:
    found = RULE.fullmatch(text)
    if found is None:
        raise ValueError(f"{EXPECTED}, not {text!r}")
    if found["pinned"]:
        return VersionRule(pinned=_parse_versions(found["pinned"]))
    return VersionRule(None if text == "all" else int(found["count"] or 1))


def _parse_versions(text: str) -> frozenset[int]:
    words = text.split(",")
    if not all(map(is_version, words)):
        raise ValueError(f"{EXPECTED}, not {text!r}; {VERSION_RULE}")
    return frozenset(map(int, words))
