"""Who asks, and what they may see: TokenReview, then SubjectAccessReview."""

from __future__ import annotations

import logging
from typing import Any

from tolstoy_operator.api import names
from tolstoy_operator.kube import paths
from tolstoy_operator.kube.client import KubeClient
from tolstoy_operator.kube.errors import KubeError

_log = logging.getLogger(__name__)


class ReviewsAuthorizer:
    """Lets in who may `list` ToolCredentials in the namespace asked for, or in all of them."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client

    async def allowed(self, token: str, namespace: str | None) -> bool:
        """Whether the holder of `token` may see details. A review that fails lets nobody in."""
        try:
            review = await self._client.create(paths.TOKEN_REVIEWS, _token_review(token))
            status = review.get("status") or {}
            if not status.get("authenticated"):
                return False
            user = status.get("user") or {}
            answer = await self._client.create(paths.ACCESS_REVIEWS, _access_review(user, namespace))
        except KubeError as error:
            _log.warning("a caller could not be reviewed: %s", error)
            return False
        return bool((answer.get("status") or {}).get("allowed"))


def _token_review(token: str) -> dict[str, Any]:
    return {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}


def _access_review(user: dict[str, Any], namespace: str | None) -> dict[str, Any]:
    attributes = {"verb": "list", "group": names.GROUP, "resource": names.PLURAL}
    if namespace is not None:
        attributes["namespace"] = namespace
    spec = {"user": user.get("username"), "groups": user.get("groups") or [], "resourceAttributes": attributes}
    if user.get("extra"):
        spec["extra"] = user["extra"]
    if user.get("uid"):
        spec["uid"] = user["uid"]
    return {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
