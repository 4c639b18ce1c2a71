"""A credential that the operator holds by its finalizer, and the authorization server where it could end the grant."""

from __future__ import annotations

import json
import time
from typing import Any

from dev.helmcli import NAMESPACE
from dev.node import NodeCluster
from dev.oauth.server import CLIENT_SECRET, Family, OAuthServer
from dev.testbed.view import credential
from tests.e2e.site import Site
from tests.e2e.tenant import NAME

_TOOL = "revocable"
_ENTRY = """\
like: generic
title: A server that revokes
sources: {here: {at: this test, date: 2026-11-24}}
revoke: {value: {url: token/revocation}, source: here}
"""


class Held:
    """A bound namespace with a ToolCredential whose deletion would end its grant: the chart is deployed to allow it."""

    def __init__(self, site: Site, node: NodeCluster, server: OAuthServer, namespace: str) -> None:
        self.site = site
        self.namespace = namespace
        self._server = server
        self._upstream = f"tolstoy/{_TOOL}/{namespace}"
        self._origin = f"http://{node.forward_out(int(server.url.rpartition(':')[2]))}"
        self._deploy()
        self._grant = server.seed("post", namespace)
        self._store()
        site.namespace(namespace, allowed_orgs=namespace, allow_revoke="true")
        site.apply(credential(namespace, NAME, tool=_TOOL, org=namespace, oauth={"revocationPolicy": "Revoke"}))
        site.await_reason(namespace, NAME, "Synced", timeout=60)

    def finalizers(self) -> list[str]:
        """Those of the credential."""
        body = self.site.get("toolcredential", self.namespace, NAME)
        assert body
        return list(body["metadata"].get("finalizers", []))

    def change(self, *operations: dict[str, Any]) -> None:
        """Change the credential by a JSON patch, as the administrator."""
        patch = ("--type=json", "-p", json.dumps(operations))
        self.site.cluster.kubectl("patch", "toolcredential", NAME, "-n", self.namespace, *patch)

    def delete(self) -> None:
        """Delete the credential, and see it go."""
        self.site.cluster.kubectl("delete", "toolcredential", NAME, "-n", self.namespace, "--timeout=90s")

    def family(self) -> Family:
        """What the server counted for the grant."""
        return self._server.state().families[self._grant.id]

    def versions(self) -> Any:
        """The versions of the secret upstream with their labels: a revocation marks one before it does anything."""
        return self.site.aws.client().describe_secret(SecretId=self._upstream)["VersionIdsToStages"]

    def _deploy(self) -> None:
        metadata = {"namespace": NAMESPACE, "name": "providers"}
        entry = {f"{_TOOL}.yaml": _ENTRY}
        self.site.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": entry})
        refresh = {"providersConfigMap": "providers", "tokenEndpointOrigins": [self._origin]}
        self.site.deploy(self.site.values(refresh=refresh, revocation={"allowShared": True}))

    def _store(self) -> None:
        document = {
            "accessToken": self._grant.access_token,
            "refreshToken": self._grant.refresh_token,
            "expiresAt": round((time.time() + 3000) * 1000),
            "clientId": "post",
            "clientSecret": CLIENT_SECRET,
            "tokenEndpoint": f"{self._origin}/token",
        }
        self.site.aws.seed({self._upstream: json.dumps(document)})
