"""What the inventory takes for news, and what it forgets."""

from __future__ import annotations

import pytest

from tests.support.objects import credential_object, namespace_object, secret_object
from tolstoy_operator.domain.existing import fingerprint_with
from tolstoy_operator.engine.inventory import Inventory

KEY = ("shop", "github")


@pytest.fixture
def inventory() -> Inventory:
    return Inventory(fingerprint_with(b"key"))


def test_a_new_credential_is_news(inventory: Inventory) -> None:
    assert inventory.observe_credential(credential_object()) == {KEY}
    known = inventory.credential(KEY)
    assert known is not None
    assert (known.upstream, known.target) == ("tolstoy/github/org-abc123", KEY)
    assert inventory.users_of("tolstoy/github/org-abc123") == {KEY}


def test_an_older_version_is_dropped(inventory: Inventory) -> None:
    inventory.observe_credential(credential_object(version=10, generation=2))
    assert inventory.observe_credential(credential_object(version=9, generation=1)) == frozenset()
    known = inventory.credential(KEY)
    assert known is not None
    assert known.generation == 2


def test_a_newer_version_that_says_the_same_is_no_news(inventory: Inventory) -> None:
    inventory.observe_credential(credential_object(version=10))
    assert inventory.observe_credential(credential_object(version=11, labels={"a": "b"})) == frozenset()


@pytest.mark.parametrize(
    "change",
    [
        {"generation": 2},
        {"annotations": {"tolstoy.dev/force-sync": "now"}},
        {"deletionTimestamp": "2026-01-01T00:00:00Z"},
        {"uid": "uid-2"},
        {"status": {"observedGeneration": 7}},
    ],
)
def test_what_matters_is_news(inventory: Inventory, change: dict[str, object]) -> None:
    inventory.observe_credential(credential_object(version=10))
    assert inventory.observe_credential(credential_object(version=11, **change)) == {KEY}  # type: ignore[arg-type]  # parametrised


def test_of_a_long_mark_only_a_digest_is_kept_and_another_one_is_news(inventory: Inventory) -> None:
    """An annotation holds a quarter of a megabyte, and there are thousands of credentials."""
    for version, text in enumerate(("a" * 250_000, "a" * 249_999 + "b"), start=10):
        body = credential_object(version=version, annotations={"tolstoy.dev/force-sync": text})
        assert inventory.observe_credential(body) == {KEY}
        known = inventory.credential(KEY)
        assert known is not None
        assert known.new_mark is not None
        assert len(known.new_mark) <= 253


def test_what_was_told_is_remembered_with_the_object_and_forgotten_with_it(inventory: Inventory) -> None:
    def told() -> str | None:
        known = inventory.credential(KEY)
        assert known is not None
        return known.told

    inventory.observe_credential(credential_object(version=10))
    inventory.note_told("uid-1", "v1")
    inventory.observe_credential(credential_object(version=11, generation=2))
    inventory.note_credential(credential_object(version=12, generation=2))
    assert told() == "v1"
    inventory.observe_credential(credential_object(version=13, uid="uid-2"))
    inventory.note_told("uid-1", "v2")
    assert told() is None


def test_our_own_status_write_is_no_news_when_the_watch_brings_it(inventory: Inventory) -> None:
    inventory.observe_credential(credential_object(version=10))
    written = credential_object(version=11, status={"observedGeneration": 1})
    inventory.note_credential(written)
    assert inventory.observe_credential(written) == frozenset()


@pytest.mark.parametrize(
    "change",
    [
        {"generation": 2},
        {"annotations": {"tolstoy.dev/force-sync": "now"}},
        {"deletionTimestamp": "2026-01-01T00:00:00Z"},
    ],
)
def test_a_write_of_ours_does_not_hide_what_others_changed(inventory: Inventory, change: dict[str, object]) -> None:
    inventory.observe_credential(credential_object(version=10))
    body = credential_object(version=12, status={"observedGeneration": 1}, **change)  # type: ignore[arg-type]  # parametrised
    inventory.note_credential(body)
    assert inventory.observe_credential(body) == {KEY}


def test_a_spec_that_cannot_be_read_is_kept_with_its_problem(inventory: Inventory) -> None:
    inventory.observe_credential(credential_object(spec={"tool": "UPPER", "orgId": "x"}))
    known = inventory.credential(KEY)
    assert known is not None
    assert known.spec is None
    assert known.spec_problem == "not valid: spec.tool"
    assert known.target is None


def test_a_spec_of_neither_form_is_a_problem(inventory: Inventory) -> None:
    inventory.observe_credential(credential_object(spec={"suspend": True}))
    known = inventory.credential(KEY)
    assert known is not None
    assert "secretName" in known.spec_problem


def test_renaming_a_target_concerns_those_who_wait_for_the_old_one(inventory: Inventory) -> None:
    spec = {"tool": "github", "orgId": "o", "target": {"name": "shared"}}
    inventory.observe_credential(credential_object(spec=spec))
    inventory.observe_credential(credential_object("second", uid="uid-2", spec=spec))
    renamed = {**spec, "target": {"name": "own"}}
    assert inventory.observe_credential(credential_object(version=30, generation=2, spec=renamed)) == {
        KEY,
        ("shop", "second"),
    }


def test_a_gone_credential_concerns_those_who_wait_for_its_target(inventory: Inventory) -> None:
    spec = {"tool": "github", "orgId": "o", "target": {"name": "shared"}}
    inventory.observe_credential(credential_object(spec=spec))
    inventory.observe_credential(credential_object("second", uid="uid-2", spec=spec))
    assert inventory.forget_credential(KEY, "uid-1") == {("shop", "second")}
    assert inventory.credential(KEY) is None
    assert not inventory.is_live("uid-1")
    assert [claim.name for claim in inventory.claims(("shop", "shared"))] == ["second"]


def test_the_end_of_a_predecessor_is_not_the_end_of_its_successor(inventory: Inventory) -> None:
    inventory.observe_credential(credential_object(uid="uid-2", version=20))
    assert inventory.forget_credential(KEY, "uid-1") == frozenset()
    assert inventory.credential(KEY) is not None


def test_a_secret_concerns_its_owner_and_those_who_target_it(inventory: Inventory) -> None:
    inventory.observe_credential(credential_object())
    inventory.observe_credential(
        credential_object("second", uid="uid-2", spec={"tool": "x", "orgId": "o", "target": {"name": "github"}})
    )
    assert inventory.observe_secret(secret_object()) == {KEY, ("shop", "second")}
    assert inventory.observe_secret(secret_object()) == frozenset(), "an echo"
    assert inventory.forget_secret(KEY, "secret-uid-1", 21) == {KEY, ("shop", "second")}
    assert inventory.secret(KEY) is None


def test_a_namespace_is_news_when_its_binding_changes(inventory: Inventory) -> None:
    inventory.observe_credential(credential_object())
    assert inventory.observe_namespace(namespace_object(version=1, allowed_orgs="a")) == {KEY}
    assert inventory.observe_namespace(namespace_object(version=2, allowed_orgs="a", note="x")) == frozenset()
    assert inventory.observe_namespace(namespace_object(version=3, allowed_orgs="b")) == {KEY}
    assert inventory.observe_namespace(namespace_object(version=4, allowed_orgs="b", terminating=True)) == {KEY}
    inventory.forget_namespace("shop", 5)
    assert inventory.namespace("shop") is None


def test_a_list_forgets_only_what_it_would_have_shown(inventory: Inventory) -> None:
    inventory.observe_credential(credential_object("seen", uid="1", version=5))
    inventory.observe_credential(credential_object("gone", uid="2", version=6))
    inventory.observe_credential(credential_object("newer", uid="3", version=9))
    absent = inventory.absent_credentials({(("shop", "seen"), "1")}, listed_at=8)
    assert [item.key[1] for item in absent] == ["gone"]


def test_the_same_holds_for_secrets_and_namespaces(inventory: Inventory) -> None:
    inventory.observe_secret(secret_object("gone", version=5))
    inventory.observe_secret(secret_object("newer", version=9, uid="other"))
    inventory.observe_namespace(namespace_object("gone", version=5))
    inventory.observe_namespace(namespace_object("newer", version=9))
    assert [item.name for item in inventory.absent_secrets(set(), listed_at=8)] == ["gone"]
    assert inventory.absent_namespaces(set(), listed_at=8) == ["gone"]


def test_no_value_is_kept(inventory: Inventory) -> None:
    inventory.observe_secret(secret_object(data={"accessToken": "canary-value"}))
    assert "canary-value" not in repr(inventory.secret(KEY))


def test_a_status_write_that_the_watch_has_overtaken_changes_nothing(inventory: Inventory) -> None:
    inventory.observe_credential(credential_object(version=10))
    inventory.observe_credential(credential_object(version=12, status={"observedGeneration": 7}))
    inventory.note_credential(credential_object(version=11, status={"observedGeneration": 1}))
    known = inventory.credential(KEY)
    assert known is not None
    assert (known.version, known.status.observed_generation) == (12, 7)


def test_a_status_write_of_what_is_gone_changes_nothing(inventory: Inventory) -> None:
    inventory.note_credential(credential_object(version=11))
    assert inventory.credential(KEY) is None


def test_the_spec_is_read_anew_only_with_a_new_generation(inventory: Inventory) -> None:
    inventory.observe_credential(credential_object(version=10))
    before = inventory.credential(KEY)
    inventory.observe_credential(credential_object(version=11, labels={"a": "b"}))
    after = inventory.credential(KEY)
    assert before is not None
    assert after is not None
    assert after is not before
    assert after.spec is before.spec
    inventory.observe_credential(credential_object(version=12, uid="uid-2", spec={"tool": "slack", "orgId": "o"}))
    successor = inventory.credential(KEY)
    assert successor is not None
    assert successor.upstream == "tolstoy/slack/o", "a successor begins with generation 1, too"


def test_what_went_does_not_come_back(inventory: Inventory) -> None:
    inventory.observe_credential(credential_object(version=10))
    inventory.forget_credential(KEY, "uid-1")
    assert inventory.observe_credential(credential_object(version=50)) == frozenset()
    assert inventory.credential(KEY) is None
    assert inventory.observe_credential(credential_object(uid="uid-2", version=51)) == {KEY}


def test_a_secret_that_went_does_not_come_back_and_its_label_can(inventory: Inventory) -> None:
    inventory.observe_secret(secret_object(version=20))
    inventory.forget_secret(KEY, "secret-uid-1", 30)
    inventory.observe_secret(secret_object(version=29))
    assert inventory.secret(KEY) is None
    inventory.observe_secret(secret_object(version=30, labels={}))
    assert inventory.secret(KEY) is not None, "as it is without its label"
    inventory.observe_secret(secret_object(version=31))
    assert inventory.secret(KEY) is not None


def test_the_end_of_a_state_that_is_over_is_no_end(inventory: Inventory) -> None:
    inventory.observe_secret(secret_object(version=40))
    assert inventory.forget_secret(KEY, "secret-uid-1", 30) == frozenset()
    assert inventory.forget_secret(KEY, "another", 50) == frozenset()
    assert inventory.secret(KEY) is not None
    inventory.observe_namespace(namespace_object(version=40))
    inventory.forget_namespace("shop", 30)
    assert inventory.namespace("shop") is not None
    inventory.forget_namespace("never-seen", 30)


def test_only_so_many_ends_are_remembered(inventory: Inventory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tolstoy_operator.engine.inventory.REMEMBERED_ENDS", 2)
    for number in range(3):
        inventory.forget_credential(KEY, f"uid-{number}")
    assert len(inventory._ended) == 2
    assert inventory.observe_credential(credential_object(uid="uid-2")) == frozenset()
    assert inventory.observe_credential(credential_object(uid="uid-0")) == {KEY}


def test_who_is_behind(inventory: Inventory) -> None:
    upstream = {"name": "tolstoy/github/org-abc123", "versionId": "v1"}
    inventory.observe_credential(credential_object(status={"upstream": upstream}))
    inventory.observe_credential(credential_object("new", uid="2"))
    assert inventory.behind("tolstoy/github/org-abc123", "v1") == {("shop", "new")}
    assert inventory.behind("tolstoy/github/org-abc123", "v2") == {KEY, ("shop", "new")}
    assert inventory.behind("unknown", "v2") == frozenset()


def test_nothing_is_left_in_the_indexes_of_what_is_gone(inventory: Inventory) -> None:
    inventory.observe_credential(credential_object(spec={"tool": "NO"}))
    inventory.forget_credential(KEY, "uid-1")
    inventory.observe_credential(credential_object(uid="uid-2"))
    inventory.observe_secret(secret_object(owner="uid-2"))
    inventory.forget_secret(KEY, "secret-uid-1", 30)
    inventory.forget_credential(KEY, "uid-2")
    assert not any(
        getattr(inventory, name)
        for name in ("_by_namespace", "_by_upstream", "_by_target", "_by_uid", "_secrets_by_owner", "_credentials")
    )
