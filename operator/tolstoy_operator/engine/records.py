"""What is kept of one object that exists, as last seen: of a ToolCredential, and of a Namespace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from sys import intern
from typing import Any

from pydantic import ValidationError

from tolstoy_operator.api import names
from tolstoy_operator.api.reasons import Reason
from tolstoy_operator.api.v1 import CreationPolicy, ToolCredentialSpec, ToolCredentialStatus
from tolstoy_operator.domain.forcesync import mark_of
from tolstoy_operator.domain.naming import InvalidName, target_name, upstream_name
from tolstoy_operator.domain.packedstatus import PackedStatus
from tolstoy_operator.domain.tenancy import Binding, binding_of
from tolstoy_operator.observability.audit import Actor

Key = tuple[str, str]
"""Namespace and name."""


@dataclass(slots=True)
class Credential:
    """A ToolCredential as last seen. `spec` is None when it cannot be read; `spec_problem` says where.

    `told`: the version of its upstream secret whose data this process has told of, as a change.
    """

    key: Key
    uid: str
    version: int
    generation: int
    created: str
    deleted_at: str | None
    force_sync: str | None
    spec: ToolCredentialSpec | None
    spec_problem: str
    packed_status: PackedStatus
    finalizers: tuple[str, ...] = ()
    told: str | None = None

    @property
    def status(self) -> ToolCredentialStatus:
        """What the operator said last."""
        return self.packed_status.unpack()

    @property
    def reason(self) -> Reason | None:
        """The summary of the status; None before the first one."""
        return self.packed_status.reason

    @property
    def new_mark(self) -> str | None:
        """The force-sync that nobody has acknowledged yet, if there is one."""
        if self.force_sync is None or self.force_sync == self.status.last_handled_force_sync:
            return None
        return self.force_sync

    @property
    def deleting(self) -> bool:
        """Whether its deletion has begun."""
        return self.deleted_at is not None

    @property
    def target(self) -> Key | None:
        """Namespace and name of the Secret that the credential wants to own or merge into."""
        return (self.key[0], target_name(self.spec, self.key[1])) if self.spec else None

    @property
    def upstream(self) -> str | None:
        """The name of its secret upstream."""
        return upstream_name(self.spec) if self.spec else None

    @property
    def source(self) -> Key | None:
        """Namespace and name of the Secret with first tokens, if the spec names one."""
        named = self.spec.initial_tokens_from if self.spec else None
        return (self.key[0], named.secret_ref.name) if named else None

    @property
    def actor(self) -> Actor:
        """In whose name its secret is read and written, for the audit log."""
        return Actor(*self.key, self.uid)

    @property
    def owns(self) -> bool:
        """Whether it claims its target as a whole."""
        return self.spec is not None and self.spec.target.creation_policy is CreationPolicy.OWNER


@dataclass(frozen=True, slots=True)
class Namespace:
    """A Namespace as last seen."""

    name: str
    version: int
    terminating: bool
    binding: Binding


def key_of(body: Mapping[str, Any]) -> Key:
    """Namespace and name of an object."""
    return intern(body["metadata"]["namespace"]), body["metadata"]["name"]


def credential_of(body: Mapping[str, Any], known: Credential | None) -> Credential:
    """The record of a ToolCredential. `known`: the one so far."""
    meta = body["metadata"]
    generation = int(meta.get("generation", 1))
    if known is not None and (known.uid, known.generation) == (meta["uid"], generation):
        spec, problem = known.spec, known.spec_problem  # most events are about a status
    else:
        spec, problem = _spec(body.get("spec"))
    return Credential(
        key=known.key if known is not None else key_of(body),
        uid=meta["uid"],
        version=int(meta["resourceVersion"]),
        generation=generation,
        created=meta.get("creationTimestamp", ""),
        deleted_at=meta.get("deletionTimestamp"),
        force_sync=mark_of(meta),
        spec=spec,
        spec_problem=problem,
        packed_status=PackedStatus.of(body.get("status")),
        finalizers=tuple(meta.get("finalizers") or ()),
        told=known.told if known is not None and known.uid == meta["uid"] else None,
    )


def namespace_of(body: Mapping[str, Any]) -> Namespace:
    """The record of a Namespace."""
    meta = body["metadata"]
    return Namespace(
        name=meta["name"],
        version=int(meta["resourceVersion"]),
        terminating="deletionTimestamp" in meta,
        binding=binding_of(meta.get("annotations")),
    )


def _spec(raw: Any) -> tuple[ToolCredentialSpec | None, str]:
    try:
        spec = ToolCredentialSpec.model_validate(raw)
        upstream_name(spec)
    except InvalidName as error:
        return None, f"not valid: {error}"
    except ValidationError as error:
        where = {".".join(("spec", *map(str, item["loc"]))) for item in error.errors(include_input=False)}
        return None, f"not valid: {', '.join(sorted(where))}"
    return spec, ""


def differs(known: Credential, fresh: Credential) -> bool:
    """Whether something changed that matters."""
    return _interest(known) != _interest(fresh)


def of_others(item: Credential) -> tuple[object, ...]:
    """What matters of a credential and is never written by us."""
    return item.uid, item.generation, item.deleting, item.force_sync


def _interest(item: Credential) -> tuple[object, ...]:
    # The status is among them: what somebody else writes into it is overwritten, not believed.
    return *of_others(item), item.packed_status, names.FINALIZER in item.finalizers
