"""From an upstream document to the data of a Secret: what is asked, what is allowed, what Kubernetes accepts.

The whole answer is worked out before anything is written, so a problem leaves the last good Secret untouched. The
checks run in the order in which a person would want to hear of them: the spec, the grant, the document, the limits.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, NoReturn

from tolstoy_operator.api.reasons import Reason
from tolstoy_operator.api.v1 import CredentialType, Target
from tolstoy_operator.domain.documents import Document, detect_type, is_json_object, quoted
from tolstoy_operator.domain.sensitivity import DEFAULT_KEYS, default_keys, is_sensitive, is_sensitive_name
from tolstoy_operator.domain.template import Template, TemplateError, TemplateTooLarge

MAX_DATA_BYTES: Final = 1_048_576
"""What the API server takes, summed over the values of a Secret."""

_KEY: Final = re.compile(r"[-._a-zA-Z0-9]{1,253}")

_RIGHTS: Final = frozenset({"kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token"})
_HELMS: Final = "helm.sh/"

_ALL_OF: Final[Mapping[str, tuple[str, ...]]] = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
}
_ONE_OF: Final[Mapping[str, tuple[str, ...]]] = {"kubernetes.io/basic-auth": ("username", "password")}
_JSON_OBJECTS: Final = frozenset({".dockerconfigjson", ".dockercfg"})


class ProjectionProblem(Exception):
    """Why a document does not become a Secret. `cause` names keys and positions, never a value.

    `withheld`: keys that an existing Secret must not hold any more.
    """

    def __init__(self, reason: Reason, cause: str, withheld: frozenset[str] = frozenset()) -> None:
        super().__init__(cause)
        self.reason = reason
        self.cause = cause
        self.withheld = withheld


@dataclass(frozen=True, slots=True)
class Projection:
    """The data of a Secret, not yet base64. `sensitive`: some of it needed the grant."""

    data: Mapping[str, bytes] = field(repr=False)
    sensitive: bool


def project(
    document: Document, credential_type: CredentialType, target: Target, *, sensitive_granted: bool
) -> Projection:
    """Work out the data of the target Secret. Raises `ProjectionProblem` and nothing else.

    `credential_type` is the resolved type, as `check_type` returned it.
    """
    templates = _parse_templates(target.template or {})
    asked = _asked_keys(target, templates)
    _check_spec(target, [*asked, *templates])
    referenced = [reference.key for template in templates.values() for reference in template.references]
    sensitive = [key for key in [*asked, *referenced] if is_sensitive(document, key)]
    if sensitive and not sensitive_granted:
        raise ProjectionProblem(
            Reason.SENSITIVE_KEY_NOT_GRANTED,
            f"member {quoted(sensitive[0])} is sensitive and the namespace is not granted sensitive keys",
            _fed_by(asked, templates, sensitive),
        )
    resolved = detect_type(document) if credential_type is CredentialType.AUTO else credential_type
    if asked or templates:
        _check_present(document, resolved, asked)
    else:
        asked = _defaults(document, resolved)
    data = _collect(document, asked, templates)
    _check_secret_type(target, data, templates)
    return Projection(data, sensitive=bool(sensitive))


def sensitive_keys(target: Target) -> frozenset[str]:
    """Keys of the Secret that the names in a spec make sensitive, whatever the document says."""
    templates = {}
    for key, text in (target.template or {}).items():
        with suppress(TemplateError):
            templates[key] = Template.parse(text)
    asked = target.keys or ()
    members = [*asked, *(reference.key for template in templates.values() for reference in template.references)]
    return _fed_by(asked, templates, filter(is_sensitive_name, members))


def _fed_by(asked: Iterable[str], templates: Mapping[str, Template], members: Iterable[str]) -> frozenset[str]:
    """Keys of the Secret into which one of these members goes."""
    chosen = frozenset(members)
    rendered = (
        key for key, template in templates.items() if any(reference.key in chosen for reference in template.references)
    )
    return chosen.intersection(asked).union(rendered)


def _problem(reason: Reason, cause: str) -> NoReturn:
    raise ProjectionProblem(reason, cause)


def _parse_templates(template: Mapping[str, str]) -> dict[str, Template]:
    parsed: dict[str, Template] = {}
    for key, text in template.items():
        try:
            parsed[key] = Template.parse(text)
        except TemplateError as error:
            _problem(Reason.TEMPLATE_ERROR, f"template of key {quoted(key)}: {error}")
    return parsed


def _asked_keys(target: Target, templates: Mapping[str, Template]) -> tuple[str, ...]:
    if target.keys is None:
        return ()
    if not target.keys and not templates:
        _problem(Reason.INVALID_SPEC, "spec.target.keys is empty, so the Secret would hold nothing")
    for key in target.keys:
        if key in templates:
            _problem(Reason.INVALID_SPEC, f"key {quoted(key)} is in both spec.target.keys and spec.target.template")
    return tuple(dict.fromkeys(target.keys))


def _check_spec(target: Target, keys: Iterable[str]) -> None:
    if target.type in _RIGHTS or target.type.startswith(_HELMS):
        _problem(Reason.INVALID_SPEC, f"a Secret of type {quoted(target.type)} is itself a right in the cluster")
    for key in keys:
        _check_key(key)


def _check_key(key: str) -> None:
    if not _KEY.fullmatch(key) or key == "." or key.startswith(".."):
        _problem(
            Reason.INVALID_TARGET_KEY,
            f"a Secret cannot hold the key {quoted(key)}: 1 to 253 letters, digits and the characters - . _, "
            'not "." and nothing that starts with ".."',
        )


def _check_present(document: Document, credential_type: CredentialType, asked: Iterable[str]) -> None:
    for key in asked:
        if key not in document:
            _problem(
                Reason.SECRET_MALFORMED, f"the secret has no member {quoted(key)}, which spec.target.keys asks for"
            )
        if key in DEFAULT_KEYS.get(credential_type, ()) and document.is_blank(key):
            _problem(Reason.SECRET_MALFORMED, f"member {quoted(key)} is empty, and spec.target.keys asks for it")


def _defaults(document: Document, credential_type: CredentialType) -> tuple[str, ...]:
    keys = default_keys(document, credential_type)
    if credential_type is CredentialType.OPAQUE:
        if not keys:
            _problem(
                Reason.INVALID_SPEC,
                "every member of the secret is sensitive, so spec.target.keys must name the wanted ones",
            )
        for key in keys:
            _check_key(key)
        return keys
    indispensable = DEFAULT_KEYS[credential_type][0]
    if indispensable not in keys:
        _problem(Reason.SECRET_MALFORMED, f"member {quoted(indispensable)} is missing or empty")
    return keys


def _collect(document: Document, keys: Iterable[str], templates: Mapping[str, Template]) -> dict[str, bytes]:
    data = {key: document.text(key).reveal().encode() for key in keys}
    room = MAX_DATA_BYTES - sum(map(len, data.values()))
    for key, template in templates.items():
        data[key] = _render(document, key, template, room)
        room -= len(data[key])
    if room < 0:
        _too_large()
    return data


def _render(document: Document, key: str, template: Template, room: int) -> bytes:
    try:
        return template.render(document.text, limit=max(room, 0)).reveal().encode()
    except TemplateError as error:
        cause = f"template of key {quoted(key)}: {error}"
    except TemplateTooLarge:
        _too_large()
    _problem(Reason.TEMPLATE_ERROR, cause)


def _too_large() -> NoReturn:
    _problem(Reason.TARGET_TOO_LARGE, "the values of the Secret would add up to more than 1 MiB")


def _check_secret_type(target: Target, data: Mapping[str, bytes], templates: Mapping[str, Template]) -> None:
    kind = quoted(target.type)
    missing = [key for key in _ALL_OF.get(target.type, ()) if not data.get(key)]
    if missing:
        _problem(Reason.INVALID_TARGET_KEY, f"a Secret of type {kind} needs a value under the key {quoted(missing[0])}")
    choices = _ONE_OF.get(target.type, ())
    if choices and not any(key in data for key in choices):
        _problem(
            Reason.INVALID_TARGET_KEY,
            f"a Secret of type {kind} needs one of the keys {', '.join(map(quoted, choices))}",
        )
    for key in _ALL_OF.get(target.type, ()):
        if key in _JSON_OBJECTS and not is_json_object(data[key].decode()):
            reason = Reason.TEMPLATE_ERROR if key in templates else Reason.SECRET_MALFORMED
            _problem(reason, f"the key {quoted(key)} of a Secret of type {kind} must be a JSON object")
