"""Refreshing tokens in time: one due time for each upstream secret, whoever and how many use it.

The reconciler tells which OAuth secrets are in use and what they hold; from that follows when to refresh. The token
service does it, and what came of it is told to all credentials of the secret. What a failed refresh means for a person
is kept here until the secret changes.

The tools take turns, and none has all the workers: a provider that answers slowly delays its own tokens only.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from typing import Final

from tolstoy_operator.api.reasons import LOST_REASONS, Reason
from tolstoy_operator.api.v1 import ToolCredentialSpec
from tolstoy_operator.domain.grant import Told, Trouble
from tolstoy_operator.domain.naming import tool_of
from tolstoy_operator.domain.oauthdocument import OAuthDocument, intact
from tolstoy_operator.domain.schedule import doubled, refresh_retry
from tolstoy_operator.domain.tokenhealth import Liveness
from tolstoy_operator.engine.checks import Checks
from tolstoy_operator.engine.grant import Grant, is_final, is_hopeful, same_or
from tolstoy_operator.engine.grantproblems import pause_after, reason_of
from tolstoy_operator.engine.inventory import Inventory
from tolstoy_operator.engine.questions import Questions
from tolstoy_operator.engine.records import Key
from tolstoy_operator.engine.turns import Turns
from tolstoy_operator.engine.workqueue import Priority, WorkQueue
from tolstoy_operator.services.refresh.endings import Problem
from tolstoy_operator.services.tokens import Refreshed, TokenService
from tolstoy_operator.stores.base import SecretVersion

_log = logging.getLogger(__name__)

LOOK_PAUSE: Final = 60.0
"""Seconds between looks at what others do, and before tokens that were due when they came are refreshed again."""
PROBE_PAUSE: Final = 6 * 3600.0
"""Seconds after which a refused grant is tried once more: a verdict may be wrong. The pause doubles, up to a day."""
COMMAND_PAUSE: Final = 60.0
"""Seconds for which a person's further commands to refresh a token change nothing: whoever may annotate a credential
must not be able to have the provider asked without end, which would be held against the application of all."""
LONGEST_COMMAND_PAUSE: Final = 64 * COMMAND_PAUSE
"""It doubles with each command in trouble: a try can cost one of the hundred versions that a secret takes in a day, and
without one left not even a new consent is refreshed."""
LONGEST_PROBE_PAUSE: Final = 24 * 3600.0
PROBES: Final = 9
"""How often, which makes a week of it."""
RECOVERY_PAUSE: Final = 3600.0
"""Seconds for which one grant that works again changes nothing for others of its tool, after one that did: what fails
by itself beside grants that work would be tried too often, and each try can cost a version."""

_REVOKED: Final = "the grant was revoked"
_DEAD: Final = "the provider does not accept the access token any more"
_NOTHING: Final = Told()
_RIVAL: Final = (
    "this cluster was told to be the only one that refreshes, and so was another one, which does it; "
    "the platform team must choose one"
)


class Grants:
    """Grants by the name of their upstream secret.

    `clock`: epoch seconds. `workers`: refreshes at the same time. `time_scale`: all pauses times this (benches).
    """

    def __init__(
        self,
        *,
        inventory: Inventory,
        tokens: TokenService,
        queue: WorkQueue,
        clock: Callable[[], float],
        uniform: Callable[[float, float], float],
        workers: int,
        time_scale: float = 1.0,
    ) -> None:
        self._inventory = inventory
        self._tokens = tokens
        self._queue = queue
        self._changed: Callable[[Iterable[Key]], None] = lambda keys: None
        self._clock = clock
        self._uniform = uniform
        self._workers = workers
        self._scale = time_scale
        self._grants: dict[str, Grant] = {}
        self._insist: set[str] = set()
        self._recovered_at: dict[str, float] = {}
        """By tool."""
        self._checks = Checks(tokens, clock=clock, uniform=uniform, time_scale=time_scale)
        self.questions = Questions(inventory.is_live)
        self._turns = Turns(queue, share=workers - workers // 4)
        self._finished = asyncio.Event()
        self._finished.set()

    def on_change(self, changed: Callable[[Iterable[Key]], None]) -> None:
        """Say who is told which credentials have news."""
        self._changed = changed

    def note(self, version: SecretVersion, document: OAuthDocument, told: Told = _NOTHING) -> Grant:
        """An OAuth secret is in use, and this is its current version. Returns what is known of its grant.

        `told`: what a status tells of this version. A process that has not found out for itself repeats it,
        so that a restart changes no status; it decides nothing.
        """
        name = version.name
        grant = self._grants.get(name)
        if grant is None or grant.version != version.version_id:
            grant = self._renew(name, version.arn, version.version_id, document, told)
        elif not self._has_another_lead(name, grant, document) and self._turns.knows(_key(name)):
            return grant
        self._schedule(name, self._first_look(grant))
        return grant

    def settling(self, name: str) -> bool:
        """Whether a look is about to tell more than the store does: the tokens are due, and newer ones may be in the
        journal of a predecessor. The users of the secret are told when it has ended.
        """
        grant = self._grants.get(name)
        if grant is None or grant.looked or grant.due_at is None or grant.due_at > self._clock():
            return False
        grant.awaited = True
        return True

    def tools(self) -> set[str]:
        """Whose tokens are refreshed."""
        return {tool for tool, _ in map(_key, self._grants)}

    def oldest_overdue(self) -> float:
        """Seconds for which the most overdue refresh has been due, without those that only a person can help."""
        now = self._clock()
        waits = (now - grant.due_at for grant in self._grants.values() if grant.due_at and is_hopeful(grant.trouble))
        return max(0.0, max(waits, default=0.0))

    def refresh_now(self, name: str, uid: str, mark: str) -> None:
        """Look at once, and try also a grant whose refusal is on record; for the same tokens once a minute at most.

        `uid`, `mark`: the credential that asks, and with which mark. While its question waits in `questions`, the pass
        that answers it has not ended; all users are told when it has.
        """
        grant, now = self._grants.get(name), self._clock()
        if grant is None or self.questions.knows(name, uid, mark):
            return
        if grant.commanded_at is not None:
            pause = doubled(COMMAND_PAUSE, grant.commands, LONGEST_COMMAND_PAUSE) * self._scale
            if abs(now - grant.commanded_at) < pause:
                self.questions.join(name, uid, mark)
                return
            grant.commands += grant.trouble is not None
        grant.commanded_at = now
        self.questions.ask(name, uid, mark)
        self._insist.add(name)
        self._checks.hasten(name, grant.check)
        self._queue.add(_key(name), Priority.CHANGE)

    def clock_moved(self) -> None:
        """It is another time of day than was thought: plan all refreshes anew."""
        for name, grant in self._grants.items():
            self._schedule(name, self._first_look(grant))

    async def run(self) -> None:
        """Refresh whatever is due, until `stop`. Returns when the refreshes in hand are finished."""
        self._finished.clear()
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._workers):
                    group.create_task(self._work())
        finally:
            self._finished.set()

    def stop(self) -> None:
        """Begin no more refreshes."""
        self._queue.close()

    async def finish(self, timeout: float) -> None:
        """Begin no more refreshes, and wait `timeout` seconds at most for those in hand.

        A request whose answer nobody hears could cost its grant, also when this process does not lead any more.
        """
        self.stop()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._finished.wait(), timeout)

    async def _work(self) -> None:
        while (key := await self._queue.get()) is not None:
            if not self._turns.take(key):
                self._queue.done(key)
                continue
            self.questions.begin(key[1])
            pause = None
            try:
                pause = await self._refresh(key[1])
            except Exception:
                _log.exception("refresh failed", extra={"secret": key[1]})
                pause = LOOK_PAUSE * self._scale
            finally:
                if self.questions.end(key[1]):
                    self._changed(self._inventory.users_of(key[1]))
                self._queue.done(key)
                self._turns.give_back(key)
            self._schedule(key[1], pause)

    async def _refresh(self, name: str) -> float | None:
        """Returns seconds until the next look, None when there is nothing to look at."""
        grant = self._grants.get(name)
        if grant is None or not self._is_used(name):
            self._grants.pop(name, None)
            self._checks.forget(name)
            self._tokens.forget(name)
            return None
        insist = name in self._insist
        self._insist.discard(name)
        instead_of = grant.version if grant.check.rejected else None
        result = await self._tokens.ensure_valid(name, lead=grant.lead, insist=insist, instead_of=instead_of)
        if self._grants.get(name) is not grant:
            return self._overtaken(name)
        grant.looked = True
        if self._take(name, grant, result) or grant.awaited:
            grant.awaited = False
            self._changed(self._inventory.users_of(name))
        current = self._grants[name]
        if current is not grant and instead_of is not None:
            self._checks.follow(name, current.check)
        return await self._check(name, current, result)

    async def _check(self, name: str, grant: Grant, result: Refreshed) -> float | None:
        """Ask the provider about the token, if it is time. Returns seconds until the next look.

        A token that is dead before its time is replaced, once. If its successor is dead as well, or none can be had,
        the grant counts as revoked.
        """
        document, check = result.document, grant.check
        if result.problem is not None or document is None or not self._checks.is_due(check):
            return self._next_look(name, grant, result)
        alive = check.alive
        found = await self._checks.ask(name, grant.version, check)
        if self._grants.get(name) is not grant:
            return self._overtaken(name)
        if found is Liveness.DEAD:
            if not check.suspected and self._tokens.lacks(name, document) is None:
                return await self._replace(name, grant)
            check.dead = Trouble(Reason.REVOKED, _DEAD, self._clock(), dead=True)
        if self._take(name, grant, result) or alive is not check.alive:
            self._changed(self._inventory.users_of(name))
        return self._next_look(name, grant, result)

    async def _replace(self, name: str, grant: Grant) -> float | None:
        grant.check.rejected = True
        result = await self._tokens.ensure_valid(name, lead=grant.lead, instead_of=grant.version)
        if self._grants.get(name) is not grant:
            return self._overtaken(name)
        if self._take(name, grant, result):
            self._changed(self._inventory.users_of(name))
        current = self._grants[name]
        if current is not grant:
            self._checks.follow(name, current.check)
        return self._next_look(name, current, result)

    def _overtaken(self, name: str) -> float | None:
        """Another version came meanwhile, and its credentials know."""
        current = self._grants.get(name)
        return self._first_look(current) if current is not None else None

    def _take(self, name: str, grant: Grant, result: Refreshed) -> bool:
        """Take in how it ended; returns whether that is news for those who use the secret."""
        if result.document is not None and result.version not in (None, grant.version):
            self._renew(name, grant.arn, str(result.version), result.document)
            if grant.failing:
                self._try_others_of(_key(name)[0])
            return True
        before = grant.trouble
        if result.problem is not None:
            grant.failures += 1
        grant.trouble = same_or(before, self._trouble_of(name, grant, result))
        return grant.trouble is not before

    def _try_others_of(self, tool: str) -> None:
        """One grant works again that had failed, so others may. Those whose pauses are long are tried soon."""
        now, last = self._clock(), self._recovered_at.get(tool)
        if last is not None and abs(now - last) < RECOVERY_PAUSE * self._scale:
            return
        for name, grant in self._grants.items():
            if grant.failing and grant.has_ended(now) and _key(name)[0] == tool:
                self._recovered_at[tool] = now
                self._schedule(name, self._uniform(0, LOOK_PAUSE * self._scale))

    def _trouble_of(self, name: str, grant: Grant, result: Refreshed) -> Trouble | None:
        now = self._clock()
        if result.problem is not None:
            return Trouble(reason_of(result.problem), result.cause, now)
        if result.document is not None:
            return self._inherent(name, result.document) or grant.check.dead
        if result.rival:
            return Trouble(Reason.REFRESH_FAILING, _RIVAL, now)
        if result.foreign:
            return None
        # It has to wait for another attempt. That is trouble only once the token in use has ended.
        over = grant.trouble is None and grant.has_ended(now)
        return Trouble(Reason.REFRESH_FAILING, result.cause, now) if over else grant.trouble

    def _next_look(self, name: str, grant: Grant, result: Refreshed) -> float | None:
        if result.problem is not None:
            return self._next_try(name, grant, result, result.problem)
        if result.document is None:
            return result.retry_after if not result.foreign else LOOK_PAUSE * self._scale
        moments = [moment - self._clock() for moment in (grant.due_at, grant.check.at) if moment is not None]
        rests = [rest if rest > 0 else LOOK_PAUSE * self._scale for rest in moments]
        return min((*rests, *([] if result.retry_after is None else [result.retry_after])), default=None)

    def _next_try(self, name: str, grant: Grant, result: Refreshed, problem: Problem) -> float | None:
        if reason_of(problem) in LOST_REASONS:
            return self._next_probe(name, grant)
        usual = pause_after(problem, grant.failures)
        if usual is not None:
            pause = self._uniform(0.9 * usual, 1.1 * usual) * self._scale
        else:
            # The store is asked without a claim, so that there is no need to be slow once the token has ended.
            expired = problem is not Problem.UPSTREAM_UNAVAILABLE and grant.has_ended(self._clock())
            pause = refresh_retry(grant.failures, expired=expired, uniform=self._uniform) * self._scale
        if result.retry_after is None:
            return pause
        return result.retry_after if result.planned or grant.failures == 1 else max(result.retry_after, pause)

    def _next_probe(self, name: str, grant: Grant) -> float | None:
        if grant.due_at is None or grant.probes >= PROBES:
            return None
        pause = doubled(PROBE_PAUSE, grant.probes, LONGEST_PROBE_PAUSE)
        grant.probes += 1
        self._insist.add(name)
        return pause * self._scale

    def _first_look(self, grant: Grant) -> float | None:
        # Refused grants of a whole fleet are not all looked at in the second after a restart.
        least = self._uniform(0, LOOK_PAUSE * self._scale) if is_final(grant.trouble) else 0.0
        moments = [moment for moment in (grant.due_at, grant.check.at) if moment is not None]
        return max(min(moments) - self._clock(), least) if moments else None

    def _schedule(self, name: str, pause: float | None) -> None:
        if pause is not None:
            self._queue.schedule(_key(name), pause)

    def _is_used(self, name: str) -> bool:
        """Whether anybody may have it and wants it."""
        return bool(self._wishes(name))

    def _inherent(self, name: str, document: OAuthDocument) -> Trouble | None:
        """What is wrong with a document by itself."""
        now = self._clock()
        if document.revoked:
            return Trouble(Reason.REVOKED, _REVOKED, now)
        ends = document.expires_at is not None or document.access_token is None
        lacking = self._tokens.lacks(name, document) if ends else None
        return None if lacking is None else Trouble(reason_of(lacking.problem), lacking.cause, now)

    def _lead(self, name: str) -> float | None:
        """The smallest that anybody wants who may have it, seconds; None when nobody wants any."""
        leads = (spec.oauth.lead_s for spec in self._wishes(name) if spec.oauth)
        return min((lead for lead in leads if lead is not None), default=None)

    def _wishes(self, name: str) -> list[ToolCredentialSpec]:
        return [spec for spec in self._inventory.wishes(name) if not spec.suspend]

    def _has_another_lead(self, name: str, grant: Grant, document: OAuthDocument) -> bool:
        """Take in what its users want now. Returns whether that makes another plan: a try after a failure stays."""
        lead = self._lead(name)
        if lead == grant.lead:
            return False
        grant.lead = lead
        if grant.due_at is not None:
            grant.due_at = self._tokens.due_at(name, document, lead)
        return grant.trouble is None or not grant.looked

    def _renew(self, name: str, arn: str, version: str, document: OAuthDocument, told: Told = _NOTHING) -> Grant:
        """Begin anew with another version."""
        trouble, lead = self._inherent(name, document), self._lead(name)
        due_at = self._tokens.due_at(name, document, lead) if trouble is None else None
        found = same_or(told.trouble, trouble) if trouble is not None else told.trouble
        ends = self._tokens.consent_ends(name, arn, document)
        grant = Grant(arn, version, document.expires_at, due_at, found, lead=lead, consent_ends=ends)
        grant.unusable = self._tokens.unusable(name, document)
        if document.access_token is not None and trouble is None:
            fresh = not told.seen and not intact(arn, document)
            grant.check = self._checks.plan(name, told, fresh=fresh)
        self._grants[name] = grant
        self._insist.discard(name)
        return grant


def _key(name: str) -> Key:
    return tool_of(name) or "", name
