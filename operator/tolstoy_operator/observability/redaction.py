"""The last net under the logs: text that looks like a secret is masked, whoever wrote it.

The first line of defence is `SecretValue`, which cannot be printed. This net catches what libraries and providers put
into their messages: headers, form bodies, JSON documents, tokens by their shape, passwords in URLs, bodies of
Kubernetes Secrets. It errs towards masking. A text is cut to `SCAN_LIMIT` before it is scanned and every pattern is
linear in the text, so that a hostile message costs little; a pattern also holds where the text was cut off.

For authors of messages: `accessToken: missing` loses its last word, "the member accessToken is missing" does not.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

from tolstoy_operator.domain.secretvalue import MASK

SCAN_LIMIT = 16_384

_SENSITIVE_NAME = (
    r"(?:token|(?:client|webhook|app|shared)[_-]?secret|secret[_-]?(?:string|binary|key|value)"
    r"|(?:api|private|signing|access|encryption|account|subscription)[_-]?key|pass(?:word|wd|phrase)|pwd|assertion"
    r"|code[_-]?verifier|device[_-]?code|signature|connection[_-]?string|(?:database|direct)[_-]?url)"
)
_HEADER_NAME = r"(?:proxy-)?authorization|(?:set-)?cookie"

# A quoted value ends at the quote that opened it, behind as many backslashes (JSON within JSON). A value that is a list
# or an object takes the rest of the text with it: finding its end is a parser's work.
_QUOTED = r"(?P<b>\\*)(?P<q>[\"'])(?:(?!(?<!\\)(?P=b)(?P=q)).)*"
_BARE = r"[^\s&,;\"'}\]][^\s&,;]*"
_SEPARATOR = r"\\*[\"']?\s{0,8}(?::|={1,3}>?)\s{0,8}(?:[bBuU](?=[\"']))?"


class _Rule(NamedTuple):
    """`hint` finds lower-case pieces, one of which is in every text that `pattern` matches."""

    hint: re.Pattern[str]
    pattern: re.Pattern[str]
    replacement: str


def _rule(hints: str, pattern: str, replacement: str, flags: re.RegexFlag = re.NOFLAG) -> _Rule:
    hint = "|".join(re.escape(piece) for piece in hints.split())
    return _Rule(re.compile(hint), re.compile(pattern, flags), replacement)


_ANY_CASE = re.IGNORECASE | re.DOTALL
_RULES: Final = (
    # `data` of a Kubernetes Secret, in JSON or as Python prints it.
    _rule("data", r"([\"'](?:stringData|data)\\*[\"']\s{0,8}:\s{0,8}\{).*", rf"\1{MASK}", re.DOTALL),
    _rule("-----begin", r"-----BEGIN [A-Z ]{0,32}PRIVATE KEY.*?(?:-----END[A-Z ]{0,40}-----|\Z)", MASK, re.DOTALL),
    # asyncio prints the exception of a forgotten task, message included.
    _rule("exception=", r"(\bexception=[\w.]+\().*", rf"\1{MASK})", re.DOTALL),
    _rule(
        "authorization cookie",
        rf"({_HEADER_NAME})({_SEPARATOR})(?:{_QUOTED}|[^\r\n\"']+)",
        rf"\1\2\g<b>\g<q>{MASK}",
        _ANY_CASE,
    ),
    _rule(
        "token secret key pass pwd assertion verifier code signature string url",
        rf"({_SENSITIVE_NAME})(\d{{0,3}}{_SEPARATOR})(?:{_QUOTED}|[\[{{].*|{_BARE})",
        rf"\1\2\g<b>\g<q>{MASK}",
        _ANY_CASE,
    ),
    # `secret` alone names things too (secret=tolstoy/github/org); as a quoted member it holds one.
    _rule("secret", rf"([\"']secret\\*[\"']\s{{0,8}}:\s{{0,8}}){_QUOTED}", rf"\1\g<b>\g<q>{MASK}", _ANY_CASE),
    _rule("? &", r"([?&](?:secret|code|key|sig|state)=)[^\s&\"']+", rf"\1{MASK}", re.IGNORECASE),
    _rule("bearer dpop", r"\b(bearer|dpop)\s{1,8}[^\s\"',;]{6,}", rf"\1 {MASK}", re.IGNORECASE),
    _rule("basic", r"\b((?i:basic))\s{1,8}(?=[a-z+/=]{0,16}[A-Z0-9])[A-Za-z0-9+/=]{6,}", rf"\1 {MASK}"),
    # The password in scheme://user:password@host.
    _rule("://", r"(://[^\s:/@]{0,256}:)[^\s\"'<>]{0,1024}@", rf"\1{MASK}@"),
    # Tokens by their shape: JWT, AWS key ids, and what large providers prefix theirs with.
    _rule("eyj", r"\beyJ[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]*){0,4}", MASK),
    _rule("akia asia abia acca", r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{12,}", MASK),
    _rule(
        "gh github_pat_ glpat- xox xapp- sk- sk_ rk_ whsec_ npm_ pypi- hvs. shpat_ lin_api_ ntn_ ya29. 1//0 aiza",
        r"\b(?:gh[pousr]_|github_pat_|glpat-|xox[a-z]-|xapp-|sk-|sk_live_|sk_test_|rk_live_|whsec_|npm_|pypi-|hvs\."
        r"|shpat_|lin_api_|ntn_|ya29\.|1//0|AIza)[A-Za-z0-9_.=/+-]{12,}",
        MASK,
    ),
)

_ANY_HINT = re.compile("|".join(rule.hint.pattern for rule in _RULES))
_NAME = re.compile(rf".*{_SENSITIVE_NAME}|{_HEADER_NAME}", re.I)
# C0, DEL and C1 (ANSI escapes among them), line and paragraph separators, and what reverses the direction of text.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def redact(text: str) -> str:
    """`text` with everything masked that looks like a secret; no longer than `SCAN_LIMIT` plus the masks."""
    text = text[:SCAN_LIMIT]
    lowered = text.lower()
    if not _ANY_HINT.search(lowered):  # nearly all texts
        return text
    for rule in _RULES:
        if rule.hint.search(lowered):
            text = rule.pattern.sub(rule.replacement, text)
    return text


@lru_cache(maxsize=512)  # the names of fields are few
def is_sensitive_name(name: str) -> bool:
    """Whether a field of this name is masked whatever it holds."""
    return _NAME.fullmatch(name) is not None


def printable(text: str, limit: int) -> str:
    """One line of at most `limit` bytes of UTF-8: control characters made visible, cut with a mark if too long."""
    if len(text) <= limit and text.isascii() and text.isprintable():  # nearly all texts
        return text
    encoded = _CONTROL.sub(_visible, text[:limit]).encode("utf-8", "backslashreplace")
    if len(text) <= limit and len(encoded) <= limit:
        return encoded.decode("utf-8")
    return encoded[: limit - len(_CUT)].decode("utf-8", "ignore") + _CUT.decode()


_CUT = b"[cut]"
_SHORT_ESCAPES = {"\t": r"\t", "\n": r"\n", "\r": r"\r"}


def _visible(match: re.Match[str]) -> str:
    return _SHORT_ESCAPES.get(match[0]) or match[0].encode("unicode_escape").decode("ascii")
