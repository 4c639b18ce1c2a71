"""Which access tokens a workload can use by just presenting them.

The standard name is `bearer`; providers have a few names of their own for the same thing, which their entries list. A
token of another type needs a proof with each request (DPoP) or is none at all, and whoever finds it in a Secret can do
nothing with it but be refused.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from tolstoy_operator.domain.oauthdocument import OAuthDocument

_KNOWN: Final = {"dpop": "DPoP", "mac": "MAC", "pop": "PoP", "n_a": "N_A"}
"""Types that are certainly no bearer tokens, as they are written."""


def unusable(document: OAuthDocument, bearer_types: Collection[str]) -> str:
    """Why nobody can use the access token by presenting it; empty when one can. Holds no value of the document.

    What a provider answered to us must be of a type that is known to be good. What a person or the consent application
    wrote passes unless it is known to be bad: they may call it what they like.
    """
    kind = (document.token_type or "").lower()
    if not kind or kind in bearer_types:
        return ""
    if kind in _KNOWN:
        return f"the access token is of type {_KNOWN[kind]}, which is of no use to those who only present it"
    if document.bookkeeping is not None:
        return "the provider issued an access token of a type that is not known to be a bearer token"
    return ""
