"""The decisions of the refresh protocol, as pure functions.

The protocol itself (`services.refresh`) reads, asks here what follows, and writes; see `docs/refresh-protocol.md`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from tolstoy_operator.domain.oauthdocument import Bookkeeping, OAuthDocument, Scheme, intact
from tolstoy_operator.domain.refreshids import rebase_id, result_id
from tolstoy_operator.domain.refreshrecords import Claim, Doubt, Fate, Record

VERSION_KEPT_S: Final = 86_400.0
"""A version younger than this is never removed by Secrets Manager, so it counts against the limit."""


@dataclass(frozen=True, slots=True)
class RefreshRules:
    """The times and limits of the protocol. Benches shorten them all together; production has these.

    A request starts within `fence_s` of its claim and ends within `request_deadline_s`; its result is stored well
    before `ttl_s`, for which a claim is left alone. `far_ttl_s`: the same for a claim of another cluster at a strict
    provider, whose result may wait there for the store to return. All in seconds.
    """

    fence_s: float = 10.0
    request_deadline_s: float = 30.0
    ttl_s: float = 120.0
    far_ttl_s: float = 900.0
    last_moment_s: float = 60.0
    """A strict provider's token in doubt is tried again this long before the access token dies, not earlier."""
    confirm_after_s: tuple[float, float] = (30.0, 60.0)
    """A refused grant is tried once more after a pause in this range."""
    lease_below_s: float = 45 * 60.0
    """Access tokens that live shorter are refreshed with one version each (label lease)."""
    shortest_shared_s: float = 21 * 60.0
    """Access tokens that live shorter do not fit the version budget at all in shared mode."""
    version_limit: int = 100
    spare_versions: int = 10
    """A refresh starts only while the secret can take this many versions more."""
    upstream_every_s: float = 1200.0
    """Tokens that live too short for the version budget wait in the owner's journal between writes upstream."""
    least_interval_s: float = 60.0
    """Between two refreshes of ours, whatever lifetime the provider states."""
    settled_s: float = 60.0
    """What only a read says about a version that was moved back by hand is believed after this long."""
    mark_s: float = 3600.0
    """A mark of revocation that stands for longer was left by a process that does not go on."""
    journal_kept_s: float = 2 * 3600.0
    """What is written down about an attempt stays for this long: longer than a read of the store can be stale."""
    journal_crowd: int = 8
    """So many older objects of a secret gather in a journal, or for `journal_longest_s`, before the store is asked."""
    journal_longest_s: float = 86_400.0

    def scaled(self, factor: float) -> RefreshRules:
        """The same rules with all times multiplied by `factor`."""
        low, high = self.confirm_after_s
        return replace(
            self,
            fence_s=self.fence_s * factor,
            request_deadline_s=self.request_deadline_s * factor,
            ttl_s=self.ttl_s * factor,
            far_ttl_s=self.far_ttl_s * factor,
            last_moment_s=self.last_moment_s * factor,
            confirm_after_s=(low * factor, high * factor),
            lease_below_s=self.lease_below_s * factor,
            shortest_shared_s=self.shortest_shared_s * factor,
            upstream_every_s=self.upstream_every_s * factor,
            least_interval_s=self.least_interval_s * factor,
            settled_s=self.settled_s * factor,
            mark_s=self.mark_s * factor,
            journal_kept_s=self.journal_kept_s * factor,
            journal_longest_s=self.journal_longest_s * factor,
        )


class Rotation(StrEnum):
    """Whether a refresh token dies when it is used."""

    NONE = "none"
    ROTATES = "rotates"
    UNKNOWN = "unknown"


class OldAccessToken(StrEnum):
    """What happens to the access token in use when a refresh succeeds."""

    SURVIVES = "survives"
    DIES = "dies"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ProviderTraits:
    """What the protocol must know of a provider. `reuse_grace_s`: how long a spent refresh token still works."""

    rotation: Rotation = Rotation.UNKNOWN
    reuse_grace_s: float = 0.0
    old_access_token: OldAccessToken = OldAccessToken.UNKNOWN
    lifetime_s: float | None = None
    """Lifetime of access tokens for replies that state none."""
    refresh_idle_s: float | None = None
    """How long a refresh token lives unused; None: for ever, or nobody knows."""
    refresh_hard_s: float | None = None
    """How long a refresh token lives at most, counted from the consent; None: for ever, or nobody knows."""
    largest_reply: int = 8192
    """Bytes by which a reply may make a document grow."""

    @property
    def claims(self) -> bool:
        """Whether an attempt must be reserved: a token that never dies can be used by everybody."""
        return self.rotation is not Rotation.NONE

    @property
    def strict(self) -> bool:
        """Known to punish a second use."""
        return self.rotation is Rotation.ROTATES and not self.reuse_grace_s

    @property
    def forgiving(self) -> bool:
        """Known to accept a second use: a doubt is settled by asking again at once."""
        return self.rotation is Rotation.NONE or self.reuse_grace_s > 0


def as_seen(traits: ProviderTraits, arn: str, document: OAuthDocument) -> ProviderTraits:
    """The traits, corrected by what the last refresh showed.

    A provider that is taken for one whose refresh tokens never die, and has issued another one, may well rotate.
    """
    books = document.bookkeeping
    if traits.claims or books is None or not books.rotated or not intact(arn, document):
        return traits
    return replace(traits, rotation=Rotation.UNKNOWN)


LEASE_NONCE: Final = "lease"
"""Stands for the nonce of an attempt that was reserved by a label."""


@dataclass(frozen=True, slots=True)
class Answer:
    """New tokens that an attempt brought.

    `version`: the id that the document has in the store, or will have. `stored`: whether it is there already.
    """

    document: OAuthDocument
    version: str
    stored: bool = True

    @property
    def books(self) -> Bookkeeping:
        """Where the tokens come from."""
        if self.document.bookkeeping is None:
            raise ValueError("an answer without bookkeeping is none of ours")
        return self.document.bookkeeping


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is written about one attempt to spend a token.

    `claim` None: reserved by a label, so nobody knows by whom. `slot`: what stands in the place of its result.
    `answer`: new tokens, wherever they were found.
    """

    n: int
    claim: Claim | None
    slot: Record | None = None
    answer: Answer | None = None

    @property
    def nonce(self) -> str:
        """What tells this attempt from another replica's at the same place."""
        return self.claim.nonce if self.claim is not None else LEASE_NONCE


@dataclass(frozen=True, slots=True)
class Origin:
    """A refresh token's identity, and how attempts to spend it are reserved (by whom: `Bookkeeping.owner`)."""

    of: str
    scheme: Scheme
    owner: str = ""


def origin(arn: str, version: str, document: OAuthDocument) -> Origin:
    """The identity of the refresh token in `document`, which is version `version`.

    A token that we stored is named by the result that brought it, so every edited copy of the document means the same
    token, and an attempt on one copy is an attempt on all. A token that somebody else stored is named by its version.
    """
    books = document.bookkeeping
    if books is not None and intact(arn, document):
        return Origin(result_id(arn, books.of, books.n), books.scheme, books.owner)
    return Origin(version, Scheme.CLAIM)


def origin_by(arn: str, record: Record, token: str) -> Origin | None:
    """The identity of the refresh token with the fingerprint `token`, if `record` knows it."""
    match record:
        case OAuthDocument(bookkeeping=Bookkeeping() as books):
            if books.token == token and intact(arn, record):
                return Origin(result_id(arn, books.of, books.n), books.scheme, books.owner)
            return Origin(books.of, books.under, books.owner) if books.spent == token else None
        case Claim() | Doubt():
            return Origin(record.of, record.scheme) if record.token == token else None
    return None


def target_id(arn: str, current: str, answer: Answer) -> str:
    """The version that carries the answer when it replaces `current`: the answer itself, or a copy on an edit."""
    if answer.books.base == current:
        return answer.version
    return rebase_id(arn, current, answer.books.of, answer.books.n)


def best(attempts: Sequence[Attempt]) -> Answer | None:
    """The answer that counts: of two for one token, the later one."""
    return next((attempt.answer for attempt in reversed(attempts) if attempt.answer is not None), None)


def fates(attempts: Sequence[Attempt], witnessed: Mapping[str, Fate]) -> dict[int, Fate]:
    """What is known of each attempt: from the newest claim, from what stands in its place, and from memory.

    `witnessed`: fates of attempts that this process made, by nonce. Everything else is in doubt.
    """
    known: dict[int, Fate] = {}
    for attempt in attempts:
        if attempt.claim is not None:
            known.update(attempt.claim.fates)
    for attempt in attempts:
        if attempt.answer is not None:
            known[attempt.n] = Fate.ANSWERED
        elif attempt.nonce in witnessed:
            known[attempt.n] = witnessed[attempt.nonce]
        elif attempt.claim is not None and attempt.claim.revokes:
            known[attempt.n] = Fate.NOT_SENT
        else:
            known.setdefault(attempt.n, Fate.IN_DOUBT)
    return known


def patience(
    last: Attempt, witnessed: Fate | None, traits: ProviderTraits, rules: RefreshRules, *, cluster: str
) -> float:
    """For how many seconds the last attempt must have been in sight before the next one may follow.

    `witnessed`: how it ended, if this process made it. 0 when it is over for certain.
    """
    if last.slot is not None or last.answer is not None:
        return 0.0
    if witnessed is Fate.IN_DOUBT:  # our request has ended, but the provider may process it yet
        return 0.0 if traits.forgiving else rules.ttl_s
    if witnessed is not None:
        return 0.0
    ours = last.claim is not None and last.claim.cluster == cluster
    return rules.far_ttl_s if traits.strict and not ours else rules.ttl_s


class Recovery(StrEnum):
    """How to go on while an attempt is in doubt."""

    NOW = "now"
    PROBE = "probe"
    """Ask whether the old access token lives: where it dies at a refresh, that settles the doubt."""
    LAST_MOMENT = "last-moment"
    """A second use may take away the access token that still works: not before it is about to expire."""


def recovery(traits: ProviderTraits, known: Mapping[int, Fate]) -> Recovery:
    """What to do about the doubts among `known`."""
    doubtful = Fate.IN_DOUBT in known.values() and Fate.REFUSED not in known.values()
    if not doubtful or not traits.strict:
        return Recovery.NOW
    return Recovery.PROBE if traits.old_access_token is OldAccessToken.DIES else Recovery.LAST_MOMENT


def last_moment(document: OAuthDocument, rules: RefreshRules) -> float:
    """When a doubtful token of a strict provider is tried, epoch seconds; 0 when the expiry is unknown."""
    return document.expires_at - rules.last_moment_s if document.expires_at is not None else 0.0


def refusals(known: Mapping[int, Fate]) -> int:
    """How often the provider refused this token. Two make a verdict."""
    return sum(fate is Fate.REFUSED for fate in known.values())


def response_lost(known: Mapping[int, Fate]) -> bool:
    """Whether a refusal may be the trace of our own attempt whose response was lost."""
    return Fate.IN_DOUBT in known.values()


def next_scheme(traits: ProviderTraits, lifetime: float | None, rules: RefreshRules, *, owner: bool) -> Scheme:
    """How the attempt after this one will be reserved. `lifetime`: of the new access token, seconds."""
    if owner:
        return Scheme.OWNER
    if traits.claims and lifetime is not None and lifetime < rules.lease_below_s:
        return Scheme.LEASE
    return Scheme.CLAIM


def too_short_to_share(lifetime: float, rules: RefreshRules) -> bool:
    """Whether tokens of this lifetime (seconds) cannot be refreshed in shared mode: each refresh costs a version."""
    return lifetime < rules.shortest_shared_s


def may_wait(answer: Answer, *, age: float, rules: RefreshRules) -> bool:
    """Whether the tokens of an owner can stay in its journal for now. `age`: of the current version, seconds."""
    issued, ends = answer.document.last_updated, answer.document.expires_at
    if answer.books.scheme is not Scheme.OWNER or issued is None or ends is None:
        return False
    return ends - issued < rules.shortest_shared_s and age < rules.upstream_every_s


def too_soon(arn: str, document: OAuthDocument, *, now: float, rules: RefreshRules) -> float:
    """Seconds for which tokens that we have just brought are left alone, even if they are due already."""
    if document.last_updated is None or not intact(arn, document):
        return 0.0
    age = now - document.last_updated
    return rules.least_interval_s - age if 0 <= age < rules.least_interval_s else 0.0


def spare_versions(ages: Sequence[float], labelled: int, rules: RefreshRules) -> int:
    """How many versions a secret can still take.

    `ages`: seconds, of all versions without a label. `labelled`: how many have one. Only old unlabelled ones give way.
    """
    return rules.version_limit - labelled - sum(age < VERSION_KEPT_S for age in ages)
