"""`kubectl tolstoy import`: first tokens out of a file, by way of the Secret that `spec.initialTokensFrom` names.

Tokens that lie about are as good as the grant. So they are never a part of a command line, the Secret is written only
when the operator can be expected to take it, and whatever goes wrong, an interruption included, it is removed again.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from tolstoy_operator.api import names
from tolstoy_operator.api.reasons import Reason
from tolstoy_operator.cli.clocks import Clocks, finish
from tolstoy_operator.cli.errors import CliError
from tolstoy_operator.cli.refresh import Credentials, Outcome, refresh
from tolstoy_operator.cli.view import JSON_VERSION, CredentialView, view
from tolstoy_operator.domain.documents import MalformedSecret, parse_document
from tolstoy_operator.domain.firsttokens import first_tokens_of, source_label
from tolstoy_operator.domain.secretvalue import SecretValue
from tolstoy_operator.kube.client import Object

_LONGEST_STEM: Final = 230
_HOPELESS: Final = frozenset({Reason.NAMESPACE_NOT_BOUND, Reason.INVALID_SPEC, Reason.SUSPENDED})
"""With these the operator does not look for first tokens at all."""
_REFUSALS: Final = _HOPELESS | {Reason.IMPORT_NOT_GRANTED}


class Tenancy(Credentials, Protocol):
    """The part of `Cluster` that an import takes."""

    async def change_spec(self, namespace: str, name: str, uid: str, spec: Object) -> Object:
        """Merge members into a spec."""
        ...

    async def create_secret(self, namespace: str, manifest: Object) -> bool:
        """Returns False when there is one of that name."""
        ...

    async def secret_metadata(self, namespace: str, name: str) -> Object | None:
        """The metadata of a Secret, None when there is none."""
        ...

    async def delete_secret(self, namespace: str, name: str, uid: str) -> None:
        """Delete the Secret with that UID."""
        ...


@dataclass(frozen=True, slots=True)
class Handed:
    """The operator has taken the tokens. `before`: the credential as it was; `outcome`: what came of it."""

    before: CredentialView
    outcome: Outcome

    @property
    def stored(self) -> bool:
        """Whether there is another version upstream than before; a grant that is newer than the tokens stays."""
        before, after = self.before.status.upstream, self._after.status.upstream
        return after is not None and after.version_id not in (None, before.version_id if before else None)

    @property
    def good(self) -> bool:
        """Whether there is nothing left to do."""
        return self.stored and self.outcome.good

    @property
    def _after(self) -> CredentialView:
        return self.outcome.after or self.outcome.before

    def to_json(self, now: datetime) -> dict[str, Any]:
        """The documented form."""
        return {
            "apiVersion": JSON_VERSION,
            "kind": "Import",
            "stored": self.stored,
            "credential": self._after.to_json(now),
        }

    def lines(self, now: datetime) -> Iterator[str]:
        """The outcome for people."""
        item = self._after
        upstream = f" in {item.status.upstream.name}" if item.status.upstream else ""
        told = f"the first tokens are stored{upstream}"
        if not self.stored:
            told = f"nothing was stored: the grant{upstream} is as new as the tokens, or newer"
        yield f"{item.namespace}/{item.name}: {told}"
        yield from self.outcome.rows(item, now)


def read_tokens(content: bytes) -> dict[str, SecretValue]:
    """The members of an OAuth document in JSON. Raises `CliError`, which names no value."""
    try:
        return first_tokens_of(parse_document(SecretValue(content.decode())))
    except UnicodeDecodeError:
        cause = "it is not text in UTF-8"
    except MalformedSecret as problem:
        cause = problem.cause
    raise CliError(
        f"these are no first tokens: {cause}",
        'give a JSON object such as {"accessToken": "...", "refreshToken": "...", "expiresAt": 1785000000000}',
    )


async def hand_over(
    cluster: Tenancy, namespace: str, name: str, tokens: Mapping[str, SecretValue], *, timeout: float, clocks: Clocks
) -> Handed:
    """Have the operator store the tokens. Raises `CliError` when it does not within `timeout` seconds."""
    deadline = clocks.elapsed() + timeout
    body = await cluster.credential(namespace, name)
    before = view(body)
    _check(before)
    source = await _source(cluster, before, body["spec"])
    secret = _Source(cluster, namespace, source)
    try:
        await secret.create(tokens)
        await _until_taken(cluster, before, secret, timeout=timeout, deadline=deadline, clocks=clocks)
    except BaseException:
        await secret.remove()
        raise
    left = max(0.0, deadline - clocks.elapsed())
    try:
        return Handed(before, await refresh(cluster, namespace, name, wait=True, timeout=left, clocks=clocks))
    except CliError as error:
        raise CliError(f"the operator has taken the first tokens, but {error.message}", error.next_step) from None


class _Source:
    """The Secret with the tokens. Which one is ours follows from an annotation: a name can be anybody's."""

    def __init__(self, cluster: Tenancy, namespace: str, name: str) -> None:
        self.name = name
        self._cluster = cluster
        self._namespace = namespace
        self._run = secrets.token_hex(16)

    async def create(self, tokens: Mapping[str, SecretValue]) -> None:
        manifest: Object = {
            "metadata": {
                "name": self.name,
                "labels": {names.MANAGED_LABEL: names.IMPORT_VALUE},
                "annotations": {names.IMPORT_RUN: self._run},
            },
            "stringData": {key: value.reveal() for key, value in tokens.items()},
        }
        made = await finish(self._cluster.create_secret(self._namespace, manifest))
        # A request that was repeated, because its answer was lost, finds what it has made itself.
        if not made and await self.uid() is None:
            raise CliError(
                f"there is a Secret {self.name} in namespace {self._namespace} already",
                "it may be an import that waits: kubectl tolstoy why shows it; else rename it, or name another one in "
                "spec.initialTokensFrom",
            )

    async def uid(self) -> str | None:
        """None when it is gone, or never was."""
        found = await self._cluster.secret_metadata(self._namespace, self.name)
        ours = found is not None and (found.get("annotations") or {}).get(names.IMPORT_RUN) == self._run
        return str(found["uid"]) if found is not None and ours else None

    async def remove(self) -> None:
        try:
            uid = await self.uid()
            if uid is not None:
                await self._cluster.delete_secret(self._namespace, self.name, uid)
        except CliError as error:
            raise CliError(
                f"{error.message}; Secret {self.name} may be left with the tokens in it",
                f"kubectl delete secret {self.name} -n {self._namespace}, and try again",
            ) from None


def _check(item: CredentialView) -> None:
    where = f"{item.namespace}/{item.name}"
    if item.deleting:
        raise CliError(f"{where} is being deleted", "create it anew when it is gone")
    if item.tool is None:
        raise CliError(
            f"{where} names its secret outright, and first tokens are of a tool and an organisation",
            "choose a ToolCredential with spec.tool and spec.orgId",
        )
    if item.observed and item.reason in _HOPELESS:
        raise _refused(item)


async def _source(cluster: Tenancy, item: CredentialView, spec: Mapping[str, Any]) -> str:
    """The name of the Secret that the operator is to look for; the spec is told one when it has none."""
    named = ((spec.get("initialTokensFrom") or {}).get("secretRef") or {}).get("name")
    if named:
        return str(named)
    name = f"{item.name[:_LONGEST_STEM].rstrip('.-')}-first-tokens"
    await cluster.change_spec(item.namespace, item.name, item.uid, {"initialTokensFrom": {"secretRef": {"name": name}}})
    return name


async def _until_taken(
    cluster: Tenancy, before: CredentialView, secret: _Source, *, timeout: float, deadline: float, clocks: Clocks
) -> None:
    if await clocks.until(lambda: _taken(cluster, before, secret), deadline) is None:
        raise await _silent(cluster, before, timeout)


async def _taken(cluster: Tenancy, before: CredentialView, secret: _Source) -> bool | None:
    """True when the operator has, None when it has not yet. Raises `CliError` when it says that it does not."""
    if await secret.uid() is None:
        return True
    item = view(await cluster.credential(before.namespace, before.name))
    malformed = item.reason == Reason.SECRET_MALFORMED and source_label(secret.name) in item.explanation.cause
    if item.observed and (malformed or item.reason in _REFUSALS):
        raise _refused(item)
    return None


def _refused(item: CredentialView) -> CliError:
    return CliError(
        f"the operator does not take first tokens of {item.namespace}/{item.name}: "
        f"{item.reason}: {item.explanation.cause}",
        item.explanation.who_acts,
    )


async def _silent(cluster: Tenancy, before: CredentialView, timeout: float) -> CliError:
    item = view(await cluster.credential(before.namespace, before.name))
    return CliError(
        f"the operator has not taken the first tokens of {item.namespace}/{item.name} within {timeout:g} s; "
        f"it says {item.reason}: {item.explanation.cause}",
        "nothing was left in the cluster; try again when that is cured, or with a longer --timeout",
    )
