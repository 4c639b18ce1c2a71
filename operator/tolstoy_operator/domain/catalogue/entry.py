"""The form of an entry.

What every provider must be asked is required, what only some do differently has a default. A `Call`, which a running
operator uses as it is, carries no sources.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, field_validator, model_validator

from tolstoy_operator.domain.catalogue.facts import Duration, Fact, Model, Source, known
from tolstoy_operator.domain.endpointpolicy import EndpointPolicy
from tolstoy_operator.domain.refresh import OldAccessToken
from tolstoy_operator.domain.replyrules import LifetimeUnit
from tolstoy_operator.domain.tokenoutcome import Rejection

_PLACEHOLDER = re.compile(r"\{[a-z_]{1,30}\}")
_TOKEN_URL = re.compile(r"https://[!-~]+", re.ASCII)
_CALL_URL = re.compile(r"(https://|/)?[!-~]+", re.ASCII)
_ERROR_CODE = re.compile(r"[A-Za-z0-9_.:\-]{1,64}", re.ASCII)


class GrantKind(StrEnum):
    """How a new access token is had."""

    REFRESH_TOKEN = "refresh_token"  # noqa: S105 - a grant type
    CLIENT_CREDENTIALS = "client_credentials"
    ACCOUNT_CREDENTIALS = "account_credentials"
    """Zoom: client credentials that name an account."""
    JWT_BEARER = "jwt_bearer"
    APP_INSTALLATION = "app_installation"
    """GitHub: a signed statement of the app is the whole request."""
    NONE = "none"
    """Not at all without a person: the access token lives until it is revoked, or is exchanged by other means."""


class ClientAuthentication(StrEnum):
    """How a client may prove who it is."""

    BASIC = "client_secret_basic"
    """Form-encoded, as the standard says."""
    BASIC_RAW = "client_secret_basic_raw"
    POST = "client_secret_post"
    PRIVATE_KEY_JWT = "private_key_jwt"
    NONE = "none"


class Body(StrEnum):
    """How parameters are written."""

    FORM = "form"
    JSON = "json"


class RotationFact(StrEnum):
    """Whether a refresh token dies when it is used."""

    ROTATING = "rotating"
    STATIC = "static"
    SOMETIMES = "sometimes"
    """It depends on how the provider or the application is set up."""


class OldAccessTokenFact(StrEnum):
    """What a refresh does to the access token in use."""

    SURVIVES = "survives"
    REVOKED = "revoked"

    @property
    def fate(self) -> OldAccessToken:
        """The same in the words of the refresh protocol."""
        return OldAccessToken.SURVIVES if self is OldAccessTokenFact.SURVIVES else OldAccessToken.DIES


class Credentials(StrEnum):
    """What authenticates a call besides the token endpoint's own."""

    CLIENT = "client"
    """The client, in the way it authenticates at the token endpoint."""
    BASIC = "basic"
    """The client, by Basic whatever the token endpoint wants."""
    BEARER = "bearer"
    """The access token in question."""
    NONE = "none"


class Call(Model):
    """A request about a token: revocation, introspection or a probe of health. The defaults are RFC 7009 and 7662.

    `url` may be relative to the token endpoint in use, and may hold `{client_id}`. `parameter`: the member that carries
    the token, None when the Authorization header does. `tokens`: which kinds it takes, the better one first. `fields`:
    further members of the body. `dead`: statuses that say the token is no good. `success`: members of a 200 that must
    have this value for the token to count as good (or the call as done). `expires_in` and `expires_at`: paths of the
    remaining seconds and of the Unix time of expiry in an introspection reply.
    """

    url: str = Field(max_length=300)
    method: Literal["GET", "POST", "DELETE"] = "POST"
    credentials: Credentials = Credentials.CLIENT
    parameter: str | None = "token"
    tokens: tuple[Literal["refresh", "access"], ...] = Field(("refresh", "access"), min_length=1)
    body: Body = Body.FORM
    fields: dict[str, str] = Field(default_factory=dict)
    headers: dict[str, str] = Field(default_factory=dict)
    dead: tuple[int, ...] = (401,)
    success: dict[str, str | bool | int] = Field(default_factory=dict)
    expires_in: str | None = None
    expires_at: str | None = None

    @field_validator("url")
    @classmethod
    def _is_url(cls, url: str) -> str:
        if not _CALL_URL.fullmatch(url) or url.startswith("//") or "://" in url.removeprefix("https://"):
            raise ValueError("neither an https URL nor one relative to the token endpoint")
        if set(_PLACEHOLDER.findall(url)) - {"{client_id}"}:
            raise ValueError("the only placeholder is {client_id}; make the URL relative to the token endpoint")
        return url

    @model_validator(mode="after")
    def _carries_the_token_once(self) -> Self:
        if (self.parameter is None) != (self.credentials is Credentials.BEARER):
            raise ValueError("a token travels in `parameter` or, with `parameter` null, as bearer credentials")
        if self.credentials is Credentials.BEARER and self.tokens != ("access",):
            raise ValueError("bearer credentials carry an access token: `tokens` must be [access]")
        return self


class RateLimit(Model):
    """At most `requests` token requests in `per` seconds; `of`: what they are counted by.

    For people: nothing acts on it, since one token is asked for once a minute at most and who answers 429 gets a pause.
    """

    requests: int = Field(gt=0)
    per: Duration
    of: Literal["client", "user", "refresh_token", "tenant", "address"]


class Reply(Model):
    """What differs from `domain.replyrules.ReplyRules`; the members are explained there. Empty: nothing does."""

    containers: tuple[str, ...] | None = None
    access_token: tuple[str, ...] | None = None
    refresh_token: tuple[str, ...] | None = None
    token_type: tuple[str, ...] | None = None
    scope: tuple[str, ...] | None = None
    expires_in: tuple[str, ...] | None = None
    expires_in_unit: LifetimeUnit | None = None
    expires_at: tuple[str, ...] | None = None
    refresh_expires_in: tuple[str, ...] | None = None
    refresh_expires_at: tuple[str, ...] | None = None
    bearer_types: frozenset[str] | None = None
    success: dict[str, str | bool | int] | None = None


class ErrorText(Model):
    """A meaning that hangs on a description: `text`, lower case, occurs in the description of the error `code`."""

    code: str = Field(pattern=r"^[A-Za-z0-9_.:\-]{1,64}$")
    text: str = Field(min_length=3, pattern=r"^[^A-Z]+$")
    value: Rejection
    source: str


def _none(value: Any) -> Any:
    return None if value == "none" else value


def _standard(value: Any) -> Any:
    return {} if value == "standard" else value


def _errors_form(value: Any) -> str:
    """Whether `errors` is one fact about all codes or a mapping of codes; a code's meaning is never a bare word."""
    one = isinstance(value, Fact) or (isinstance(value, dict) and isinstance(value.get("value"), str))
    return "all" if one else "code"


FACTS = (
    "grant",
    "token_url",
    "hosts",
    "client_auth",
    "body",
    "lifetime",
    "rotation",
    "reuse_grace",
    "old_access_token",
    "refresh_idle",
    "refresh_hard",
    "revoke",
    "introspect",
    "probe",
    "rate_limits",
)
"""What is asked of every provider."""

PECULIARITIES = ("parameters", "headers", "reply")
"""What only some providers want differently."""

MaybeCall = Annotated[Call | None, BeforeValidator(_none)]
"""A call, or None when the file says `none`: the provider is known to have no such thing."""

StandardReply = Annotated[Reply, BeforeValidator(_standard)]
"""What differs, or the word `standard`: somebody looked, and nothing does."""

Errors = Annotated[
    Annotated[Fact[Literal["standard"]], Tag("all")] | Annotated[dict[str, Fact[Rejection]], Tag("code")],
    Discriminator(_errors_form),
]
"""The meanings of a provider's own error codes, or the word `standard`: somebody looked, and it has none of its own."""


class Entry(Model):
    """One provider. None stands for `unknown` wherever a fact is required.

    Our entries say what is known of `reply` and `errors` too; an organisation's may leave them out. Where nobody looked
    the standard's ways are used, as they are where somebody did and found `standard`. `texts` are exceptions from what
    `errors` says.
    """

    name: str = Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")
    title: str = Field(min_length=1, max_length=80)
    like: str | None = None
    sources: dict[str, Source]

    grant: Fact[GrantKind] | None
    token_url: Fact[str] | None
    hosts: Fact[tuple[str, ...]] | None
    client_auth: Fact[tuple[ClientAuthentication, ...]] | None
    body: Fact[Body] | None
    lifetime: Fact[Duration] | None
    rotation: Fact[RotationFact] | None
    reuse_grace: Fact[Duration] | None
    old_access_token: Fact[OldAccessTokenFact] | None
    refresh_idle: Fact[Duration] | None
    refresh_hard: Fact[Duration] | None
    revoke: Fact[MaybeCall] | None
    introspect: Fact[MaybeCall] | None
    probe: Fact[MaybeCall] | None
    rate_limits: Fact[tuple[RateLimit, ...]] | None

    parameters: Fact[dict[str, str]] | None = None
    headers: Fact[dict[str, str]] | None = None
    reply: Fact[StandardReply] | None = None
    errors: Errors | None = None
    texts: tuple[ErrorText, ...] = ()
    notes: tuple[Fact[str], ...] = ()

    @field_validator(*FACTS, *PECULIARITIES, "errors", mode="before")
    @classmethod
    def _known(cls, value: Any) -> Any:
        return known(value)

    @field_validator("token_url")
    @classmethod
    def _is_token_url(cls, fact: Fact[str] | None) -> Fact[str] | None:
        if fact is not None and not _TOKEN_URL.fullmatch(fact.value):
            raise ValueError("not an https URL")
        return fact

    @field_validator("hosts")
    @classmethod
    def _are_hosts(cls, fact: Fact[tuple[str, ...]] | None) -> Fact[tuple[str, ...]] | None:
        if fact is not None:
            EndpointPolicy(hosts=fact.value)
        return fact

    @field_validator("errors")
    @classmethod
    def _are_codes(cls, errors: Errors | None) -> Errors | None:
        for code in errors if isinstance(errors, dict) else ():
            if not _ERROR_CODE.fullmatch(code):
                raise ValueError(f"{code!r} is no error code: letters, digits and _ . : - only, at most 64")
        return errors

    @model_validator(mode="after")
    def _sources_exist(self) -> Self:
        for path, source in self.cited():
            if source not in self.sources:
                raise ValueError(f"{path}: the source {source!r} is not in the list of sources")
        return self

    @property
    def codes(self) -> Mapping[str, Fact[Rejection]]:
        """The provider's own error codes as far as they are known."""
        return self.errors if isinstance(self.errors, dict) else {}

    @property
    def tenant_endpoint(self) -> bool:
        """Whether the token URL differs by tenant, so that only the stored secret's `tokenEndpoint` says it."""
        return self.token_url is None or _PLACEHOLDER.search(self.token_url.value) is not None

    def facts(self) -> Iterator[tuple[str, Fact[Any]]]:
        """Every known fact with its path."""
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, Fact):
                yield name, value
        yield from ((f"errors.{code}", fact) for code, fact in self.codes.items())
        yield from ((f"notes.{index}", fact) for index, fact in enumerate(self.notes))

    def cited(self) -> Iterator[tuple[str, str]]:
        """Every path together with the name of the source it cites."""
        yield from ((path, fact.source) for path, fact in self.facts())
        yield from ((f"texts.{index}", text.source) for index, text in enumerate(self.texts))
