"""The chapters, in the order in which a newcomer would ask."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Final

from dev.demo.narrator import Narrator
from dev.testbed import Testbed

_MANIFESTS = Path(__file__).with_name("manifests")
_GITHUB = "tolstoy/github/org-abc123"
_PAYMENTS = "tolstoy/payments/org-abc123"
_CREDENTIALS = ("github", "payments", "database")

SECRETS: Final = (
    "gho_first",
    "gho_second",
    "ghr_demo",
    "demo-secret",
    "demo-key-1",
    "demo-key-2",
    "postgres://app@db/app",
)
"""All that these chapters store upstream and that no line of the demo may show."""
_FIRST_TOKEN, _SECOND_TOKEN, _REFRESH_TOKEN, _CLIENT_SECRET, _FIRST_KEY, _SECOND_KEY, _DATABASE_URL = SECRETS


def seed(testbed: Testbed) -> None:
    """What the consent application and the platform team have stored in Secrets Manager."""
    testbed.aws.seed(
        {
            _GITHUB: _token(_FIRST_TOKEN),
            _PAYMENTS: json.dumps({"apiKey": _FIRST_KEY, "createdAt": "2026-01-01T00:00:00Z"}),
            "conductor-db-secret": json.dumps({"DATABASE_URL": _DATABASE_URL}),
        }
    )


def tell(testbed: Testbed, say: Narrator) -> None:
    """Tell the whole story. Raises `AssertionError` where it does not hold."""
    _first_sync(testbed, say)
    _upstream_change(testbed, say)
    _drift(testbed, say)
    _admission(testbed, say)
    _malformed(testbed, say)
    _outage(testbed, say)
    _unbinding(testbed, say)


def _first_sync(testbed: Testbed, say: Narrator) -> None:
    say.chapter(
        "1. A tenant applies ToolCredentials, and Secrets are there",
        "Secrets Manager holds an OAuth token, an API key and a database URL.",
        "The namespace shop is bound to org-abc123, and granted the database secret.",
    )
    say.kubectl("apply", "-f", str(_MANIFESTS.joinpath("namespaces.yaml").relative_to(Path.cwd())))
    say.kubectl("apply", "-f", str(_MANIFESTS.joinpath("credentials.yaml").relative_to(Path.cwd())))
    say.kubectl("wait", "--for=condition=Ready", "tc", "--all", "-n", "shop", "--timeout=90s")
    say.kubectl("get", "tc", "-n", "shop")
    say.chapter("   Which keys each Secret holds (never the refresh token, unless it is asked for and granted)")
    for name in ("github", "payments-config", "database"):
        keys = sorted(testbed.data("shop", name) or {})
        print(f"    secret/{name:16} {', '.join(keys)}")
    say.check("the refresh token stayed upstream", lambda: "refreshToken" not in (testbed.data("shop", "github") or {}))
    say.check(
        "the template is filled in",
        lambda: (testbed.data("shop", "payments-config") or {})["PAYMENTS_KEY"] == _FIRST_KEY,
    )


def _upstream_change(testbed: Testbed, say: Narrator) -> None:
    say.chapter("2. The value changes upstream", "Somebody stores a new token in Secrets Manager.")
    testbed.aws.seed({_GITHUB: _token(_SECOND_TOKEN)})
    say.check("the Secret has the new token", lambda: _access_token(testbed) == _SECOND_TOKEN)


def _drift(testbed: Testbed, say: Narrator) -> None:
    say.chapter("3. Somebody edits the Secret, then deletes it")
    say.kubectl("patch", "secret", "github", "-n", "shop", "-p", '{"stringData":{"accessToken":"typo","extra":"x"}}')
    say.check(
        "the edit is reverted", lambda: _access_token(testbed) == _SECOND_TOKEN and "extra" not in _github(testbed)
    )
    say.kubectl("delete", "secret", "github", "-n", "shop")
    say.check("the Secret is back", lambda: _access_token(testbed) == _SECOND_TOKEN)


def _admission(testbed: Testbed, say: Narrator) -> None:
    say.chapter("4. A namespace that is not bound asks for the same token", "Admission refuses, and says who can help.")
    manifest = str(_MANIFESTS.joinpath("unbound.yaml").relative_to(Path.cwd()))
    answer = say.kubectl("apply", "-f", manifest, check=False)
    say.check("it was refused", lambda: "elsewhere" in answer and "ValidatingAdmissionPolicy" in answer)


def _malformed(testbed: Testbed, say: Narrator) -> None:
    say.chapter("5. Somebody stores something that is not JSON", "The last good Secret stays, and the status says why.")
    testbed.aws.seed({_PAYMENTS: "not json at all"})
    say.check("the status says SecretMalformed", lambda: _reason(testbed, "payments") == "SecretMalformed")
    say.kubectl(
        "get", "tc", "payments", "-n", "shop", "-o", 'jsonpath={.status.conditions[?(@.type=="Ready")].message}'
    )
    say.check(
        "the last good value is still there",
        lambda: (testbed.data("shop", "payments-config") or {})["PAYMENTS_KEY"] == _FIRST_KEY,
    )
    testbed.aws.seed({_PAYMENTS: json.dumps({"apiKey": _SECOND_KEY})})
    say.check("once it is corrected, all is well", lambda: _reason(testbed, "payments") == "Synced")


def _outage(testbed: Testbed, say: Narrator) -> None:
    say.chapter("6. Secrets Manager goes away", "Secrets stay as they are, Ready stays True, and the status says so.")
    secret, since = testbed.get("secret", "shop", "github"), _ready_since(testbed)
    testbed.aws.stop()
    for name in _CREDENTIALS:
        say.check(
            f"the status of {name} says UpstreamUnavailable",
            lambda name=name: _reason(testbed, name) == "UpstreamUnavailable",  # type: ignore[misc]  # lambda
        )
    say.kubectl("get", "tc", "-n", "shop")
    say.check("all of them have been Ready all the time", lambda: _ready_since(testbed) == since and all(since))
    say.check("nobody has written the Secret", lambda: testbed.get("secret", "shop", "github") == secret)
    say.kubectl("delete", "secret", "github", "-n", "shop")
    say.check("even now a deleted Secret comes back", lambda: _access_token(testbed) == _SECOND_TOKEN)
    testbed.aws.start()
    say.check("it is back, and the status says so", lambda: _reason(testbed, "github") == "Synced")


def _unbinding(testbed: Testbed, say: Narrator) -> None:
    say.chapter(
        "7. The platform team takes the binding away",
        "The mirror stops at once; the Secret is withdrawn after a grace (10 minutes by default, 3 seconds here).",
    )
    say.kubectl("annotate", "namespace", "shop", "--overwrite", "tolstoy.dev/allowed-orgs=org-other")
    say.check("the status says NamespaceNotBound", lambda: _reason(testbed, "github") == "NamespaceNotBound")
    say.check("the Secret is withdrawn", lambda: testbed.data("shop", "github") is None)
    say.kubectl("get", "events", "-n", "shop", "--field-selector=involvedObject.name=github")
    say.kubectl("annotate", "namespace", "shop", "--overwrite", "tolstoy.dev/allowed-orgs=org-abc123")
    say.check("bound again, it is back", lambda: _access_token(testbed) == _SECOND_TOKEN)


def _token(value: str) -> str:
    document = {
        "accessToken": value,
        "refreshToken": _REFRESH_TOKEN,
        "expiresAt": int((time.time() + 3600) * 1000),
        "scope": "repo",
        "tokenType": "bearer",
        "clientId": "demo",
        "clientSecret": _CLIENT_SECRET,
    }
    return json.dumps(document)


def _github(testbed: Testbed) -> dict[str, str]:
    return testbed.data("shop", "github") or {}


def _access_token(testbed: Testbed) -> str | None:
    return _github(testbed).get("accessToken")


def _ready_since(testbed: Testbed) -> list[str | None]:
    """Since when each credential is Ready without a break; None for one that is not."""
    ready = (testbed.conditions("shop", name).get("Ready", {}) for name in _CREDENTIALS)
    return [item["lastTransitionTime"] if item.get("status") == "True" else None for item in ready]


def _reason(testbed: Testbed, name: str) -> str | None:
    ready = testbed.conditions("shop", name).get("Ready")
    return ready["reason"] if ready else None
