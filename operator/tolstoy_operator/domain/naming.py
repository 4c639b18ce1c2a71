"""Which upstream secret a credential reads, and which Secret it writes.

An organisation's secret is found by construction, `tolstoy/<tool>/<orgId>`, never by search: neither part can hold a
slash, so no tool and organisation can reach into another organisation's name.
"""

from __future__ import annotations

import re

from pydantic import ValidationError

from tolstoy_operator.api import names
from tolstoy_operator.api.v1 import ToolCredentialSpec

_TOOL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_ORG_ID = re.compile(r"[A-Za-z0-9_+=.@-]{1,128}")


class InvalidName(ValueError):
    """A tool, organisation or spec from which no upstream name can be built. The text never holds what was given."""


def tool_secret_name(tool: str, org_id: str) -> str:
    """The upstream name of one organisation's credential for one tool. Raises `InvalidName`."""
    if not _TOOL.fullmatch(tool):
        raise InvalidName("a tool is 1 to 63 lower-case letters, digits and hyphens, and no hyphen at either end")
    if not _ORG_ID.fullmatch(org_id):
        raise InvalidName("an organisation is 1 to 128 letters, digits and the characters _ + = . @ -")
    return f"{names.UPSTREAM_PREFIX}/{tool}/{org_id}"


def tool_of(upstream: str) -> str | None:
    """The tool whose credential an upstream secret holds by its name; None for a name of another form."""
    parts = upstream.split("/")
    ours = len(parts) == 3 and parts[0] == names.UPSTREAM_PREFIX and _TOOL.fullmatch(parts[1]) is not None
    return parts[1] if ours else None


def check_upstream_name(name: str) -> None:
    """Whether a spec can ask for an upstream secret of this name. Raises `InvalidName`.

    Where organisations' secrets lie, only what a tool and an organisation make is one: anything else is a slip there.
    """
    first, *parts = name.split("/")
    if first == names.UPSTREAM_PREFIX:
        if len(parts) != 2:
            raise InvalidName(f"an organisation's secret is {names.UPSTREAM_PREFIX}/<tool>/<orgId>")
        tool_secret_name(*parts)
        return
    try:
        ToolCredentialSpec(secret_name=name)
    except ValidationError:
        raise InvalidName(
            "a secret is 1 to 512 letters, digits and the characters _ + = . @ - with single slashes inside, and no ARN"
        ) from None


def upstream_name(spec: ToolCredentialSpec) -> str:
    """The one upstream secret that a spec asks for. Raises `InvalidName` unless exactly one form is used."""
    if spec.secret_name is not None and spec.tool is None and spec.org_id is None:
        return spec.secret_name
    if spec.secret_name is None and spec.tool is not None and spec.org_id is not None:
        return tool_secret_name(spec.tool, spec.org_id)
    raise InvalidName("give either tool and orgId, or secretName")


def target_name(spec: ToolCredentialSpec, metadata_name: str) -> str:
    """The name of the Secret to write: the spec's choice, else the credential's own name."""
    return spec.target.name or metadata_name
