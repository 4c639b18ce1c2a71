"""The real parts that integration tests share: for each worker one control plane that is empty when it starts, and one
with everything but an operator.

A test keeps to namespaces of its own, and installs nothing cluster-wide that another test would feel; who needs that
starts a control plane of its own, in three seconds. Operators are for a file or a test, one at a time: each has all
namespaces, and is gone when the next one starts.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dev.controlplane import ControlPlane
from dev.testbed import Testbed
from tests.support.kubeapi import KubeApi


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """A running control plane that logs every request (`requests()` counts them)."""
    with ControlPlane(audit=True) as plane:
        yield plane


@pytest.fixture(scope="session")
def testbed() -> Iterator[Testbed]:
    """The chart on a control plane, and a stand-in for Secrets Manager."""
    with Testbed(audit=True) as bed:
        yield bed


@pytest.fixture(scope="session")
def admin(testbed: Testbed) -> Iterator[KubeApi]:
    """The testbed's administrator."""
    with KubeApi(testbed.plane, testbed.plane.token) as api:
        yield api
