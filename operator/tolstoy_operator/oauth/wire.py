"""The plain request and reply between the OAuth part and the HTTP part, without any meaning."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from tolstoy_operator.domain.endpointpolicy import Endpoint, EndpointPolicy
from tolstoy_operator.domain.secretvalue import SecretValue

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)
_HEADER_VALUE = re.compile(r"[\x20-\x7e]*", re.ASCII)


class UnsendableHeader(Exception):
    """A header name or value that HTTP cannot carry. The text names the header only."""


@dataclass(frozen=True, slots=True)
class Wire:
    """A request ready to send. `endpoint` has passed `policy`, its addresses have not yet."""

    method: str
    endpoint: Endpoint
    policy: EndpointPolicy
    headers: Mapping[str, SecretValue]
    body: SecretValue = field(default_factory=lambda: SecretValue(""))

    def __post_init__(self) -> None:
        for name, value in self.headers.items():
            if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value.reveal()):
                raise UnsendableHeader(f"the header {name[:64]!r} cannot be sent")


@dataclass(frozen=True, slots=True)
class WireReply:
    """A reply. The body is cut after `REPLY_LIMIT` + 1 bytes, so that its reader sees that it was too long.

    `whole` False: it began and its end did not come; `body` is what came.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    whole: bool = True
