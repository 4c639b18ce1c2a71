"""What is known of each OAuth provider, and where that is known from.

Providers differ where it hurts: one accepts a refresh token once, the next for ever; one kills the old access token at
a refresh; one answers errors with 200. Each has a file of facts in `data/`, and every fact names its source and the
date it was looked up, or is the word `unknown`. An organisation adds entries and lays its own facts over ours with
files of the same form; see `docs/providers.md`.
"""

from tolstoy_operator.domain.catalogue.entry import Body, Call, ClientAuthentication, Credentials, GrantKind
from tolstoy_operator.domain.catalogue.loader import Catalogue, CatalogueError, load_catalogue
from tolstoy_operator.domain.catalogue.provider import Provider

__all__ = [
    "Body",
    "Call",
    "Catalogue",
    "CatalogueError",
    "ClientAuthentication",
    "Credentials",
    "GrantKind",
    "Provider",
    "load_catalogue",
]
