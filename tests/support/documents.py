"""Hypothesis strategies for upstream documents."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tolstoy_operator.domain.sensitivity import SENSITIVE_NAMES

KNOWN_MEMBERS = (
    "accessToken",
    "refreshToken",
    "expiresAt",
    "scope",
    "tokenType",
    "clientId",
    "clientSecret",
    "apiKey",
    "webhookSecret",
    "DATABASE_URL",
    "DIRECT_URL",
    "private_key",
    "ssh-privatekey",
    "custom",
)


def scalars() -> st.SearchStrategy[Any]:
    """What a member of a flat document can be."""
    return st.one_of(
        st.none(),
        st.booleans(),
        st.integers(min_value=-(2**63), max_value=2**63),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=20),
    )


def json_values() -> st.SearchStrategy[Any]:
    """Any JSON value of a few levels, sensitive names among its members."""
    names = st.one_of(st.text(max_size=8), st.sampled_from(SENSITIVE_NAMES))
    return st.recursive(
        scalars(),
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=3)),
        max_leaves=6,
    )


def member_names() -> st.SearchStrategy[str]:
    """Names that mean something to us, and any other."""
    return st.one_of(st.sampled_from(KNOWN_MEMBERS), st.text(max_size=12))


def flat_documents() -> st.SearchStrategy[dict[str, Any]]:
    """Documents without nesting, with at least one member."""
    return st.dictionaries(member_names(), scalars(), min_size=1, max_size=8)


def documents() -> st.SearchStrategy[dict[str, Any]]:
    """Documents of any kind, with at least one member."""
    return st.dictionaries(member_names(), json_values(), min_size=1, max_size=8)
