"""The decisions of the refresh protocol."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tolstoy_operator.domain.oauthdocument import Bookkeeping, OAuthDocument, Scheme, fingerprint
from tolstoy_operator.domain.refresh import (
    LEASE_NONCE,
    Answer,
    Attempt,
    OldAccessToken,
    Origin,
    ProviderTraits,
    Recovery,
    RefreshRules,
    Rotation,
    as_seen,
    best,
    fates,
    last_moment,
    next_scheme,
    origin,
    origin_by,
    patience,
    recovery,
    refusals,
    response_lost,
    spare_versions,
    target_id,
    too_short_to_share,
)
from tolstoy_operator.domain.refreshids import rebase_id, result_id
from tolstoy_operator.domain.refreshrecords import Claim, Doubt, Fate, Seal
from tolstoy_operator.domain.secretvalue import SecretValue

ARN = "arn:secret"
RULES = RefreshRules()
STRICT = ProviderTraits(Rotation.ROTATES, 0.0, OldAccessToken.SURVIVES)
DEADLY = ProviderTraits(Rotation.ROTATES, 0.0, OldAccessToken.DIES)
GRACE = ProviderTraits(Rotation.ROTATES, 30.0)
UNKNOWN = ProviderTraits()
FIXED = ProviderTraits(Rotation.NONE)


def ours(token: str = "r2", *, base: str = "v1", of: str = "v1", n: int = 0, spent: str = "r1") -> OAuthDocument:
    books = Bookkeeping(
        base,
        of,
        n,
        Scheme.CLAIM,
        Scheme.LEASE,
        token=fingerprint(ARN, SecretValue(token)),
        spent=fingerprint(ARN, SecretValue(spent)),
    )
    return OAuthDocument.of({"accessToken": "a", "refreshToken": token, "tolstoy": books.to_member()})


def claim(n: int, *, cluster: str = "blue", **known: Fate) -> Claim:
    recorded = {int(name[1:]): fate for name, fate in known.items()}
    return Claim("v1", n, "fp", Scheme.CLAIM, "pod", cluster, f"nonce{n}", 0.0, recorded)


def test_a_token_of_ours_is_named_by_the_result_that_brought_it_in_every_copy() -> None:
    document = ours()

    named = origin(ARN, result_id(ARN, "v1", 0), document)

    assert named == Origin(result_id(ARN, "v1", 0), Scheme.LEASE)
    assert origin(ARN, "an-edited-copy", document) == named


def test_a_token_of_somebody_else_is_named_by_its_version() -> None:
    consent = OAuthDocument.of({"refreshToken": "r9"})
    pasted = OAuthDocument.of({**ours().members, "refreshToken": "r9"})

    assert origin(ARN, "v9", consent) == Origin("v9", Scheme.CLAIM)
    assert origin(ARN, "v9", pasted) == Origin("v9", Scheme.CLAIM)


def test_a_record_knows_the_token_that_it_is_about() -> None:
    spent, issued = fingerprint(ARN, SecretValue("r1")), fingerprint(ARN, SecretValue("r2"))

    assert origin_by(ARN, ours(), spent) == Origin("v1", Scheme.CLAIM)
    assert origin_by(ARN, ours(), issued) == Origin(result_id(ARN, "v1", 0), Scheme.LEASE)
    assert origin_by(ARN, ours(), "other") is None
    assert origin_by(ARN, replace(claim(0), token=spent), spent) == Origin("v1", Scheme.CLAIM)
    assert origin_by(ARN, Seal("v1", 0, spent), spent) is None
    assert origin_by(ARN, OAuthDocument.of({"refreshToken": "r1"}), spent) is None


def test_a_result_becomes_current_as_it_is_or_as_a_copy_on_an_edit() -> None:
    answer = Answer(ours(), "result")

    assert target_id(ARN, "v1", answer) == "result"
    assert target_id(ARN, "edited", answer) == rebase_id(ARN, "edited", "v1", 0)


def test_of_two_results_for_one_token_the_later_counts() -> None:
    early, late = Answer(ours(n=0), "early"), Answer(ours(n=1), "late")
    attempts = [Attempt(0, claim(0), answer=early), Attempt(1, claim(1), answer=late), Attempt(2, claim(2))]

    assert best(attempts) is late
    assert best(attempts[2:]) is None


def test_what_nobody_knows_is_in_doubt() -> None:
    attempts = [Attempt(0, claim(0)), Attempt(1, claim(1, _0=Fate.NOT_SENT)), Attempt(2, claim(2))]

    assert fates(attempts, {}) == {0: Fate.NOT_SENT, 1: Fate.IN_DOUBT, 2: Fate.IN_DOUBT}
    assert fates(attempts, {"nonce2": Fate.REFUSED})[2] is Fate.REFUSED
    assert fates([Attempt(0, None)], {LEASE_NONCE: Fate.REJECTED}) == {0: Fate.REJECTED}
    assert fates([Attempt(0, claim(0), answer=Answer(ours(), "v"))], {}) == {0: Fate.ANSWERED}


DOUBT = Doubt("v1", 0, "fp", Scheme.CLAIM, "unreadable", SecretValue("?"))


@pytest.mark.parametrize(
    ("attempt", "witnessed", "traits", "cluster", "seconds"),
    [
        pytest.param(Attempt(0, claim(0)), None, UNKNOWN, "blue", 120.0, id="another replica's"),
        pytest.param(Attempt(0, claim(0)), None, STRICT, "blue", 120.0, id="of our cluster, whose journal we can read"),
        pytest.param(Attempt(0, claim(0)), None, STRICT, "green", 900.0, id="its result may wait in another cluster"),
        pytest.param(Attempt(0, claim(0)), None, GRACE, "green", 120.0, id="a second use does no harm"),
        pytest.param(Attempt(0, None), None, STRICT, "blue", 900.0, id="nobody knows whose"),
        pytest.param(Attempt(0, claim(0)), Fate.NOT_SENT, STRICT, "blue", 0.0, id="ours, never sent"),
        pytest.param(Attempt(0, claim(0)), Fate.REFUSED, STRICT, "blue", 0.0, id="ours, refused"),
        pytest.param(Attempt(0, claim(0)), Fate.IN_DOUBT, STRICT, "blue", 120.0, id="ours, perhaps still processed"),
        pytest.param(Attempt(0, claim(0)), Fate.IN_DOUBT, GRACE, "blue", 0.0, id="ours, ask again at once"),
        pytest.param(Attempt(0, claim(0), DOUBT), None, STRICT, "green", 0.0, id="answered, though unreadably"),
        pytest.param(Attempt(0, claim(0), Seal("v1", 0, "fp")), None, STRICT, "green", 0.0, id="sealed by a taker"),
    ],
)
def test_how_long_an_attempt_is_left_alone(
    attempt: Attempt, witnessed: Fate | None, traits: ProviderTraits, cluster: str, seconds: float
) -> None:
    assert patience(attempt, witnessed, traits, RULES, cluster=cluster) == seconds


@pytest.mark.parametrize(
    ("traits", "known", "expected"),
    [
        (STRICT, {}, Recovery.NOW),
        (STRICT, {0: Fate.NOT_SENT}, Recovery.NOW),
        (STRICT, {0: Fate.IN_DOUBT}, Recovery.LAST_MOMENT),
        (STRICT, {0: Fate.IN_DOUBT, 1: Fate.NOT_SENT}, Recovery.LAST_MOMENT),
        (STRICT, {0: Fate.IN_DOUBT, 1: Fate.REFUSED}, Recovery.NOW),
        (DEADLY, {0: Fate.IN_DOUBT}, Recovery.PROBE),
        (GRACE, {0: Fate.IN_DOUBT}, Recovery.NOW),
        (UNKNOWN, {0: Fate.IN_DOUBT}, Recovery.NOW),
        (FIXED, {0: Fate.IN_DOUBT}, Recovery.NOW),
    ],
)
def test_how_to_go_on_in_doubt(traits: ProviderTraits, known: dict[int, Fate], expected: Recovery) -> None:
    assert recovery(traits, known) is expected


def test_the_last_moment_is_just_before_the_access_token_dies() -> None:
    assert last_moment(OAuthDocument.of({"expiresAt": 1_700_000_000_000}), RULES) == 1_699_999_940.0
    assert last_moment(OAuthDocument.of({}), RULES) == 0.0


def test_two_refusals_make_a_verdict_and_a_doubt_tells_which() -> None:
    assert refusals({0: Fate.REFUSED, 1: Fate.NOT_SENT, 2: Fate.REFUSED}) == 2
    assert response_lost({0: Fate.IN_DOUBT, 1: Fate.REFUSED})
    assert not response_lost({0: Fate.REJECTED, 1: Fate.REFUSED})


@pytest.mark.parametrize(
    ("traits", "lifetime", "owner", "scheme"),
    [
        (STRICT, 3600.0, False, Scheme.CLAIM),
        (STRICT, 1800.0, False, Scheme.LEASE),
        (UNKNOWN, 1800.0, False, Scheme.LEASE),
        (FIXED, 1800.0, False, Scheme.CLAIM),
        (STRICT, None, False, Scheme.CLAIM),
        (STRICT, 1800.0, True, Scheme.OWNER),
    ],
)
def test_how_the_next_attempt_is_reserved(
    traits: ProviderTraits, lifetime: float | None, owner: bool, scheme: Scheme
) -> None:
    assert next_scheme(traits, lifetime, RULES, owner=owner) is scheme


def test_tokens_of_minutes_do_not_fit_the_version_budget_of_shared_mode() -> None:
    assert too_short_to_share(600.0, RULES)
    assert not too_short_to_share(1800.0, RULES)
    day, spare = 86_400.0, RULES.version_limit - RULES.spare_versions
    assert day / (RULES.shortest_shared_s - 300.0) <= spare, "refreshed five minutes before they end, they just fit"


class TestWhatIsSeen:
    def test_a_static_provider_that_issued_another_token_may_rotate(self) -> None:
        assert as_seen(FIXED, ARN, ours("r2")).rotation is Rotation.UNKNOWN

    def test_one_that_kept_it_is_static(self) -> None:
        assert as_seen(FIXED, ARN, ours("r1")) is FIXED

    def test_another_refresh_token_of_somebody_elses_shows_nothing(self) -> None:
        edited = OAuthDocument.of({**ours("r2").members, "refreshToken": "r3"})
        assert as_seen(FIXED, ARN, edited) is FIXED

    def test_what_is_said_to_rotate_is_believed(self) -> None:
        assert as_seen(STRICT, ARN, ours("r1")) is STRICT


def test_only_old_versions_without_a_label_give_way() -> None:
    assert spare_versions([10.0] * 80 + [100_000.0] * 30, 5, RULES) == 15
