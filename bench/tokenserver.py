"""A token endpoint that rotates, counts, and is never the bottleneck: `python -m bench.tokenserver`.

It prints its port and serves until its standard input ends. A refresh token is `<grant>.<n>` and good once; the second
use of one is refused and counted. It checks nothing else: that is what the real server in `dev.oauth` is for.

    POST /grants {"lifetime": seconds, "ends": {grant: epoch seconds}, "first": {grant: seconds}}
                             forget all and know these, each with n = 0; "first": the lifetime of what the first use
                             of a grant brings, where it is another one
    POST /token  (form)      the endpoint
    GET  /figures            {"arrivals": […], "late": n, "reused": n}
"""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import dataclass, field

from aiohttp import web

_PADDING = "a" * 1000


@dataclass(slots=True)
class Server:
    """`ends`: when the access token in use of each grant ends. `arrivals`: epoch seconds of the good requests."""

    lifetime: float = 3600.0
    ends: dict[str, float] = field(default_factory=dict)
    first: dict[str, float] = field(default_factory=dict)
    uses: dict[str, int] = field(default_factory=dict)
    arrivals: list[float] = field(default_factory=list)
    late: int = 0
    reused: int = 0

    async def grants(self, request: web.Request) -> web.Response:
        """Begin anew."""
        body = await request.json()
        self.lifetime, self.ends, self.first = body["lifetime"], body["ends"], body["first"]
        self.uses = dict.fromkeys(self.ends, 0)
        self.arrivals, self.late, self.reused = [], 0, 0
        return web.json_response({})

    async def token(self, request: web.Request) -> web.Response:
        """One refresh."""
        form = await request.post()
        grant, _, n = str(form["refresh_token"]).rpartition(".")
        if self.uses.get(grant) != int(n):
            self.reused += 1
            return web.json_response({"error": "invalid_grant"}, status=400)
        now = time.time()
        self.arrivals.append(now)
        self.late += now > self.ends[grant]
        self.uses[grant] += 1
        lifetime = int(self.first.pop(grant, self.lifetime))
        self.ends[grant] = now + lifetime
        return web.json_response(
            {
                "access_token": f"at-{grant}-{self.uses[grant]}-{_PADDING}",
                "refresh_token": f"{grant}.{self.uses[grant]}",
                "expires_in": lifetime,
                "token_type": "Bearer",
            }
        )

    async def figures(self, _: web.Request) -> web.Response:
        """What has come."""
        return web.json_response({"arrivals": self.arrivals, "late": self.late, "reused": self.reused})


async def main() -> None:
    """Serve until standard input ends."""
    server = Server()
    application = web.Application(client_max_size=2**26)
    application.add_routes(
        [
            web.post("/grants", server.grants),
            web.post("/token", server.token),
            web.get("/figures", server.figures),
        ]
    )
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main())
