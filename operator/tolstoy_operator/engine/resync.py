"""Paged lists of everything we watch: they fill the inventory before anything is dispatched, and repair it later.

A watch can miss things (a cut stream, an object that vanished while nobody watched), so the lists come again every few
minutes. An object is forgotten only if the list would have shown it: when it was last seen at or before the version at
which the list was taken.

An operator that has only some namespaces lists each of them, and reads their bindings one by one: it may not list
Namespaces, so nothing tells when one changes, and `bindings` is called every few seconds. A namespace that it may not
list, since it is gone or the right to it, is no news about what was in it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from tolstoy_operator.api import names
from tolstoy_operator.engine.inventory import Inventory
from tolstoy_operator.engine.records import Key
from tolstoy_operator.kube import paths
from tolstoy_operator.kube.client import KubeClient
from tolstoy_operator.kube.errors import Forbidden, Gone, NotFound

_log = logging.getLogger(__name__)
_ATTEMPTS = 3

Observe = Callable[[Mapping[str, Any]], frozenset[Key]]


class Resync:
    """`gone`: told of each credential that vanished; the rest of what changed is returned.

    `unseen`: told of the credentials whose Secret no list can show, since its label was taken off; they need a look.
    `namespaces`: all that the operator has, empty: the whole cluster.
    """

    def __init__(
        self,
        client: KubeClient,
        inventory: Inventory,
        *,
        gone: Callable[[Key, str], None],
        unseen: Callable[[Iterable[Key]], None],
        namespaces: Collection[str] = (),
    ) -> None:
        self._client = client
        self._inventory = inventory
        self._gone = gone
        self._unseen = unseen
        self._namespaces = namespaces
        self._changed: set[Key] = set()
        self._rebound: set[Key] = set()

    async def run(self) -> frozenset[Key]:
        """List all. Returns the credentials that something changed for. Raises `KubeError`.

        What was seen before a failure is news only once, so it is kept for the answer of the next run.
        """
        if self._namespaces:
            self._changed |= await self.bindings()
            for name in self._namespaces:
                await self._run_in(name)
        else:
            inventory = self._inventory
            seen, at = await self._list(paths.NAMESPACES, None, inventory.observe_namespace)
            for name in inventory.absent_namespaces({key[1] for key, _ in seen}, at):
                inventory.forget_namespace(name, at)
            await self._objects(paths.SECRETS, paths.CREDENTIALS, None)
        changed, self._changed = self._changed, set()
        return frozenset(changed)

    async def bindings(self) -> frozenset[Key]:
        """Read the Namespaces that the operator has. Returns the credentials whose binding changed.

        Raises `KubeError`. What was seen before is kept for the answer of the next call.
        """
        for name in self._namespaces:
            try:
                body = await self._client.get(paths.namespace(name))
            except (Forbidden, NotFound) as error:
                _log.warning("a namespace cannot be read: %s", error, extra={"namespace": name})
            else:
                self._rebound |= self._inventory.observe_namespace(body)
        changed, self._rebound = self._rebound, set()
        return frozenset(changed)

    async def _run_in(self, namespace: str) -> None:
        try:
            await self._objects(paths.secrets(namespace), paths.credentials(namespace), namespace)
        except Forbidden as error:
            _log.warning("a namespace cannot be listed: %s", error, extra={"namespace": namespace})

    async def _objects(self, secrets: str, credentials: str, namespace: str | None) -> None:
        """The Secrets and credentials of a namespace, or of all (None)."""
        inventory = self._inventory
        seen, at = await self._list(secrets, names.MANAGED_LABEL, inventory.observe_secret)
        for secret in inventory.absent_secrets(seen, at):
            if namespace in (None, secret.namespace):
                concerned = inventory.forget_secret((secret.namespace, secret.name), secret.uid, secret.version)
                if secret.managed is None:
                    self._unseen(concerned)
                else:
                    self._changed |= concerned
        seen, at = await self._list(credentials, None, inventory.observe_credential)
        for credential in inventory.absent_credentials(seen, at):
            if namespace in (None, credential.key[0]):
                self._gone(credential.key, credential.uid)

    async def _list(self, path: str, selector: str | None, observe: Observe) -> tuple[set[tuple[Key, str]], int]:
        for attempt in range(_ATTEMPTS):
            try:
                return await self._list_once(path, selector, observe)
            except Gone:
                if attempt == _ATTEMPTS - 1:
                    raise
                _log.info("listing %s took so long that it starts over", path)
        raise AssertionError

    async def _list_once(self, path: str, selector: str | None, observe: Observe) -> tuple[set[tuple[Key, str]], int]:
        seen: set[tuple[Key, str]] = set()
        listed_at = 0
        async for page in self._client.list_pages(path, selector=selector):
            listed_at = listed_at or int(page["metadata"]["resourceVersion"])
            seen |= _identities(page.get("items") or ())
            for item in page.get("items") or ():
                self._take_in(item, observe)
        return seen, listed_at

    def _take_in(self, item: Mapping[str, Any], observe: Observe) -> None:
        try:
            self._changed |= observe(item)
        except Exception:
            # One object that nobody expected must not keep the operator from all the others.
            meta = item["metadata"]
            _log.exception("an object is not understood", extra={"namespace": meta.get("namespace", "")})


def _identities(items: Iterable[Mapping[str, Any]]) -> set[tuple[Key, str]]:
    metas = [item["metadata"] for item in items]
    return {((meta.get("namespace", ""), meta["name"]), meta["uid"]) for meta in metas}
