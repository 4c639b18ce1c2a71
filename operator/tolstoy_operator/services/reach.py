"""From an installation's settings to the token endpoints that it may use."""

from __future__ import annotations

import time
from pathlib import Path

from tolstoy_operator.domain.catalogue import CatalogueError, load_catalogue
from tolstoy_operator.domain.endpointpolicy import parse_networks
from tolstoy_operator.oauth.client import TokenClient
from tolstoy_operator.oauth.transport import Transport
from tolstoy_operator.services.endpoints import Endpoints, Reach
from tolstoy_operator.settings import Settings, SettingsError


def endpoints_of(settings: Settings, deadline: float) -> Endpoints:
    """Endpoints whose requests take `deadline` seconds at most.

    Raises `SettingsError`: what an organisation got wrong must stop the start, not a refresh at night.
    """
    try:
        networks = parse_networks(settings.token_endpoint_networks)
    except ValueError as error:
        raise SettingsError(f"TOKEN_ENDPOINT_NETWORKS: {error}") from None
    try:
        origins = frozenset(settings.token_endpoint_origins)
        reach = Reach(hosts=settings.token_endpoint_hosts, networks=networks, origins=origins)
    except ValueError as error:
        raise SettingsError(f"TOKEN_ENDPOINT_HOSTS or TOKEN_ENDPOINT_ORIGINS: {error}") from None
    try:
        catalogue = load_catalogue(Path(settings.providers_dir) if settings.providers_dir else None)
    except CatalogueError as error:
        raise SettingsError(f"PROVIDERS_DIR: {error}") from None
    return Endpoints(TokenClient(Transport(deadline=deadline)), catalogue, reach, time.monotonic)
