"""What one client has met at its provider, and which requests that stops, for all its grants.

A client is refused or asked to pause as a whole, so token requests, questions whether a token works and revocations all
look here before, and tell here afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from tolstoy_operator.domain.oauthdocument import OAuthDocument
from tolstoy_operator.domain.secretvalue import SecretValue
from tolstoy_operator.domain.tokenoutcome import Accepted, InDoubt, Outcome, Rejected, Rejection
from tolstoy_operator.oauth.clientauth import AuthMethod

BREAKER_S: Final = 300.0
"""Seconds for which a client whose own credentials were refused sends nothing more."""
NETWORK_PAUSE_S: Final = 900.0
"""The same after something in front of the provider refused: a firewall, a list of addresses."""
_FIRST_AGAIN_S: Final = 60.0
"""For so long the first request after such a pause goes alone: it may meet the same answer."""


@dataclass(slots=True)
class ClientState:
    """One client of one tool. `now` is monotonic seconds everywhere.

    `method`: the client authentication that worked. `why`: what stopped it, until `until`, or None. `secret`: the
    client secret, or key, with which that was met; if it was itself refused, documents with another one are not
    concerned. `proven`: one that brought tokens after it had been refused; should a question be refused for it, that
    tells about the question.
    """

    method: AuthMethod | None = None
    why: Rejected | None = None
    until: float = 0.0
    secret: SecretValue | None = None
    proven: SecretValue | None = None

    def held(self, document: OAuthDocument, now: float) -> Rejected | None:
        """What stops a token request for this document, and for how long; None: nothing."""
        rest = self.until - now
        return replace(self.why, retry_after=rest) if self.why and self._concerns(document) and rest > 0 else None

    def begin(self, document: OAuthDocument, now: float) -> None:
        """A request goes out. After a pause it goes first, and alone."""
        if self._concerns(document):
            self.until = now + _FIRST_AGAIN_S

    def note(
        self, outcome: Outcome, document: OAuthDocument, method: AuthMethod, now: float, *, reuse_grace: float
    ) -> None:
        """Take in how a token request ended. `reuse_grace`: seconds for which a spent refresh token works."""
        match outcome:
            case Accepted():
                self.proven = document.proof if self._refused else self.proven
                self.method, self.why = method, None
            case Rejected(rejection=Rejection.CLIENT_MISCONFIGURED):
                self._hold(outcome, now + BREAKER_S, document)
            case Rejected(rejection=Rejection.NETWORK_REFUSED, retry_after=pause):
                self._hold(outcome, now + max(pause or 0.0, NETWORK_PAUSE_S), document)
            case Rejected(rejection=Rejection.THROTTLED | Rejection.TRANSIENT, retry_after=pause) if pause:
                self._hold(outcome, now + pause, document)
            case InDoubt(retry_after=pause) if pause and not 0 < reuse_grace <= pause:
                # A spent token that works for a shorter while than that could not be asked about any more.
                self._hold(Rejected(Rejection.TRANSIENT, outcome.code, outcome.status or 0), now + pause, document)
            case Rejected():
                self.why = None

    def defers(self, document: OAuthDocument, now: float, *, proves: bool) -> Rejected | None:
        """Why a question about a token, or its revocation, has to wait, and for how long; None: it goes now.

        `proves`: the client's own credentials go with it. Where those were refused, it waits for as long again: whether
        they are any good now is for a token request to find out, which may be all that they are good for.
        """
        if self.why is None or not self._concerns(document) or (self._refused and not proves):
            return None
        rest = self.until + BREAKER_S * self._refused - now
        if rest > 0:
            return replace(self.why, retry_after=rest)
        self.begin(document, now)
        return None

    def learn(
        self, answer: Rejected, before: Rejected | None, document: OAuthDocument, now: float, *, proves: bool
    ) -> None:
        """Take in what came of that. `answer`: `UNKNOWN` without a pause when it tells nothing against the client.

        `before`: what `why` was when it went. A pause that somebody else was asked for meanwhile stays.
        """
        if answer.retry_after:
            throttled = answer.rejection is Rejection.THROTTLED
            why = replace(answer, rejection=Rejection.THROTTLED if throttled else Rejection.TRANSIENT)
            self._hold(why, now + answer.retry_after, document)
        elif answer.rejection is Rejection.CLIENT_MISCONFIGURED and proves:
            if document.proof != self.proven:
                self._hold(answer, now + BREAKER_S, document)
        elif self.why is before and (proves or not self._refused):
            self.why = None

    @property
    def _refused(self) -> bool:
        """Whether it is the client's own credentials that stopped it."""
        return self.why is not None and self.why.rejection is Rejection.CLIENT_MISCONFIGURED

    def _concerns(self, document: OAuthDocument) -> bool:
        """Whether what stopped the client would stop a request for this document, too."""
        return self.why is not None and (not self._refused or self.secret == document.proof)

    def _hold(self, why: Rejected, until: float, document: OAuthDocument) -> None:
        """Send nothing more until then."""
        self.why, self.until, self.secret = why, until, document.proof
