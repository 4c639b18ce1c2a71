"""Who may have a grant ended, what is ended in which order, and what the replies come to."""

from __future__ import annotations

import pytest

from tolstoy_operator.api.v1 import OAuth, RevocationPolicy, ToolCredentialSpec
from tolstoy_operator.domain.oauthdocument import OAuthDocument
from tolstoy_operator.domain.revocation import Leave, TokenKind, judge, leave, to_revoke
from tolstoy_operator.domain.tenancy import Binding
from tolstoy_operator.domain.tokenhealth import Revocation, RevocationResult

NOW = 1_800_000_000.0
BOTH = (TokenKind.REFRESH, TokenKind.ACCESS)
LIVE = OAuthDocument.of({"accessToken": "a", "refreshToken": "r", "expiresAt": (NOW + 600) * 1000})
ENDED = OAuthDocument.of({"accessToken": "a", "refreshToken": "r", "expiresAt": (NOW - 1) * 1000})
DONE, UNSUPPORTED = RevocationResult.DONE, RevocationResult.UNSUPPORTED
REFUSED, RETRY = RevocationResult.REFUSED, RevocationResult.RETRY

GRANTED = Binding(orgs=frozenset({"org-1"}), revoke=True)


def spec(policy: RevocationPolicy | None = RevocationPolicy.REVOKE) -> ToolCredentialSpec:
    return ToolCredentialSpec(tool="t", org_id="org-1", oauth=OAuth(revocation_policy=policy) if policy else None)


@pytest.mark.parametrize(
    ("asked", "binding", "allowed", "supported", "becomes"),
    [
        (spec(), GRANTED, True, True, Leave.REVOKE),
        (spec(None), GRANTED, True, True, Leave.ORPHAN),
        (spec(RevocationPolicy.ORPHAN), GRANTED, True, True, Leave.ORPHAN),
        (spec(), Binding(orgs=frozenset({"org-1"})), True, True, Leave.NOT_GRANTED),
        (spec(), Binding(orgs=frozenset({"org-2"}), revoke=True), True, True, Leave.NOT_GRANTED),
        (spec(), GRANTED, False, True, Leave.NOT_ALLOWED),
        (spec(), GRANTED, True, False, Leave.UNSUPPORTED),
        (spec(), Binding(), False, False, Leave.NOT_GRANTED),
    ],
)
def test_what_a_deletion_means(
    asked: ToolCredentialSpec, binding: Binding, allowed: bool, supported: bool, becomes: Leave
) -> None:
    assert leave(asked, binding, allowed=allowed, supported=lambda: supported) is becomes


@pytest.mark.parametrize(
    ("members", "kinds", "expected"),
    [
        ({"accessToken": "a", "refreshToken": "r"}, (TokenKind.ACCESS, TokenKind.REFRESH), BOTH),
        ({"accessToken": "a", "refreshToken": "r"}, (TokenKind.ACCESS,), (TokenKind.ACCESS,)),
        ({"accessToken": "a"}, BOTH, (TokenKind.ACCESS,)),
        ({"accessToken": "a", "refreshToken": ""}, (TokenKind.REFRESH,), ()),
        ({"apiKey": "k"}, BOTH, ()),
        ({"accessToken": "a", "refreshToken": "r"}, (), ()),
    ],
)
def test_the_refresh_token_goes_first(
    members: dict[str, str], kinds: tuple[TokenKind, ...], expected: tuple[TokenKind, ...]
) -> None:
    assert to_revoke(OAuthDocument.of(members), kinds) == expected


def judged(
    refresh: RevocationResult | None,
    access: RevocationResult | None,
    *,
    alive: bool | None,
    kinds: tuple[TokenKind, ...] = BOTH,
    document: OAuthDocument = LIVE,
) -> RevocationResult:
    pairs = ((TokenKind.REFRESH, refresh), (TokenKind.ACCESS, access))
    replies = {kind: Revocation(result, "code") for kind, result in pairs if result is not None}
    return judge(document, kinds, replies, alive=alive, now=NOW).result


@pytest.mark.parametrize(
    ("refresh", "access", "alive", "comes_to"),
    [
        (DONE, DONE, False, DONE),
        (DONE, DONE, None, DONE),
        (DONE, DONE, True, RETRY),
        (DONE, RETRY, None, RETRY),
        (DONE, RETRY, False, DONE),
        (DONE, REFUSED, False, DONE),
        (DONE, REFUSED, None, REFUSED),
        (DONE, UNSUPPORTED, True, DONE),
        (UNSUPPORTED, UNSUPPORTED, True, UNSUPPORTED),
        (UNSUPPORTED, DONE, False, UNSUPPORTED),
        (RETRY, None, True, RETRY),
        (RETRY, None, False, RETRY),
        (REFUSED, None, None, REFUSED),
    ],
)
def test_only_what_was_confirmed_is_done(
    refresh: RevocationResult, access: RevocationResult | None, alive: bool | None, comes_to: RevocationResult
) -> None:
    assert judged(refresh, access, alive=alive) is comes_to


def test_a_token_that_ended_by_itself_proves_nothing() -> None:
    only = (TokenKind.ACCESS,)

    assert judged(None, REFUSED, alive=False, kinds=only) is DONE
    assert judged(None, REFUSED, alive=False, kinds=only, document=ENDED) is REFUSED


def test_a_provider_that_ends_refresh_tokens_only_leaves_the_access_token_alive() -> None:
    verdict = judge(LIVE, (TokenKind.REFRESH,), {TokenKind.REFRESH: Revocation(DONE)}, alive=True, now=NOW)

    assert (verdict.result, verdict.lives) == (DONE, True)


def test_the_pause_that_a_provider_asks_for_is_passed_on() -> None:
    replies = {TokenKind.REFRESH: Revocation(RETRY, "http_429", 60.0)}

    verdict = judge(LIVE, BOTH, replies, alive=None, now=NOW)

    assert (verdict.code, verdict.retry_after) == ("http_429", 60.0)
