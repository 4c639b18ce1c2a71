"""The real control plane that integration tests share: one for each worker, empty when it starts.

A test keeps to namespaces of its own, and installs nothing cluster-wide that another test would feel; who needs that
starts a control plane of its own, in three seconds.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dev.controlplane import ControlPlane


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """A running control plane that logs every request (`requests()` counts them)."""
    with ControlPlane(audit=True) as plane:
        yield plane
