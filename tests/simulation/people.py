"""Everybody who touches the secret or the grant beside the operator."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING

from tests.simulation.loop import EPOCH
from tolstoy_operator.domain.refreshids import OWNER_LABEL
from tolstoy_operator.stores.base import CURRENT

if TYPE_CHECKING:
    from tests.simulation.scenario import World


class People:
    """The consent application, somebody at the console, the user, and whoever deletes the last credential."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.notes = 0

    def fresh(self, refresh: str, access: str) -> dict[str, object]:
        self.notes += 1
        return {
            "accessToken": access,
            "refreshToken": refresh,
            "expiresAt": round((EPOCH + self.world.loop.now + self.world.lifetime) * 1000),
            "tokenEndpoint": "https://provider.example/token",
            "clientId": "client",
            "clientSecret": "secret",
            "note": self.notes,
        }

    def write(self, document: dict[str, object], who: str) -> None:
        version = str(uuid.UUID(int=self.world.random.getrandbits(128)))
        self.world.tell(f"{who} writes {version[:8]} with {document.get('refreshToken')}")
        self.world.store.put(who, json.dumps(document), version, [CURRENT])

    def consent(self) -> None:
        refresh, access = self.world.provider.consent()
        self.write(self.fresh(refresh, access), "consent")

    def edit(self) -> None:
        """Somebody changes one member in the console; some tools drop what they do not know."""
        document = dict(self.world.store.document(self.world.store.labels[CURRENT]))
        self.notes += 1
        document["note"] = self.notes
        if self.world.random.random() < 0.4:
            document.pop("tolstoy", None)
        self.write(document, "console")

    def stale_edit(self) -> None:
        """The console was open for a while, and saves what it had read."""
        version = self.world.store.labels[CURRENT]
        document = dict(self.world.store.document(version))
        self.notes += 1
        document["note"] = self.notes
        if self.world.random.random() < 0.4:
            document.pop("tolstoy", None)
        delay = self.world.random.choice([3.0, 40.0, 200.0])
        self.world.loop.after(delay, lambda: self.write(document, "console"))

    def move_back(self) -> None:
        old = self.world.store.labels.get("AWSPREVIOUS")
        current = self.world.store.labels[CURRENT]
        if old is None or "refreshToken" not in self.world.store.document(old):
            return
        self.world.tell(f"console moves AWSCURRENT from {current[:8]} back to {old[:8]}")
        self.world.blocked = "moved back by hand"
        self.world.store.move("console", CURRENT, current, old)

    def user_revokes(self) -> None:
        document = self.world.store.document(self.world.store.labels[CURRENT])
        token = self.world.provider.refresh_tokens.get(str(document.get("refreshToken", "")))
        if token is not None:
            self.world.tell(f"the user revokes {token.family.name}")
            self.world.provider.end(token.family, "user")

    def disown(self) -> None:
        """Somebody takes the secret from the cluster that refreshes it."""
        owner = self.world.store.labels.get(OWNER_LABEL)
        if owner is not None:
            self.world.tell("console takes off the owner")
            self.world.store.move("console", OWNER_LABEL, owner, None)
            self.world.referee.disowned()

    def order_revocation(self) -> None:
        """The last credential of a cluster goes, and its grant with it."""
        self.world.revoking = self.world.random.choice(self.world.clusters).name
        self.world.tell(f"{self.world.revoking} is told to revoke")

    def break_client(self) -> None:
        self.world.provider.broken_until = self.world.loop.now + 200.0
