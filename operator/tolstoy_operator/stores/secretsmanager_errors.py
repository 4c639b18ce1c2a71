"""What botocore says, in the product's own terms: one table, by error code.

Messages of AWS are never passed on: they change, some quote the request, and a status is read by tenants. `describe`
keeps the code, which is enough to look the case up.
"""

from __future__ import annotations

from botocore import exceptions as boto
from botocore.parsers import ResponseParserError

from tolstoy_operator.domain.errors import (
    AccessDenied,
    AlreadyExists,
    DecryptionFailed,
    IdentityRefused,
    InvalidRequest,
    LimitExceeded,
    SecretNotFound,
    StoreError,
    StoreUnavailable,
    Throttled,
)


class WrongState(InvalidRequest):
    """The secret is not in a state for this: pending deletion, or the label is elsewhere. DescribeSecret tells."""


_DENIED = "AWS does not let the operator's role do this"
_IDENTITY = "AWS does not accept the operator's credentials"
_REJECTED = "Secrets Manager rejects the request"
_THROTTLED = "Secrets Manager asks for fewer calls"
_DOWN = "Secrets Manager has an internal failure"
_KMS = "the KMS key of the secret cannot be used"

_CODES: dict[str, tuple[type[StoreError], str]] = {
    "ResourceNotFoundException": (SecretNotFound, "no such secret or version"),
    "InvalidRequestException": (WrongState, "the state of the secret does not allow this"),
    "InvalidParameterException": (InvalidRequest, _REJECTED),
    "ValidationException": (InvalidRequest, _REJECTED),
    "PreconditionNotMetException": (InvalidRequest, _REJECTED),
    "MalformedPolicyDocumentException": (InvalidRequest, _REJECTED),
    "PublicPolicyException": (InvalidRequest, _REJECTED),
    "ResourceExistsException": (AlreadyExists, "the secret, or the version id with another value, exists already"),
    "LimitExceededException": (LimitExceeded, "a quota of Secrets Manager is used up"),
    "DecryptionFailure": (DecryptionFailed, _KMS),
    "EncryptionFailure": (DecryptionFailed, _KMS),
    "InvalidNextTokenException": (StoreUnavailable, "the listing has to start anew"),
    "AccessDeniedException": (AccessDenied, _DENIED),
    "AccessDenied": (AccessDenied, _DENIED),
    **dict.fromkeys(
        (
            "ExpiredTokenException",
            "ExpiredToken",
            "UnrecognizedClientException",
            "InvalidClientTokenId",
            "InvalidSignatureException",
            "SignatureDoesNotMatch",
            "IncompleteSignature",
            "MissingAuthenticationTokenException",
            "MissingAuthenticationToken",
            "InvalidIdentityToken",
            "OptInRequired",
            "RequestExpired",
        ),
        (IdentityRefused, _IDENTITY),
    ),
    **dict.fromkeys(
        (
            "ThrottlingException",
            "Throttling",
            "ThrottledException",
            "RequestThrottled",
            "RequestThrottledException",
            "RequestLimitExceeded",
            "TooManyRequestsException",
            "SlowDown",
        ),
        (Throttled, _THROTTLED),
    ),
    **dict.fromkeys(
        (
            "InternalServiceError",
            "InternalServiceErrorException",
            "InternalFailure",
            "InternalServerError",
            "ServiceUnavailable",
            "ServiceUnavailableException",
            "RequestTimeout",
            "RequestTimeoutException",
            "IDPCommunicationError",
        ),
        (StoreUnavailable, _DOWN),
    ),
}

_STATUSES: dict[int, tuple[type[StoreError], str]] = {
    401: (AccessDenied, _DENIED),
    403: (AccessDenied, _DENIED),
    429: (Throttled, _THROTTLED),
}

# The first class that matches counts, so the narrow ones stand before their bases.
_EXCEPTIONS: tuple[tuple[type[BaseException], type[StoreError], str], ...] = (
    (boto.NoCredentialsError, IdentityRefused, "no AWS credentials: the ServiceAccount has no role"),
    (boto.PartialCredentialsError, IdentityRefused, "the AWS credentials are incomplete"),
    (boto.CredentialRetrievalError, StoreUnavailable, "AWS credentials cannot be fetched"),
    (boto.MetadataRetrievalError, StoreUnavailable, "AWS credentials cannot be fetched"),
    (boto.ParamValidationError, InvalidRequest, "the request is malformed"),
    (boto.NoRegionError, InvalidRequest, "no AWS region is set"),
    (boto.InvalidRegionError, InvalidRequest, "this is not an AWS region"),
    (boto.UnknownRegionError, InvalidRequest, "this is not an AWS region"),
    (boto.EndpointConnectionError, StoreUnavailable, "no connection to Secrets Manager (is the region right?)"),
    (boto.ConnectTimeoutError, StoreUnavailable, "connecting to Secrets Manager timed out"),
    (boto.ReadTimeoutError, StoreUnavailable, "Secrets Manager did not answer in time"),
    (boto.SSLError, StoreUnavailable, "the TLS connection to Secrets Manager failed"),
    (boto.ProxyConnectionError, StoreUnavailable, "the proxy towards Secrets Manager failed"),
    (boto.HTTPClientError, StoreUnavailable, "the connection to Secrets Manager failed"),
    (boto.BotoCoreError, StoreUnavailable, "the call to Secrets Manager failed"),
    (ResponseParserError, StoreUnavailable, "the answer of Secrets Manager is unreadable"),
    (ValueError, InvalidRequest, "the AWS endpoint or region is malformed"),
)

FAILURES: tuple[type[BaseException], ...] = (boto.ClientError, *(row[0] for row in _EXCEPTIONS))


def translate(error: BaseException, name: str, region: str) -> StoreError:
    """Our error for one of `FAILURES`. `name` is the secret, `region` where it was looked for."""
    if isinstance(error, boto.ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return from_code(error.response.get("Error", {}).get("Code", ""), name, region, status=status)
    kind, cause = next((row[1], row[2]) for row in _EXCEPTIONS if isinstance(error, row[0]))
    return kind(name, f"{cause} ({type(error).__name__}, region {region or 'unset'})")


def from_code(code: str, name: str, region: str, *, status: int = 400) -> StoreError:
    """Our error for an error code; `status` (HTTP) decides when the code is unknown."""
    unknown = (StoreUnavailable, _DOWN) if status >= 500 else (InvalidRequest, _REJECTED)
    kind, cause = _CODES.get(code) or _STATUSES.get(status) or unknown
    return kind(name, f"{cause} ({code or f'HTTP {status}'}, region {region})")
