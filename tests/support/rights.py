"""Rights of the operator: as RBAC rules give them, and as the table in docs/install.md tells them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping
from typing import Any

from tests.support import docs

Right = tuple[str, ...]
"""API group, resource, verb, and the name when it is for one object only."""


def granted(rules: Iterable[Mapping[str, Any]]) -> set[Right]:
    """What RBAC rules give."""
    return {
        (group, resource, verb, *rule.get("resourceNames", []))
        for rule in rules
        for group, resource, verb in itertools.product(rule["apiGroups"], rule["resources"], rule["verbs"])
    }


def told() -> tuple[set[Right], set[Right]]:
    """What the table says: rights that are always there, and those that a value of the chart asks for."""
    always: set[Right] = set()
    on_demand: set[Right] = set()
    for cells in docs.table("install.md", "resource"):
        resource, group = re.match(r"`([\w/]+)` \(([\w.]+)\)", cells[0]).groups()  # type: ignore[union-attr]
        named = re.findall(r"named `([\w-]+)`", cells[0])
        rights = {("" if group == "core" else group, resource, verb, *named) for verb in cells[1].split(", ")}
        (on_demand if "only with" in cells[0] else always).update(rights)
    return always, on_demand


def switches() -> list[str]:
    """The values of the chart that ask for more rights."""
    return sorted(set(re.findall(r"only with `([\w.]+)`", docs.text("install.md"))))
