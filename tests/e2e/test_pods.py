"""What a tenant's pod gets: the value at its start, and every later one in the file that it has open by name."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from dev.testbed import eventually
from tests.e2e.site import Site
from tests.e2e.tenant import Tenant

pytestmark = pytest.mark.e2e

_LONGEST = 120.0
"""Seconds: the kubelet looks at each pod once a minute, and at what it has cached once a minute."""
_SOON = 20.0
"""Far below that, and far above what it takes (`python -m tests.e2e.propagation`), for a machine that is busy."""


def test_a_pod_reads_the_value_and_sees_it_change(
    tenant: Tenant, record_property: Callable[[str, object], None]
) -> None:
    assert tenant.read() == "first"
    tenant.change("second")
    tenant.await_secret("second")
    changed = time.monotonic()
    look = tenant.file().read_text if tenant.site.node else tenant.read
    eventually(lambda: look() == "second", what="the container sees it", timeout=_LONGEST, pause=0.5)
    record_property("from the Secret's change to the file in the container", f"{time.monotonic() - changed:.1f} s")
    assert tenant.read() == "second"


def test_with_immediate_it_sees_the_change_at_once(
    installed: Site, record_property: Callable[[str, object], None]
) -> None:
    tenant = Tenant(installed, "at-once", target={"propagation": "Immediate"})
    tenant.change("second")
    tenant.await_secret("second")
    changed = time.monotonic()
    eventually(lambda: tenant.read() == "second", what="the container sees it", timeout=_SOON, pause=0.01)
    record_property("with Immediate, as seen by programs in the container", f"{time.monotonic() - changed:.1f} s")
    tenant.remove()
