"""The cluster as a person may see and change it: everything with their own rights.

The data of Secrets is never read, so it cannot get onto a terminal.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from tolstoy_operator.api import names
from tolstoy_operator.cli.errors import CliError, told
from tolstoy_operator.domain.consumers import Owner, active, controller, uses_of
from tolstoy_operator.kube import paths
from tolstoy_operator.kube.client import MERGE_PATCH, KubeClient, Object
from tolstoy_operator.kube.errors import Conflict, Forbidden, KubeError, NotFound
from tolstoy_operator.kube.kubeconfig import KubeconfigError, load_user_cluster

T = TypeVar("T")
AGENT: Final = "kubectl-tolstoy"

_APPS: Final = {"deployments": "Deployment", "statefulsets": "StatefulSet", "daemonsets": "DaemonSet"}


@dataclass(slots=True)
class Surroundings:
    """What there is around a Secret. `unread`: sentences on what the person may not read."""

    pods: list[Object] = field(default_factory=list)
    templates: dict[Owner, Mapping[str, Any]] = field(default_factory=dict)
    parents: dict[Owner, Owner] = field(default_factory=dict)
    events: list[Object] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)


class Cluster:
    """Questions to one API server. Every method raises `CliError` when there is no answer.

    `namespace`: the one that the person's context stands for.
    """

    def __init__(self, client: KubeClient, *, namespace: str, host: str) -> None:
        self._client = client
        self._host = host
        self.namespace = namespace

    async def credentials(self, namespace: str | None) -> list[Object]:
        """The ToolCredentials of a namespace, or of all (None)."""
        path = paths.credentials(namespace) if namespace else paths.CREDENTIALS
        try:
            return await self._list(path)
        except NotFound:
            raise self._not_installed() from None
        except KubeError as error:
            raise self._told(error, "list", namespace) from None

    async def credential(self, namespace: str, name: str) -> Object:
        """One ToolCredential."""
        return await self._one(namespace, name, "get", self._client.get(paths.credential(namespace, name)))

    async def find_credential(self, namespace: str, name: str, uid: str) -> Object | None:
        """The ToolCredential with that UID; None when it is gone."""
        try:
            body = await self._client.get(paths.credential(namespace, name))
        except NotFound:
            return None
        except KubeError as error:
            raise self._told(error, "get", namespace) from None
        return body if body["metadata"]["uid"] == uid else None

    async def change_spec(self, namespace: str, name: str, uid: str, spec: Object) -> Object:
        """Merge members into the spec of the ToolCredential with that UID. Returns the object."""
        path, body = paths.credential(namespace, name), {"metadata": {"uid": uid}, "spec": spec}
        return await self._one(namespace, name, "patch", self._client.patch(path, body, content_type=MERGE_PATCH))

    async def delete_credential(self, namespace: str, name: str, uid: str) -> None:
        """Delete the ToolCredential with that UID. Nobody waits until it is gone."""
        try:
            await self._client.delete(paths.credential(namespace, name), {"preconditions": {"uid": uid}})
        except NotFound:
            return
        except KubeError as error:
            raise self._told(error, "delete", namespace) from None

    async def create_secret(self, namespace: str, manifest: Object) -> bool:
        """Returns False when there is one of that name."""
        try:
            await self._client.create(paths.secrets(namespace), manifest, query={"fieldManager": AGENT})
        except Conflict:
            return False
        except KubeError as error:
            raise self._told(error, "create", namespace, "secrets") from None
        return True

    async def secret_metadata(self, namespace: str, name: str) -> Object | None:
        """The metadata of a Secret, None when there is none."""
        try:
            return await self._client.get_metadata(paths.secrets(namespace, name))
        except NotFound:
            return None
        except KubeError as error:
            raise self._told(error, "get", namespace, "secrets") from None

    async def delete_secret(self, namespace: str, name: str, uid: str) -> None:
        """Delete the Secret with that UID, if it is still there."""
        try:
            await self._client.delete(paths.secrets(namespace, name), {"preconditions": {"uid": uid}})
        except (NotFound, Conflict):
            return
        except KubeError as error:
            raise self._told(error, "delete", namespace, "secrets") from None

    async def events(self, namespace: str, uid: str) -> list[Object]:
        """The Events of the credential with that UID; none for who may not read them."""
        return (await self.surroundings(namespace, uid, None)).events

    async def ask_for_sync(self, namespace: str, name: str, mark: str) -> Object:
        """Set the annotation that makes the operator look at once. Returns the object."""
        body: Object = {"metadata": {"annotations": {names.FORCE_SYNC: mark}}}
        path = paths.credential(namespace, name)
        return await self._one(namespace, name, "patch", self._client.patch(path, body, content_type=MERGE_PATCH))

    async def surroundings(self, namespace: str, uid: str, secret: str | None) -> Surroundings:
        """The pods and workloads that may read `secret`, and the Events of the credential with that UID."""
        found = Surroundings()
        await asyncio.gather(
            self._read_events(namespace, uid, found),
            self._read_workloads(namespace, set() if secret is None else {secret}, found),
        )
        found.unread.sort()
        return found

    async def workloads(self, namespace: str, secrets: Collection[str]) -> Surroundings:
        """The pods and workloads that may read one of `secrets`."""
        found = Surroundings()
        await self._read_workloads(namespace, secrets, found)
        found.unread.sort()
        return found

    async def _read_workloads(self, namespace: str, secrets: Collection[str], found: Surroundings) -> None:
        if secrets:
            await asyncio.gather(
                self._read_pods(namespace, secrets, found),
                *(self._read_apps(namespace, plural, kind, found) for plural, kind in _APPS.items()),
                self._read_cron_jobs(namespace, found),
            )

    async def _read_events(self, namespace: str, uid: str, found: Surroundings) -> None:
        path = paths.events_of_core(namespace)
        found.events = await self._readable(namespace, "events", found, path, fields=f"involvedObject.uid={uid}")

    async def _read_pods(self, namespace: str, secrets: Collection[str], found: Surroundings) -> None:
        pods = await self._readable(namespace, "pods", found, paths.pods(namespace))
        found.pods = [
            pod for pod in pods if active(pod) and any(uses_of(pod.get("spec") or {}, name) for name in secrets)
        ]
        owners = {owner for pod in found.pods if (owner := controller(pod))}
        await asyncio.gather(*(self._read_parent(namespace, owner, found) for owner in sorted(owners)))

    async def _read_apps(self, namespace: str, plural: str, kind: str, found: Surroundings) -> None:
        for body in await self._readable(namespace, plural, found, paths.apps(namespace, plural)):
            found.templates[kind, body["metadata"]["name"]] = body["spec"]["template"].get("spec") or {}

    async def _read_cron_jobs(self, namespace: str, found: Surroundings) -> None:
        for body in await self._readable(namespace, "cronjobs", found, paths.batch(namespace, "cronjobs")):
            template = body["spec"]["jobTemplate"]["spec"]["template"]
            found.templates["CronJob", body["metadata"]["name"]] = template.get("spec") or {}

    async def _read_parent(self, namespace: str, owner: Owner, found: Surroundings) -> None:
        kind, name = owner
        if kind == "ReplicaSet":
            path = paths.apps(namespace, "replicasets", name)
        elif kind == "Job":
            path = paths.batch(namespace, "jobs", name)
        else:
            return
        try:
            parent = controller(await self._client.get(path))
        except (Forbidden, NotFound):
            return  # then the pod's own owner is named
        except KubeError as error:
            raise self._told(error, "get", namespace, f"{kind.lower()}s") from None
        if parent is not None:
            found.parents[owner] = parent

    async def _readable(
        self, namespace: str, resource: str, found: Surroundings, path: str, *, fields: str | None = None
    ) -> list[Object]:
        try:
            return await self._list(path, fields=fields)
        except Forbidden:
            found.unread.append(f"you may not list {resource} in namespace {namespace}")
            return []
        except KubeError as error:
            raise self._told(error, "list", namespace, resource) from None

    async def _list(self, path: str, *, fields: str | None = None) -> list[Object]:
        return [item async for page in self._client.list_pages(path, fields=fields) for item in page.get("items") or ()]

    async def _one(self, namespace: str, name: str, verb: str, request: Awaitable[Object]) -> Object:
        try:
            return await request
        except NotFound:
            await self._check_installed()
            raise CliError(
                f"there is no ToolCredential {name} in namespace {namespace}",
                f"kubectl tolstoy status -n {namespace} shows those that are there; -n chooses another namespace",
            ) from None
        except KubeError as error:
            raise self._told(error, verb, namespace) from None

    async def _check_installed(self) -> None:
        try:
            await self._client.get(paths.GROUP_VERSION)
        except NotFound:
            raise self._not_installed() from None
        except KubeError:
            return  # the first answer stands

    def _not_installed(self) -> CliError:
        return CliError(
            f"{self._host} knows no ToolCredentials",
            "choose the cluster with --context; if it is the right one, the platform team must install the operator",
        )

    def _told(
        self, error: KubeError, verb: str, namespace: str | None, resource: str = "toolcredentials.tolstoy.dev"
    ) -> CliError:
        return told(error, verb=verb, resource=resource, namespace=namespace, host=self._host)


@asynccontextmanager
async def open_cluster(kubeconfig: str | None, context: str | None) -> AsyncIterator[Cluster]:
    """The cluster that the person's kubeconfig stands for. Raises `CliError`."""
    try:
        user = await load_user_cluster(kubeconfig, context)
    except KubeconfigError as error:
        known = "kubectl config get-contexts shows what there is; --kubeconfig names a file"
        raise CliError(str(error), known) from None
    client = KubeClient(user.configuration, user_agent=AGENT)
    try:
        yield Cluster(client, namespace=user.namespace, host=urlsplit(user.configuration.host).netloc)
    finally:
        await client.close()
