"""Where a request that carries a client secret and a refresh token may go.

The token endpoint stands in the stored secret, so whoever can write that secret chooses the URL. Without a policy the
operator would hand the rest of the secret to any address, inside the cluster or outside. Two checks stand in the way:
the URL's text (https, a host on the tool's list, nothing clever), and every address that its host resolves to (public,
unless the platform names the network).

One reading of a URL is used for the check and for the connection; what two parsers could read differently is refused
instead of normalised.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_URL = re.compile(
    r"(?P<scheme>[A-Za-z]{1,8})://(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|[^/?:\[\]]{1,253})(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<target>[/?][\x21-\x7e]*)?",
    re.ASCII,
)
_URL_LENGTH = 2048
_FORBIDDEN = re.compile(r"[^\x21-\x7e]|[\\#@]")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?", re.ASCII)
_NUMBER_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
_PORTS = {"https": 443, "http": 80}
_LARGEST_PORT = 65_535

_CLOSED_4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
_OPEN_6 = IPv6Network("2000::/3")
_CLOSED_6 = tuple(IPv6Network(text) for text in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"))
_NAT64 = IPv6Network("64:ff9b::/96")


class EndpointNotAllowed(Exception):
    """The URL or an address of its host is against the policy. The text names the host at most, never the whole URL."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A URL that passed the check, in the form that is connected to.

    `host` is lower-case ASCII, an IPv6 literal without brackets; `target` is path and query as sent. `trusted`: the
    origin was allowed as such, so its addresses are not checked.
    """

    scheme: str
    host: str
    port: int
    target: str
    trusted: bool = False

    @property
    def authority(self) -> str:
        """Host and port as a URL and the Host header spell them; the scheme's own port is left out."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS.get(self.scheme) else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """Scheme and authority."""
        return f"{self.scheme}://{self.authority}"

    @property
    def url(self) -> str:
        """The whole URL, as sent. The query may be confidential."""
        return self.origin + self.target


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointPolicy:
    """What one tool may be sent to.

    `hosts`: names (`login.example.com`), suffixes (`*.example.com`: anything below, not the name itself), each with an
    optional port (`idp.example.com:8443`); without one only 443. `networks`: networks allowed although they are not
    public. `origins`: exact origins (`http://127.0.0.1:8080`) that skip every other rule, for development and tests.
    Raises ValueError for an entry that cannot be meant.
    """

    hosts: tuple[str, ...] = ()
    networks: tuple[Network, ...] = ()
    origins: frozenset[str] = field(default_factory=frozenset)

    def __post_init__(self) -> None:
        for pattern in self.hosts:
            name, _, port = pattern.partition(":")
            suffix = name.removeprefix("*.")
            if not is_host_name(suffix) or (suffix != name and "." not in suffix):
                raise ValueError(f"{pattern!r} is neither a host name nor `*.` before one of two labels or more")
            if port and not (port.isascii() and port.isdecimal() and 0 < int(port) <= _LARGEST_PORT):
                raise ValueError(f"{pattern!r} is not a host name, or a host name and a port")
        for origin in self.origins:
            if not _is_origin(origin):
                raise ValueError(f"{origin!r} is not a scheme, a host and a port, such as http://127.0.0.1:8080")


def is_host_name(text: str) -> bool:
    """Whether a text is a lower-case DNS name in ASCII that no resolver or browser reads as an address."""
    labels = text.split(".")
    return len(text) <= 253 and all(map(_LABEL.fullmatch, labels)) and not _NUMBER_LABEL.fullmatch(labels[-1])


def check_url(text: str, policy: EndpointPolicy) -> Endpoint:
    """The endpoint that a URL names. Raises `EndpointNotAllowed`."""
    endpoint = _parse(text)
    if endpoint.origin in policy.origins:
        return Endpoint(endpoint.scheme, endpoint.host, endpoint.port, endpoint.target, trusted=True)
    if endpoint.scheme != "https":
        raise EndpointNotAllowed("the endpoint is not https")
    if not is_host_name(endpoint.host):
        raise EndpointNotAllowed("the endpoint's host is not a plain DNS name")
    if not any(_matches(pattern, endpoint) for pattern in policy.hosts):
        shown = endpoint.authority
        raise EndpointNotAllowed(f"{shown} is not on the list of this tool's hosts")
    return endpoint


def _parse(text: str) -> Endpoint:
    if len(text) > _URL_LENGTH:
        raise EndpointNotAllowed(f"the endpoint is longer than {_URL_LENGTH} characters")
    if _FORBIDDEN.search(text):
        raise EndpointNotAllowed("the endpoint holds credentials, a fragment, or characters that no URL needs")
    match = _URL.fullmatch(text)
    scheme = match["scheme"].lower() if match else ""
    if match is None or scheme not in _PORTS:
        raise EndpointNotAllowed("the endpoint is not an https URL")
    port = int(match["port"]) if match["port"] else _PORTS[scheme]
    if not 0 < port <= _LARGEST_PORT:
        raise EndpointNotAllowed("the endpoint's port does not exist")
    target = match["target"] or "/"
    return Endpoint(scheme, match["host"].lower().strip("[]"), port, target if target[0] == "/" else f"/{target}")


def _is_origin(text: str) -> bool:
    try:
        return _parse(text).origin == text
    except EndpointNotAllowed:
        return False


def _matches(pattern: str, endpoint: Endpoint) -> bool:
    name, _, port = pattern.partition(":")
    if endpoint.port != int(port or _PORTS["https"]):
        return False
    return endpoint.host.endswith(name[1:]) if name.startswith("*.") else endpoint.host == name


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Networks such as `10.0.0.0/8` and `fd00::/8`. Raises ValueError."""
    return tuple(map(ip_network, texts))


def check_address(text: str, endpoint: Endpoint, policy: EndpointPolicy) -> Address:
    """The address that a resolver gave for the endpoint's host. Raises `EndpointNotAllowed` unless it may be used."""
    try:
        address = ip_address(text)
    except ValueError:
        raise EndpointNotAllowed(f"{endpoint.host} resolves to something that is no address") from None
    if endpoint.trusted or is_public(address) or any(address in network for network in policy.networks):
        return address
    raise EndpointNotAllowed(f"{endpoint.host} resolves to an address that is not public")


def is_public(address: Address) -> bool:
    """Whether an address belongs to the public Internet.

    NAT64 addresses (IPv6-only clusters reach IPv4 hosts through them) are as public as the IPv4 address within; every
    other way to wrap an IPv4 address (mapped, 6to4, Teredo) is not.
    """
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _CLOSED_4)
    if address.scope_id is not None:
        return False
    if address in _NAT64:
        return is_public(IPv4Address(int(address) & 0xFFFF_FFFF))
    return address in _OPEN_6 and not any(address in network for network in _CLOSED_6)
