"""Which proxy a request takes, by the usual environment: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`."""

from __future__ import annotations

import ssl
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx

from tolstoy_operator.domain.endpointpolicy import Endpoint


@dataclass(frozen=True, slots=True)
class Proxies:
    """Proxy URLs by scheme (`https`, `http`, `all`), and under `no` the hosts that need none. They hold passwords."""

    urls: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def from_environment(cls) -> Proxies:
        """What the environment says."""
        return cls(urllib.request.getproxies_environment())

    def for_endpoint(self, endpoint: Endpoint, tls: ssl.SSLContext) -> httpx.Proxy | None:
        """The proxy for an endpoint, None for a direct connection. Raises ValueError for a proxy of unknown kind."""
        url = self.urls.get(endpoint.scheme) or self.urls.get("all")
        host = f"{endpoint.host}:{endpoint.port}"
        if not url or urllib.request.proxy_bypass_environment(host, dict(self.urls)):  # type: ignore[attr-defined]  # documented, and missing in typeshed
            return None
        return httpx.Proxy(url, ssl_context=tls if url.lower().startswith("https:") else None)
