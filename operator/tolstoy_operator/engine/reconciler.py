"""One credential from wherever it is to where its spec wants it, and a status that says how that went.

The steps come in the order in which a reason should win: the namespace's binding, the spec, the claim on the target,
the upstream secret, its projection, the write. A problem at any step ends the way there and leaves the Secret as it
is. The status is written only when it differs, and the answer is when to look again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tolstoy_operator.api.reasons import MEANINGS, Reason
from tolstoy_operator.api.v1 import (
    CredentialType,
    TargetStatus,
    ToolCredentialSpec,
    ToolCredentialStatus,
    UpstreamStatus,
)
from tolstoy_operator.domain.documents import Document, MalformedSecret, check_type
from tolstoy_operator.domain.errors import StoreError
from tolstoy_operator.domain.grant import consent_finding, grant_changes, grant_finding, told
from tolstoy_operator.domain.oauthdocument import MalformedDocument, OAuthDocument
from tolstoy_operator.domain.projection import ProjectionProblem, project, sensitive_keys
from tolstoy_operator.domain.schedule import backoff
from tolstoy_operator.domain.status import (
    Facts,
    Finding,
    format_time,
    is_news,
    next_status,
    stalls_at,
    status_patch,
)
from tolstoy_operator.engine.bindings import HELD_PAUSE, Unbound
from tolstoy_operator.engine.change import OnData, change_of
from tolstoy_operator.engine.departures import Departures
from tolstoy_operator.engine.grant import Grant
from tolstoy_operator.engine.grants import Grants
from tolstoy_operator.engine.imports import Imports
from tolstoy_operator.engine.inventory import Inventory
from tolstoy_operator.engine.learned import Learned
from tolstoy_operator.engine.mirror import Mirror, Written
from tolstoy_operator.engine.problem import Problem, from_store
from tolstoy_operator.engine.records import Credential, Key, Namespace
from tolstoy_operator.engine.upstream import UpstreamHealth
from tolstoy_operator.kube.errors import NotFound
from tolstoy_operator.kube.events import EventsApi, Transition
from tolstoy_operator.kube.status import StatusApi
from tolstoy_operator.services.secrets import Fetched, SecretsService

_log = logging.getLogger(__name__)

UNKNOWN_NAMESPACE_PAUSE = 5.0
NOT_SURE_PAUSE = 30.0
"""Seconds until another look, should nobody tell before."""


@dataclass(frozen=True, slots=True)
class Timing:
    """`now`: wall clock in UTC. `uniform`: a random number between two. `stall_after`: patience of kstatus."""

    now: Callable[[], datetime]
    uniform: Callable[[float, float], float]
    stall_after: timedelta


class _NotSure(Exception):
    """What the store has may be older than what the Secret holds: a look at the grant is about to tell."""


class Reconciler:
    """Reconciles credentials by key. Safe for many at a time, as long as one key is in one worker's hands."""

    def __init__(
        self,
        *,
        inventory: Inventory,
        secrets: SecretsService,
        mirror: Mirror,
        unbound: Unbound,
        upstream: UpstreamHealth,
        grants: Grants,
        imports: Imports,
        departures: Departures,
        status: StatusApi,
        events: EventsApi,
        region: str,
        timing: Timing,
        on_status: Callable[[Key, ToolCredentialStatus], None],
        on_data: OnData,
    ) -> None:
        self._inventory = inventory
        self._secrets = secrets
        self._mirror = mirror
        self._unbound = unbound
        self._upstream = upstream
        self._grants = grants
        self._imports = imports
        self._departures = departures
        self._status = status
        self._events = events
        self._region = region
        self._timing = timing
        self._on_status = on_status
        self._on_data = on_data

    async def reconcile(self, key: Key, failures: int) -> tuple[Reason | None, float | None]:
        """Do what the credential needs now. `failures`: how often in a row it did not end well before.

        Returns the reason it ended with (None: nothing to decide) and seconds until the next look (None: on change).
        Raises `KubeError` when the API server does not take a write.
        """
        credential = self._inventory.credential(key)
        if credential is None:
            return None, None
        if credential.deleting:
            self._departures.add(key)
            return None, None
        namespace = self._inventory.namespace(key[0])
        if namespace is None:
            return None, UNKNOWN_NAMESPACE_PAUSE
        if namespace.terminating:
            return None, None
        await self._mirror.look(credential)
        departure = await self._departures.prepare(credential, namespace)
        if self._inventory.credential(key) is not credential:
            return None, 0.0  # it has changed, or is going, since
        learned = Learned(self._timing.now(), departure=departure)
        try:
            finding = await self._bring_about(credential, namespace, learned)
        except _NotSure:
            return None, NOT_SURE_PAUSE
        except Problem as problem:
            finding = Finding(problem.reason, problem.cause, mirrored=False)
        status = await self._report(credential, finding, learned)
        return finding.reason, self._next_look(status, finding, learned, failures)

    async def _bring_about(self, credential: Credential, namespace: Namespace, learned: Learned) -> Finding:
        spec = credential.spec
        if spec is None:
            raise Problem(Reason.INVALID_SPEC, credential.spec_problem)
        if not namespace.binding.allows(spec):
            await self._withdraw_when_due(credential, learned)
            raise _not_bound(namespace.name, spec)
        self._unbound.bound(credential)
        if not namespace.binding.sensitive_keys:
            await self._mirror.strip(credential, sensitive_keys(spec.target))
        if spec.suspend:
            raise Problem(Reason.SUSPENDED, "spec.suspend is true, so the Secret is left as it is")
        await self._imports.take(credential, namespace.binding)
        self._mirror.check_claim(credential)
        fetched = await self._fetch(credential, learned)
        try:
            data = self._project(fetched, credential, spec, namespace, learned)
        except ProjectionProblem as problem:
            await self._mirror.strip(credential, problem.withheld)
            raise Problem(problem.reason, problem.cause) from None
        name, upstream = _names(credential)
        version = fetched.version
        if self._may_be_behind(credential, version.version_id) and self._grants.settling(upstream):
            raise _NotSure
        written = await self._mirror.apply(credential, name, data, upstream=upstream, version_id=version.version_id)
        learned.written = written is not Written.NOTHING
        change = change_of(credential, version, written, learned.credential_type)
        if change is not None:
            self._inventory.note_told(credential.uid, version.version_id)
            self._on_data(credential, change)
        learned.upstream = UpstreamStatus(
            name=upstream, arn=version.arn, version_id=version.version_id, region=self._region
        )
        await self._mirror.withdraw(credential, except_name=name)
        return self._verdict(upstream, fetched, learned)

    async def _fetch(self, credential: Credential, learned: Learned) -> Fetched:
        _, upstream = _names(credential)
        mark = credential.new_mark
        if mark is not None and not self._grants.questions.knows(upstream, credential.uid, mark):
            self._secrets.invalidate(upstream)
        learned.upstream = credential.status.upstream or UpstreamStatus(name=upstream, region=self._region)
        try:
            fetched = await self._secrets.get(upstream, actor=credential.actor)
        except StoreError as error:
            raise from_store(error, upstream) from None
        finally:
            learned.at = self._timing.now()
        return fetched

    def _project(
        self,
        fetched: Fetched,
        credential: Credential,
        spec: ToolCredentialSpec,
        namespace: Namespace,
        learned: Learned,
    ) -> dict[str, bytes]:
        try:
            document = fetched.document()
            if document.revoked:
                self._learn_end(credential, fetched, learned)
                raise Problem(Reason.REVOKED, f"{fetched.version.name}: the grant was revoked")
            found = check_type(document, spec.type)
            self._check_same_type(credential, spec, found)
            learned.credential_type = found
            self._note_grant(credential, fetched, learned)
            self._check_token(fetched.version.name, document, learned.known)
            projection = project(document, found, spec.target, sensitive_granted=namespace.binding.sensitive_keys)
        except MalformedSecret as problem:
            raise Problem(Reason.SECRET_MALFORMED, f"{fetched.version.name}: {problem.cause}") from None
        return dict(projection.data)

    def _check_token(self, name: str, document: Document, known: Grant | None) -> None:
        """Nothing is mirrored that nobody can use, and what keeps a token from coming is said instead of that."""
        if known is None:
            return
        if known.unusable:
            raise Problem(Reason.TOKEN_TYPE_UNSUPPORTED, f"{name}: {known.unusable}")
        if document.is_blank("accessToken"):
            if self._grants.settling(name):
                raise _NotSure
            if known.trouble is not None:
                raise Problem(known.trouble.reason, f"{name}: {known.trouble.cause}")

    def _learn_end(self, credential: Credential, fetched: Fetched, learned: Learned) -> None:
        """There is nothing to mirror any more, and the Secret stays as it is."""
        version = fetched.version
        learned.credential_type = CredentialType.OAUTH2
        self._note_grant(credential, fetched, learned)
        learned.upstream = UpstreamStatus(
            name=version.name, arn=version.arn, version_id=version.version_id, region=self._region
        )

    def _check_same_type(self, credential: Credential, spec: ToolCredentialSpec, found: CredentialType) -> None:
        before = credential.status.credential_type
        if spec.type is CredentialType.AUTO and before not in (None, found) and self._mirror.holdings(credential):
            raise MalformedSecret(
                f"the document was of type {before} and is now {found}; set spec.type if that is meant"
            )

    def _note_grant(self, credential: Credential, fetched: Fetched, learned: Learned) -> None:
        if learned.credential_type is not CredentialType.OAUTH2:
            return
        learned.document = _oauth(fetched)
        told_before = told(credential.status, fetched.version.version_id)
        learned.known = self._grants.note(fetched.version, learned.document, told_before)
        mark = credential.new_mark
        if mark is not None:
            self._grants.refresh_now(fetched.version.name, credential.uid, mark)

    def _verdict(self, upstream: str, fetched: Fetched, learned: Learned) -> Finding:
        finding = Finding(Reason.SYNCED)
        if learned.document is not None and learned.known is not None:
            now, trouble = learned.at.timestamp(), learned.known.trouble
            finding = grant_finding(learned.document, upstream, now=now, trouble=trouble)
        if finding.reason is Reason.SYNCED and self._is_old(fetched):
            read_at = format_time(datetime.fromtimestamp(fetched.read_at, UTC))
            return Finding(
                Reason.UPSTREAM_UNAVAILABLE,
                f"the store does not answer for {upstream}; the Secret keeps the value read at {read_at}",
            )
        if finding.reason is not Reason.SYNCED:
            return finding
        return (
            learned.departure or consent_finding(upstream, learned.consent_ends, now=learned.at.timestamp()) or finding
        )

    def _is_old(self, fetched: Fetched) -> bool:
        """Whether the store could not be asked, or has stopped answering since it was."""
        down = self._upstream.unavailable_since
        return fetched.stale or (down is not None and fetched.read_at < down.timestamp())

    def _may_be_behind(self, credential: Credential, version_id: str) -> bool:
        shown = credential.status.upstream
        other = shown is not None and shown.version_id not in (None, version_id)
        return other and self._mirror.current(credential) is not None

    async def _withdraw_when_due(self, credential: Credential, learned: Learned) -> None:
        if not self._mirror.holdings(credential):
            self._unbound.forget(credential.uid)
            return
        learned.withdraw_in = self._unbound.seconds_left(credential)
        if learned.withdraw_in == 0:
            await self._mirror.withdraw(credential)
            learned.withdraw_in = HELD_PAUSE  # the watch tells sooner that it is gone

    async def _report(self, credential: Credential, finding: Finding, learned: Learned) -> ToolCredentialStatus:
        """Write the status if it is another one now. Returns it."""
        now = learned.at
        facts = Facts(
            generation=credential.generation,
            target=self._target(credential, learned, now),
            credential_type=learned.credential_type,
            grant=learned.grant,
            upstream=learned.upstream,
            force_sync=self._handled(credential),
        )
        before = credential.status
        status = next_status(before, finding, facts, now=now, stall_after=self._timing.stall_after)
        self._on_status(credential.key, status)
        if status == before:
            return status
        try:
            body = await self._status.write(*credential.key, credential.version, status_patch(status))
        except NotFound:
            return status
        self._inventory.note_credential(body)
        if is_news(before, status):
            await self._announce(credential, finding, now)
        return status

    def _handled(self, credential: Credential) -> str | None:
        """The mark to acknowledge: the latest, unless the refresh that it asks for has not ended."""
        mark, upstream = credential.new_mark, credential.upstream or ""
        waits = mark is not None and self._grants.questions.waits(upstream, credential.uid, mark)
        return credential.status.last_handled_force_sync if waits else credential.force_sync

    async def _announce(self, credential: Credential, finding: Finding, now: datetime) -> None:
        warning = finding.reason not in (Reason.SYNCED, Reason.SUSPENDED)
        _log.log(
            logging.WARNING if warning else logging.INFO,
            "%s: %s",
            finding.reason,
            finding.cause,
            extra={"namespace": credential.key[0], "credential": credential.key[1], "reason": finding.reason},
        )
        transition = Transition(*credential.key, credential.uid, warning, finding.reason, finding.cause)
        await self._events.post(transition, at=now)

    def _target(self, credential: Credential, learned: Learned, now: datetime) -> TargetStatus | None:
        existing = self._mirror.current(credential)
        if existing is None:
            return None
        keys = sorted(existing.merged_keys.get(credential.uid, ()) if not credential.owns else existing.keys)
        before = credential.status.target
        if before is not None and not learned.written and (before.name, before.keys) == (existing.name, keys):
            return before
        return TargetStatus(name=existing.name, keys=keys, last_sync_time=format_time(now))

    def _next_look(
        self, status: ToolCredentialStatus, finding: Finding, learned: Learned, failures: int
    ) -> float | None:
        now = self._timing.now()
        moments = (
            *grant_changes(status.grant, learned.consent_ends),
            stalls_at(status, self._timing.stall_after),
        )
        # What lay ahead when it was judged and has come meanwhile is due at once.
        waits = [max(0.0, (moment - now).total_seconds()) for moment in moments if moment and moment > learned.at]
        if MEANINGS[finding.reason].retries:
            waits.append(backoff(failures + 1, self._timing.uniform))
        if learned.withdraw_in is not None:
            waits.append(learned.withdraw_in)
        return min(waits, default=None)


def _oauth(fetched: Fetched) -> OAuthDocument:
    try:
        return OAuthDocument.parse(fetched.version.value)
    except MalformedDocument as error:
        raise MalformedSecret(str(error)) from None


def _names(credential: Credential) -> tuple[str, str]:
    target, upstream = credential.target, credential.upstream
    if target is None or upstream is None:
        raise AssertionError
    return target[1], upstream


def _not_bound(namespace: str, spec: ToolCredentialSpec) -> Problem:
    what = f"organisation {spec.org_id}" if spec.org_id else f"secret {spec.secret_name}"
    return Problem(Reason.NAMESPACE_NOT_BOUND, f"namespace {namespace} is not bound to {what}")
