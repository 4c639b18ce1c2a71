"""moto's Secrets Manager with the behaviour of the real one where the two differ.

moto stores secrets, filters listings, tags, replicates and deletes. Versions and labels are `versions.py`'s here:
moto itself keeps serving the old value after a label move, loses AWSCURRENT in a failed one, and lets a label sit on
two versions. Also: listings are sorted and may lag, deleted secrets refuse writes, and a label that moved is
announced on moto's EventBridge, as the service does.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from moto.core.base_backend import BackendDict
from moto.events.models import events_backends
from moto.secretsmanager import models
from moto.secretsmanager import urls as moto_urls
from moto.secretsmanager.utils import get_secret_name_from_partial_arn

from dev.secretsmanager import listing
from dev.secretsmanager import versions as rules
from dev.secretsmanager.answers import check_batch, value_answer, version_ids_answer
from dev.secretsmanager.control import Board, name_of
from dev.secretsmanager.errors import (
    MARKED_FOR_DELETION,
    NAME_PENDING_DELETION,
    AwsError,
    invalid_request,
    not_found,
)

BOARD = Board()


class StrictSecret(models.FakeSecret):  # type: ignore[misc]  # moto is untyped
    """A secret whose current version is the one with the label, and that remembers how listings saw it."""

    versions: rules.Versions

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.created_date = round(time.time(), 3)
        self.history = listing.History()
        self.touch()

    @property
    def default_version_id(self) -> str | None:
        """The version under AWSCURRENT."""
        return rules.labels(self.versions).get(rules.CURRENT)

    @default_version_id.setter
    def default_version_id(self, version_id: str | None) -> None:
        """moto's own bookkeeping, which the label replaces."""

    def touch(self) -> None:
        """The secret changed in some way just now."""
        now = time.time()
        self.last_changed_date = round(now, 3)
        self.history.record(now, self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """Metadata as listings and DescribeSecret show it: versions without labels are hidden."""
        entry: dict[str, Any] = super().to_dict()
        for key in ("VersionIdsToStages", "SecretVersionsToStages"):
            if key in entry:
                entry[key] = rules.stages(self.versions)
        return entry


class StrictStore(models.SecretsStore):  # type: ignore[misc]  # moto is untyped
    """Secrets by name and by ARN without a search through all of them."""

    def __init__(self) -> None:
        super().__init__()
        self._name_by_arn: dict[str, str] = {}

    def _key(self, identifier: str) -> str | None:
        if dict.__contains__(self, identifier):
            return identifier
        if identifier in self._name_by_arn:
            return self._name_by_arn[identifier]
        name = get_secret_name_from_partial_arn(identifier)
        if dict.__contains__(self, name):
            return cast("str", name)
        replicas = (key for key, secret in self.items() if isinstance(secret, models.ReplicaSecret))
        return next((key for key in replicas if dict.__getitem__(self, key).name == identifier), None)

    def __setitem__(self, key: str, secret: Any) -> None:
        dict.__setitem__(self, key, secret)
        self._name_by_arn[secret.arn] = key

    def __contains__(self, identifier: object) -> bool:
        return self._key(str(identifier)) is not None

    def __getitem__(self, identifier: str) -> Any:
        key = self._key(identifier)
        if key is None:
            raise KeyError(identifier)
        return dict.__getitem__(self, key)

    def get(self, identifier: str, default: Any = None) -> Any:
        """The secret of this name or ARN."""
        key = self._key(identifier)
        return default if key is None else dict.__getitem__(self, key)

    def pop(self, identifier: str, default: Any = None) -> Any:
        """Remove the secret of this name or ARN."""
        key = self._key(identifier)
        if key is None:
            return default
        secret: Any = dict.pop(self, key)
        self._name_by_arn.pop(secret.arn, None)
        return secret


class StrictBackend(models.SecretsManagerBackend):  # type: ignore[misc]  # moto is untyped
    """The operations, in moto's signatures."""

    _url_module = moto_urls  # moto derives it from the module of the class

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.secrets = StrictStore()

    def find(self, secret_id: str, *, write: bool = True) -> Any:
        """A secret that is there and not about to be deleted; for `write` it must not be a replica."""
        secret = self.secrets.get(secret_id)
        if secret is None:
            raise not_found()
        if write and isinstance(secret, models.ReplicaSecret):
            raise models.OperationNotPermittedOnReplica
        if secret.is_deleted():
            raise invalid_request(MARKED_FOR_DELETION)
        return secret

    @contextlib.contextmanager
    def _changing(self, secret_id: str) -> Iterator[Any]:
        """A change to a secret: its date moves, and moved labels are announced."""
        secret = self.find(secret_id)
        before = rules.labels(secret.versions)
        yield secret
        secret.touch()
        self._announce(secret, before)

    def _announce(self, secret: Any, before: Mapping[str, str]) -> None:
        for label, version_id in rules.labels(secret.versions).items():
            if before.get(label) != version_id and label not in ("AWSPENDING", rules.PREVIOUS):
                detail = {"name": secret.name, "labelUpdated": label, "versionId": version_id}
                event = {
                    "Source": "aws.secretsmanager",
                    "DetailType": "Secret Label Updated",
                    "Detail": json.dumps(detail),
                    "Resources": [secret.arn],
                }
                events_backends[self.account_id][self.region_name].put_events([event])

    def get_secret_value(self, secret_id: str, version_id: str | None, version_stage: str | None) -> dict[str, Any]:
        """One version."""
        secret = self.find(secret_id, write=False)
        version = rules.select(secret.versions, version_id or None, version_stage or None)
        return value_answer(secret.arn, secret.name, version)

    def batch_get_secret_value(
        self,
        secret_id_list: Sequence[str] | None = None,
        filters: list[dict[str, Any]] | None = None,
        max_results: int | None = None,
        next_token: str | None = None,
    ) -> tuple[list[dict[str, Any]], list[dict[str, str]], str | None]:
        """The current versions of up to twenty secrets; what fails is told apart from what works."""
        check_batch(secret_id_list, filters, max_results)
        ids, token = list(secret_id_list or []), None
        if filters:
            found = [secret.name for secret in list(self.secrets.values()) if models._matches(secret, filters)]
            live = [name for name in found if not self.secrets[name].is_deleted()]
            ids, token = listing.page(live, max_results, next_token, limit=listing.MAX_BATCH)
        values: list[dict[str, Any]] = []
        errors: list[dict[str, str]] = []
        for secret_id in ids:
            try:
                if (denied := BOARD.batch_item(name_of(secret_id))) is not None:
                    raise denied
                values.append(self.get_secret_value(secret_id, None, None))
            except AwsError as error:
                errors.append({"SecretId": secret_id, "ErrorCode": error.code, "Message": error.message})
        return values, errors, token

    def create_secret(self, name: str, secret_string: str | None, secret_binary: str | None, **rest: Any) -> str:
        """A new secret; the same token with the same value again is a success."""
        listing.check_name(name)
        if secret_string is not None or secret_binary is not None:
            rules.check_value(secret_string, secret_binary)
        existing = self.secrets.get(name)
        if existing is not None and existing.is_deleted():
            raise invalid_request(NAME_PENDING_DELETION)
        answer: str = super().create_secret(name, secret_string, secret_binary, **rest)
        if existing is None:
            self._announce(self.secrets[name], {})
        return answer

    def put_secret_value(
        self,
        secret_id: str,
        secret_string: str | None,
        secret_binary: str | None,
        client_request_token: str | None,
        version_stages: list[str],
    ) -> str:
        """Another version of a secret."""
        with self._changing(secret_id) as secret:
            version_id = rules.put(
                secret.versions,
                arn=secret.arn,
                token=client_request_token,
                string=secret_string,
                binary=secret_binary,
                put_labels=version_stages,
                now=time.time(),
            )
        return cast("str", secret.to_short_dict(include_version_stages=True, version_id=version_id))

    def update_secret(
        self,
        secret_id: str,
        secret_string: str | None = None,
        secret_binary: str | None = None,
        client_request_token: str | None = None,
        kms_key_id: str | None = None,
        description: str | None = None,
    ) -> str:
        """Metadata, value or both. Unlike PutSecretValue it never accepts a token twice."""
        with self._changing(secret_id) as secret:
            version_id = None
            if secret_string is not None or secret_binary is not None:
                if client_request_token in secret.versions:
                    raise rules.token_in_use(str(client_request_token), secret.arn)
                version_id = rules.put(
                    secret.versions,
                    arn=secret.arn,
                    token=client_request_token,
                    string=secret_string,
                    binary=secret_binary,
                    put_labels=[rules.CURRENT],
                    now=time.time(),
                )
            secret.description = description or secret.description
            secret.kms_key_id = kms_key_id or secret.kms_key_id
        return cast("str", secret.to_short_dict(version_id=version_id, include_version_id=version_id is not None))

    def update_secret_version_stage(
        self, secret_id: str, version_stage: str, remove_from_version_id: str | None, move_to_version_id: str | None
    ) -> tuple[str, str]:
        """Move one label, if it is where the caller believes."""
        with self._changing(secret_id) as secret:
            rules.move(secret.versions, version_stage, remove_from=remove_from_version_id, move_to=move_to_version_id)
        return secret.arn, secret.name

    def list_secret_version_ids(self, secret_id: str, include_deprecated: bool = False) -> str:
        """Versions without values; those without labels only on request."""
        secret = self.secrets.get(secret_id)
        if secret is None:
            raise not_found()
        return json.dumps(version_ids_answer(secret.arn, secret.name, secret.versions, include_deprecated))

    def list_secrets(
        self,
        filters: list[dict[str, Any]],
        max_results: int | None = listing.MAX_PAGE,
        next_token: str | None = None,
        include_planned_deletion: bool = False,
        sort_by: str | None = None,
        sort_order: str | None = None,
    ) -> tuple[list[dict[str, Any]], str | None]:
        """Metadata of many secrets, possibly as it was some seconds ago."""
        as_of = time.time() - BOARD.list_lag
        seen = []
        for secret in list(self.secrets.values()):
            replica = isinstance(secret, models.ReplicaSecret)
            look = secret.to_dict() if replica or not BOARD.list_lag else secret.history.as_of(as_of)
            deleted = look is not None and look.get("DeletedDate")
            if look is not None and (include_planned_deletion or not deleted) and models._matches(secret, filters):
                seen.append(look)
        entries = listing.sort(seen, sort_by, sort_order)
        return listing.page(entries, max_results, next_token, limit=listing.MAX_PAGE)

    def tag_resource(self, arn: str, tags: dict[str, str]) -> None:
        """Add tags."""
        with self._changing(arn):
            super().tag_resource(arn, tags)

    def untag_resource(self, arn: str, tag_keys: list[str]) -> None:
        """Remove tags."""
        with self._changing(arn):
            super().untag_resource(arn, tag_keys)

    def put_resource_policy(self, secret_id: str, policy: str) -> tuple[str, str]:
        """Store a resource policy (it is not enforced)."""
        with self._changing(secret_id):
            return cast("tuple[str, str]", super().put_resource_policy(secret_id, policy))

    def delete_secret(self, secret_id: str, *args: Any, **kwargs: Any) -> tuple[str, str, float]:
        """Mark for deletion, or delete at once."""
        answer = cast("tuple[str, str, float]", super().delete_secret(secret_id, *args, **kwargs))
        if (secret := self.secrets.get(secret_id)) is not None:
            secret.touch()
        return answer

    def restore_secret(self, secret_id: str) -> tuple[str, str]:
        """Take the mark for deletion away."""
        answer = cast("tuple[str, str]", super().restore_secret(secret_id))
        self.secrets[secret_id].touch()
        return answer


def install() -> Any:
    """Make moto use the classes above. Returns the backends by account and region."""
    models.FakeSecret = StrictSecret
    models.secretsmanager_backends = BackendDict(StrictBackend, "secretsmanager")
    return models.secretsmanager_backends
