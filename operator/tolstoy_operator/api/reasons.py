"""The closed list of reasons that a status can give, and what each means for the person who reads it.

Every condition message has one form: the cause, who acts, and when the operator tries again. The second and third part
belong to the reason and are written here once; the first is made where the problem is found, from names and positions
only, never from a value.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

MESSAGE_LIMIT = 1024


class Reason(StrEnum):
    """Why a credential is in the state it is in. Values are API: alerts and scripts match on them."""

    SYNCED = "Synced"
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105 - a reason, not a password
    SECRET_PENDING_DELETION = "SecretPendingDeletion"  # noqa: S105
    SECRET_MALFORMED = "SecretMalformed"  # noqa: S105
    ACCESS_DENIED = "AccessDenied"
    DECRYPTION_FAILED = "DecryptionFailed"
    UPSTREAM_UNAVAILABLE = "UpstreamUnavailable"
    NAMESPACE_NOT_BOUND = "NamespaceNotBound"
    SENSITIVE_KEY_NOT_GRANTED = "SensitiveKeyNotGranted"
    TARGET_CONFLICT = "TargetConflict"
    TARGET_TOO_LARGE = "TargetTooLarge"
    INVALID_TARGET_KEY = "InvalidTargetKey"
    TEMPLATE_ERROR = "TemplateError"
    INVALID_SPEC = "InvalidSpec"
    SUSPENDED = "Suspended"
    IMPORT_NOT_GRANTED = "ImportNotGranted"
    TOKEN_TYPE_UNSUPPORTED = "TokenTypeUnsupported"  # noqa: S105
    TOKEN_EXPIRED = "TokenExpired"  # noqa: S105
    REFRESH_FAILING = "RefreshFailing"
    REAUTHORIZATION_REQUIRED = "ReauthorizationRequired"
    ROTATION_RESPONSE_LOST = "RotationResponseLost"
    CLIENT_MISCONFIGURED = "ClientMisconfigured"
    TOKEN_ENDPOINT_NOT_ALLOWED = "TokenEndpointNotAllowed"  # noqa: S105
    SECRET_NOT_REFRESHABLE = "SecretNotRefreshable"  # noqa: S105
    VERSION_BUDGET_EXCEEDED = "VersionBudgetExceeded"
    CONSENT_EXPIRING = "ConsentExpiring"
    REVOKED = "Revoked"
    REVOCATION_NOT_GRANTED = "RevocationNotGranted"
    REVOCATION_UNSUPPORTED = "RevocationUnsupported"


GRANT_REASONS = frozenset(
    {
        Reason.TOKEN_EXPIRED,
        Reason.REFRESH_FAILING,
        Reason.REAUTHORIZATION_REQUIRED,
        Reason.ROTATION_RESPONSE_LOST,
        Reason.CLIENT_MISCONFIGURED,
        Reason.TOKEN_ENDPOINT_NOT_ALLOWED,
        Reason.SECRET_NOT_REFRESHABLE,
        Reason.VERSION_BUDGET_EXCEEDED,
        Reason.REVOKED,
    }
)
"""About the token itself: the mirror is as it should be."""

LOST_REASONS = frozenset({Reason.REAUTHORIZATION_REQUIRED, Reason.ROTATION_RESPONSE_LOST})
"""Only a new consent helps, unless the verdict was wrong."""


SOUND_REASONS = frozenset(
    {Reason.SYNCED, Reason.CONSENT_EXPIRING, Reason.REVOCATION_NOT_GRANTED, Reason.REVOCATION_UNSUPPORTED}
)
"""The Secret and its token are as they should be. All but the first are about what comes one day."""


class Told(StrEnum):
    """Reasons of the Events that the deletion of a credential ends with whose grant should end; one says: not yet."""

    REVOKED = "Revoked"
    KEPT = "GrantKept"
    UNSUPPORTED = "RevocationUnsupported"
    SKIPPED = "RevocationSkipped"
    FAILED = "RevocationFailed"
    PENDING = "RevocationPending"


class Progress(StrEnum):
    """The kstatus side of a reason."""

    DONE = "done"
    """Nothing to wait for."""
    RECONCILING = "reconciling"
    """The operator gets there by itself."""
    STALLED = "stalled"
    """A person must act."""
    PATIENT = "patient"
    """Reconciling for a while (`Settings.stall_after_s`), then stalled: consent may simply come later."""


_ON_CHANGE = "it is tried again as soon as the upstream secret or this object changes"
_ON_CONSENT = "it recovers as soon as new tokens are stored upstream"
_WITH_BACKOFF = "it is tried again with growing pauses, every 5 minutes at most"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What follows from a reason.

    `keeps_ready`: the last good Secret is still believed to be valid, so Ready stays as it was.
    """

    progress: Progress
    who_acts: str
    next_try: str
    keeps_ready: bool = False

    @property
    def retries(self) -> bool:
        """Whether time alone may cure it, so that it is tried again without any change."""
        return self.next_try is _WITH_BACKOFF


MEANINGS: dict[Reason, Meaning] = {
    Reason.SYNCED: Meaning(Progress.DONE, "nobody needs to act", "it follows upstream changes"),
    Reason.SECRET_NOT_FOUND: Meaning(
        Progress.PATIENT, "the consent application or the platform team must store the secret", _WITH_BACKOFF
    ),
    Reason.SECRET_PENDING_DELETION: Meaning(
        Progress.STALLED, "the platform team must restore the secret or this object must go", _WITH_BACKOFF
    ),
    Reason.SECRET_MALFORMED: Meaning(Progress.STALLED, "whoever wrote the upstream secret must correct it", _ON_CHANGE),
    Reason.ACCESS_DENIED: Meaning(
        Progress.STALLED, "the platform team must let the operator read it", _WITH_BACKOFF, keeps_ready=True
    ),
    Reason.DECRYPTION_FAILED: Meaning(
        Progress.STALLED, "the platform team must let the operator use the KMS key", _WITH_BACKOFF, keeps_ready=True
    ),
    Reason.UPSTREAM_UNAVAILABLE: Meaning(
        Progress.RECONCILING, "nobody needs to act unless it lasts", _WITH_BACKOFF, keeps_ready=True
    ),
    Reason.NAMESPACE_NOT_BOUND: Meaning(
        Progress.PATIENT, "the platform team must bind the namespace", "it is tried again when the namespace changes"
    ),
    Reason.SENSITIVE_KEY_NOT_GRANTED: Meaning(
        Progress.STALLED,
        "drop the key from spec.target, or have the platform team grant sensitive keys to the namespace",
        "it is tried again when this object or the namespace changes",
    ),
    Reason.IMPORT_NOT_GRANTED: Meaning(
        Progress.STALLED,
        "drop initialTokensFrom, or have the platform team grant allow-import to the namespace",
        "it is tried again when this object or the namespace changes",
    ),
    Reason.TARGET_CONFLICT: Meaning(
        Progress.STALLED, "the owner of this object must choose another target or free this one", _WITH_BACKOFF
    ),
    Reason.TARGET_TOO_LARGE: Meaning(
        Progress.STALLED, "the owner of this object must ask for fewer keys or a smaller template", _ON_CHANGE
    ),
    Reason.INVALID_TARGET_KEY: Meaning(
        Progress.STALLED, "the owner of this object must name keys that a Secret can hold", _ON_CHANGE
    ),
    Reason.TEMPLATE_ERROR: Meaning(Progress.STALLED, "the owner of this object must correct the template", _ON_CHANGE),
    Reason.INVALID_SPEC: Meaning(Progress.STALLED, "the owner of this object must correct the spec", _ON_CHANGE),
    Reason.SUSPENDED: Meaning(
        Progress.DONE, "set spec.suspend to false to resume", "not before that", keeps_ready=True
    ),
    Reason.TOKEN_TYPE_UNSUPPORTED: Meaning(
        Progress.STALLED,
        "the platform team must have the client registered for bearer tokens, or add the type to the provider's entry",
        _ON_CHANGE,
    ),
    Reason.TOKEN_EXPIRED: Meaning(
        Progress.PATIENT,
        "nobody needs to act unless it lasts; then the platform team must see why nothing refreshes it",
        _ON_CONSENT,
    ),
    Reason.REFRESH_FAILING: Meaning(
        Progress.RECONCILING,
        "nobody needs to act unless it lasts",
        "it is tried again within minutes, and every hour at least",
    ),
    Reason.REAUTHORIZATION_REQUIRED: Meaning(
        Progress.STALLED, "the organisation must give its consent again", _ON_CONSENT
    ),
    Reason.ROTATION_RESPONSE_LOST: Meaning(
        Progress.STALLED,
        "the organisation must give its consent again; it did nothing wrong, a response of the provider was lost",
        _ON_CONSENT,
    ),
    Reason.CLIENT_MISCONFIGURED: Meaning(
        Progress.STALLED,
        "the platform team must correct the OAuth client (id, secret or registration); the organisation need not act",
        "it is tried again with growing pauses, from 5 minutes to an hour, and by kubectl tolstoy refresh",
    ),
    Reason.TOKEN_ENDPOINT_NOT_ALLOWED: Meaning(
        Progress.STALLED, "the platform team must correct tokenEndpoint or allow its host; nothing was sent", _ON_CHANGE
    ),
    Reason.SECRET_NOT_REFRESHABLE: Meaning(
        Progress.STALLED,
        "the platform team must correct the upstream secret; nothing was sent",
        "it is tried again as soon as the upstream secret changes, and every hour",
    ),
    Reason.VERSION_BUDGET_EXCEEDED: Meaning(
        Progress.STALLED,
        "the platform team must use exclusive mode for tokens this short-lived, or find out who else writes the secret",
        "it is tried again every hour",
    ),
    Reason.CONSENT_EXPIRING: Meaning(
        Progress.DONE, "the organisation must give its consent again before then", _ON_CONSENT
    ),
    Reason.REVOKED: Meaning(Progress.STALLED, "the organisation must give its consent again", _ON_CONSENT),
    Reason.REVOCATION_NOT_GRANTED: Meaning(
        Progress.STALLED,
        "set spec.oauth.revocationPolicy to Orphan, or have the platform team grant revocation",
        "it is tried again when this object or the namespace changes",
    ),
    Reason.REVOCATION_UNSUPPORTED: Meaning(
        Progress.STALLED,
        "set spec.oauth.revocationPolicy to Orphan, and end the grant at the provider by hand when the time comes",
        _ON_CHANGE,
    ),
}


def message(reason: Reason, cause: str) -> str:
    """The text of a condition: cause; who acts; next try. Bounded, one line."""
    meaning = MEANINGS[reason]
    text = f"{cause}; {meaning.who_acts}; {meaning.next_try}"
    return " ".join(text.split())[:MESSAGE_LIMIT]
