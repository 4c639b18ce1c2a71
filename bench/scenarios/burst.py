"""A burst of new credentials, against a raw client that makes the same two writes for each of as many objects.

`burst`: the credentials exist before the operator starts, as after a restore or a first installation. `live`: the
operator runs while they are created. The raw client knows beforehand what it will write; the operator finds out.
"""

from __future__ import annotations

import time
from copy import deepcopy
from dataclasses import dataclass

from bench.bed import Bed, say, settle, synced
from bench.fleet import Fleet, Member
from bench.machine import Busy, cpu_seconds
from bench.rawclient import Object, each
from bench.report import Figure
from bench.writes import STATUS

_SAMPLE = 2


@dataclass(frozen=True, slots=True)
class Raw:
    """What the raw client took: seconds for the two writes, seconds with the creation before, CPU seconds of writes."""

    writing: float
    with_creation: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Templates:
    """What the operator writes for an OAuth grant and for an API key, for others to write, too."""

    secrets: dict[bool, Object]
    statuses: dict[bool, Object]

    def secret(self, member: Member, uid: str) -> Object:
        """The Secret of another member."""
        body = deepcopy(self.secrets[member.is_oauth])
        meta = body["metadata"]
        meta |= {"name": member.name, "namespace": member.namespace}
        meta["annotations"] |= {"tolstoy.dev/credential": member.name, "tolstoy.dev/credential-uid": uid}
        meta["ownerReferences"][0] |= {"name": member.name, "uid": uid}
        return body


async def burst(bed: Bed, count: int) -> list[Figure]:
    """`count` credentials that are there when the operator starts."""
    templates, empty_cpu = await _sample(bed, "burst-sample")
    before = await _raw(bed, templates, Fleet("before", count))
    fleet = Fleet("burst", count)
    say(f"setting up {count} credentials")
    await bed.set_up(fleet)
    say("starting the operator")
    log, busy, server = bed.log(), Busy(), cpu_seconds(bed.server_pid)
    with bed.operator() as operator:
        await synced(log, count)
        cores, server = busy.cores(), cpu_seconds(bed.server_pid) - server
        cpu = settle(operator) - empty_cpu
    seconds = log.of(STATUS)[-1].at - log.of("secrets")[0].at
    writes = len(log.writes())
    after = await _raw(bed, templates, Fleet("after", count))
    raw = min(before, after, key=lambda item: item.writing)
    say(f"{count / seconds:.0f}/s, raw {count / before.writing:.0f}/s before and {count / after.writing:.0f}/s after")
    name = f"burst {count:,}"
    return [
        Figure(name, "objects a second", f"{count / seconds:.0f}", f"raw client {count / raw.writing:.0f}"),
        Figure(name, "ratio to the raw client", f"{raw.writing / seconds:.2f}", aim="≥ 0.8"),
        Figure(
            name,
            "operator's CPU an object",
            f"{cpu / count * 1000:.2f} ms",
            f"raw client {raw.cpu / count * 1000:.2f} ms",
            "≤ 1.6 ms",
        ),
        Figure(name, "API server's CPU an object", f"{server / count * 1000:.2f} ms", f"{cores:.1f} cores busy"),
        Figure(name, "writes an object", f"{writes / count:.2f}", "2"),
    ]


async def live(bed: Bed, count: int) -> list[Figure]:
    """`count` credentials that are created while the operator runs."""
    templates, _ = await _sample(bed, "live-sample")
    fleet = Fleet("live", count)
    fleet.seed(bed.testbed.aws)
    await fleet.bind(bed.admin)
    with bed.operator() as operator:
        settle(operator)
        log = bed.log()
        say(f"creating {count} credentials beside the operator")
        started = time.time()
        await fleet.apply(bed.admin)
        created = time.time()
        await synced(log, count)
        ended = log.of(STATUS)[-1].at
    other = Fleet("alone", count)
    raw = (await _raw(bed, templates, other)).with_creation
    name = f"live {count:,}"
    return [
        Figure(
            name,
            "objects a second, their creation included",
            f"{count / (ended - started):.0f}",
            f"raw client, three writes {count / raw:.0f}",
        ),
        Figure(name, "ratio to the raw client", f"{raw / (ended - started):.2f}", aim="≥ 0.8"),
        Figure(name, "last status after the last creation", f"{ended - created:.1f} s"),
    ]


async def _sample(bed: Bed, prefix: str) -> tuple[Templates, float]:
    """See what the operator writes, and what it takes to start with nothing to do.

    That is a second start: in a new environment the first one compiles what it imports.
    """
    fleet = Fleet(prefix, _SAMPLE)
    await bed.set_up(fleet)
    log = bed.log()
    with bed.operator():
        await synced(log, _SAMPLE)
    with bed.operator() as operator:
        cpu = settle(operator)
    objects = await fleet.objects(bed.admin)
    templates = Templates({}, {})
    for member in fleet.members:
        secret = await bed.admin.send("GET", member.secret_path)
        kept = ("labels", "annotations", "ownerReferences")
        secret["metadata"] = {key: secret["metadata"][key] for key in kept}
        templates.secrets[member.is_oauth] = secret
        templates.statuses[member.is_oauth] = objects[member.namespace, member.name]["status"]
    return templates, cpu


async def _raw(bed: Bed, templates: Templates, fleet: Fleet) -> Raw:
    """The raw client makes two writes for each member; afterwards all of them are gone."""
    say(f"the raw client, {len(fleet)} credentials")
    await fleet.bind(bed.admin)
    started = time.monotonic()
    await fleet.apply(bed.admin)
    creation = time.monotonic() - started
    objects = await fleet.objects(bed.admin)
    prepared = []
    for member in fleet.members:
        meta = objects[member.namespace, member.name]["metadata"]
        status = {
            "metadata": {"resourceVersion": meta["resourceVersion"]},
            "status": templates.statuses[member.is_oauth],
        }
        prepared.append((member, templates.secret(member, meta["uid"]), status))

    async def write(item: tuple[Member, Object, Object]) -> None:
        member, secret, status = item
        await bed.peer.send("POST", member.secret_path.rpartition("/")[0], secret)
        await bed.peer.merge(f"{member.path}/status", status)

    started, cpu = time.monotonic(), time.process_time()
    await each(prepared, write)
    seconds, cpu = time.monotonic() - started, time.process_time() - cpu
    await fleet.delete(bed.admin)
    return Raw(seconds, seconds + creation, cpu)
