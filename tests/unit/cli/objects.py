"""ToolCredentials and pods as the API server sends them, for the views of the CLI."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.support.objects import credential_object
from tolstoy_operator.api.reasons import Reason, message
from tolstoy_operator.cli.text import stamp
from tolstoy_operator.cli.view import CredentialView, view

NOW = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)


def at(**ahead: float) -> str:
    """RFC 3339, so far from now."""
    return stamp(NOW + timedelta(**ahead)) or ""


def condition(kind: str, status: str, reason: str, text: str) -> dict[str, Any]:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": text,
        "lastTransitionTime": at(minutes=-5),
        "observedGeneration": 1,
    }


def credential(
    name: str = "github",
    reason: Reason = Reason.SYNCED,
    *,
    cause: str = "as found",
    ready: bool | None = None,
    grant: Mapping[str, Any] | None = None,
    keys: tuple[str, ...] = ("accessToken",),
    status: Mapping[str, Any] | None = None,
    **fields: Any,
) -> dict[str, Any]:
    """A ToolCredential with that reason; Ready is True for Synced unless said otherwise."""
    is_ready = ready if ready is not None else reason is Reason.SYNCED
    said = {
        "observedGeneration": 1,
        "conditions": [condition("Ready", str(is_ready), reason, message(reason, cause))],
        "target": {"name": name, "keys": list(keys), "lastSyncTime": at(minutes=-5)},
        **({"grant": dict(grant), "credentialType": "OAuth2"} if grant is not None else {}),
        **(status or {}),
    }
    return credential_object(name, status=said, **fields)


def seen(*args: Any, **fields: Any) -> CredentialView:
    """The view of such a credential."""
    return view(credential(*args, **fields))


def active(ends: timedelta = timedelta(hours=1), **members: Any) -> dict[str, Any]:
    """A grant that is refreshed ten minutes before its end."""
    return {
        "state": "Active",
        "expiresAt": stamp(NOW + ends) or "",
        "nextRefreshTime": stamp(NOW + ends - timedelta(minutes=10)) or "",
        **members,
    }


def pod(name: str, spec: Mapping[str, Any], **body: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, **body.pop("metadata", {})}, "spec": dict(spec), **body}
