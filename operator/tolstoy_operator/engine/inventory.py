"""What exists in the cluster, as far as we know: credentials, their Secrets, and the bindings of namespaces.

Fed from three unordered streams and from lists. Everything is idempotent and keyed by resourceVersion, so an event
that arrives late or twice changes nothing, and our own writes, observed from the response, come back as no news. The
inventory answers questions and says what changed; it never acts.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from tolstoy_operator.api.v1 import ToolCredentialSpec
from tolstoy_operator.domain.existing import ExistingSecret, Fingerprint, existing_secret
from tolstoy_operator.domain.ownership import Claim
from tolstoy_operator.engine.records import (
    Credential,
    Key,
    Namespace,
    credential_of,
    differs,
    key_of,
    namespace_of,
    of_others,
)

REMEMBERED_ENDS = 10_000
"""How many objects that went are remembered, so that a list from before does not bring them back."""

K = TypeVar("K", str, Key)


class Inventory:
    """All records, with the indexes that fan changes out. Methods that observe return the credentials concerned."""

    def __init__(self, fingerprint: Fingerprint) -> None:
        self._fingerprint = fingerprint
        self._credentials: dict[Key, Credential] = {}
        self._secrets: dict[Key, ExistingSecret] = {}
        self._namespaces: dict[str, Namespace] = {}
        self._by_namespace: defaultdict[str, set[Key]] = defaultdict(set)
        self._by_upstream: defaultdict[str, set[Key]] = defaultdict(set)
        self._by_target: defaultdict[Key, set[Key]] = defaultdict(set)
        self._by_source: defaultdict[Key, set[Key]] = defaultdict(set)
        self._by_uid: dict[str, Key] = {}
        self._secrets_by_owner: defaultdict[str, set[Key]] = defaultdict(set)
        self._ended: dict[str, float] = {}

    def credential(self, key: Key) -> Credential | None:
        """The credential, if it exists."""
        return self._credentials.get(key)

    def credentials(self) -> Iterable[Credential]:
        """All credentials."""
        return self._credentials.values()

    def secret(self, key: Key) -> ExistingSecret | None:
        """The Secret, if it exists and carries our label."""
        return self._secrets.get(key)

    def secrets(self) -> Iterable[ExistingSecret]:
        """All Secrets that carry our label."""
        return self._secrets.values()

    def namespace(self, name: str) -> Namespace | None:
        """The Namespace, None while it is unknown (which is not the same as unbound)."""
        return self._namespaces.get(name)

    def upstream_names(self) -> set[str]:
        """The names of all secrets that a credential uses."""
        return set(self._by_upstream)

    def users_of(self, upstream: str) -> frozenset[Key]:
        """The credentials that use an upstream secret."""
        return frozenset(self._by_upstream.get(upstream, ()))

    def wishes(self, upstream: str) -> list[ToolCredentialSpec]:
        """The specs of those who use an upstream secret and may: bound to it, and not about to go.

        A namespace that is unknown counts as bound: what ends a grant must not rest on not knowing.
        """
        users = ((self._credentials[key], self.namespace(key[0])) for key in self.users_of(upstream))
        return [
            user.spec
            for user, namespace in users
            if user.spec and not user.deleting and (namespace is None or namespace.binding.allows(user.spec))
        ]

    def behind(self, upstream: str, version_id: str | None) -> frozenset[Key]:
        """The credentials whose mirror was last made from another version of an upstream secret than this one."""
        return frozenset(key for key in self.users_of(upstream) if _mirrored(self._credentials[key]) != version_id)

    def is_live(self, uid: str) -> bool:
        """Whether a credential with this UID exists."""
        return uid in self._by_uid

    @property
    def live_uids(self) -> Mapping[str, Key]:
        """UIDs of all credentials."""
        return self._by_uid

    def claims(self, target: Key) -> list[Claim]:
        """The credentials that claim a Secret as a whole."""
        found = (self._credentials[key] for key in self._by_target.get(target, ()))
        return [Claim(item.key[1], item.uid, item.created) for item in found if item.owns and not item.deleting]

    def targeting(self, target: Key) -> frozenset[Key]:
        """The credentials that claim a Secret or merge into it."""
        return frozenset(self._by_target.get(target, ()))

    def secrets_of(self, uid: str) -> list[ExistingSecret]:
        """The Secrets that belong to the credential with this UID, as whole or in part."""
        return [self._secrets[key] for key in sorted(self._secrets_by_owner.get(uid, ()))]

    def observe_credential(self, body: Mapping[str, Any]) -> frozenset[Key]:
        """Take in a ToolCredential. Returns it when somebody else changed something that matters."""
        known = self._credentials.get(key_of(body))
        if not self._is_news(known, body):
            return frozenset()
        fresh = credential_of(body, known)
        concerned = self._replace(known, fresh)
        return concerned if known is None or differs(known, fresh) else frozenset()

    def note_credential(self, body: Mapping[str, Any]) -> None:
        """Take in the response to our own write. What others changed meanwhile is left to the watch to tell."""
        known = self._credentials.get(key_of(body))
        fresh = credential_of(body, known)
        if known is None or of_others(known) != of_others(fresh):
            return
        if fresh.version > known.version:
            known.version, known.finalizers = fresh.version, fresh.finalizers
            known.packed_status = fresh.packed_status

    def note_told(self, uid: str, version_id: str) -> None:
        """The data of this version of its upstream secret was told of, for the credential with this UID."""
        if uid in self._by_uid:
            self._credentials[self._by_uid[uid]].told = version_id

    def forget_credential(self, key: Key, uid: str) -> frozenset[Key]:
        """A ToolCredential is gone. Returns the others that its target or keys concern."""
        self._note_end(uid, math.inf)
        known = self._credentials.get(key)
        if known is None or known.uid != uid:
            return frozenset()
        self._unindex(known)
        del self._credentials[key]
        return self.targeting(known.target) if known.target else frozenset()

    def observe_secret(self, body: Mapping[str, Any]) -> frozenset[Key]:
        """Take in a Secret that carries our label. Returns the credentials whose Secret looks different now."""
        key = key_of(body)
        if not self._is_news(self._secrets.get(key), body):
            return frozenset()
        fresh = existing_secret(body, self._fingerprint)
        self._drop_secret(key)
        self._secrets[key] = fresh
        for uid in _owners(fresh):
            self._secrets_by_owner[uid].add(key)
        return self._concerned(key, fresh)

    def forget_secret(self, key: Key, uid: str, version: int) -> frozenset[Key]:
        """A Secret is gone, or does not carry our label any more, since `version`."""
        self._note_end(uid, version)
        known = self._secrets.get(key)
        if known is None or known.uid != uid or known.version > version:
            return frozenset()
        self._drop_secret(key)
        return self._concerned(key, known)

    def observe_namespace(self, body: Mapping[str, Any]) -> frozenset[Key]:
        """Take in a Namespace. Returns its credentials when its binding changed."""
        fresh = namespace_of(body)
        known = self._namespaces.get(fresh.name)
        if known is not None and fresh.version <= known.version:
            return frozenset()
        self._namespaces[fresh.name] = fresh
        same = known is not None and (known.binding, known.terminating) == (fresh.binding, fresh.terminating)
        return frozenset() if same else frozenset(self._by_namespace.get(fresh.name, ()))

    def forget_namespace(self, name: str, version: int) -> None:
        """A Namespace is gone since `version`, and all that was in it goes by its own events."""
        known = self._namespaces.get(name)
        if known is not None and known.version <= version:
            del self._namespaces[name]

    def absent_credentials(self, seen: set[tuple[Key, str]], listed_at: int) -> list[Credential]:
        """Credentials that a list at resourceVersion `listed_at` lacks (`seen`: key and UID) and that are not newer."""
        return [
            item
            for item in self._credentials.values()
            if item.version <= listed_at and (item.key, item.uid) not in seen
        ]

    def absent_secrets(self, seen: set[tuple[Key, str]], listed_at: int) -> list[ExistingSecret]:
        """The same for Secrets."""
        return [
            item for key, item in self._secrets.items() if item.version <= listed_at and (key, item.uid) not in seen
        ]

    def absent_namespaces(self, seen: set[str], listed_at: int) -> list[str]:
        """The same for Namespaces."""
        return [item.name for item in self._namespaces.values() if item.version <= listed_at and item.name not in seen]

    def _replace(self, known: Credential | None, fresh: Credential) -> frozenset[Key]:
        concerned = {fresh.key}
        if known is not None:
            self._unindex(known)
            if known.target and known.target != fresh.target:
                concerned |= self.targeting(known.target)
        self._credentials[fresh.key] = fresh
        self._by_uid[fresh.uid] = fresh.key
        self._by_namespace[fresh.key[0]].add(fresh.key)
        if fresh.upstream:
            self._by_upstream[fresh.upstream].add(fresh.key)
        if fresh.target:
            self._by_target[fresh.target].add(fresh.key)
        if fresh.source:
            self._by_source[fresh.source].add(fresh.key)
        return frozenset(concerned)

    def _unindex(self, known: Credential) -> None:
        self._by_uid.pop(known.uid, None)
        _discard(self._by_namespace, known.key[0], known.key)
        if known.upstream:
            _discard(self._by_upstream, known.upstream, known.key)
        if known.target:
            _discard(self._by_target, known.target, known.key)
        if known.source:
            _discard(self._by_source, known.source, known.key)

    def _drop_secret(self, key: Key) -> None:
        known = self._secrets.pop(key, None)
        if known is not None:
            for uid in _owners(known):
                _discard(self._secrets_by_owner, uid, key)

    def _note_end(self, uid: str, version: float) -> None:
        self._ended.pop(uid, None)
        self._ended[uid] = version
        if len(self._ended) > REMEMBERED_ENDS:
            del self._ended[next(iter(self._ended))]

    def _is_news(self, known: Credential | ExistingSecret | None, body: Mapping[str, Any]) -> bool:
        """Asked before a body is looked into: most of what the watches bring is the echo of our own writes."""
        version = int(body["metadata"]["resourceVersion"])
        return not self._is_past(body["metadata"]["uid"], version) and (known is None or version > known.version)

    def _is_past(self, uid: str, version: int) -> bool:
        # A Secret that lost its label goes at the very version at which it exists without: that one is not past.
        return version < self._ended.get(uid, -1)

    def _concerned(self, key: Key, secret: ExistingSecret) -> frozenset[Key]:
        owners = {self._by_uid[uid] for uid in _owners(secret) if uid in self._by_uid}
        return self.targeting(key) | self._by_source.get(key, set()) | owners


def _mirrored(item: Credential) -> str | None:
    return item.status.upstream.version_id if item.status.upstream else None


def _owners(secret: ExistingSecret) -> Iterator[str]:
    holder = secret.holder
    for uid in {holder.controller_uid, holder.marked_uid, *secret.merged_keys}:
        if uid is not None:
            yield uid


def _discard(index: dict[K, set[Key]], at: K, key: Key) -> None:
    found = index.get(at)
    if found is not None:
        found.discard(key)
        if not found:
            del index[at]
