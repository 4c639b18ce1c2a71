"""A cluster with a node, for the whole session: the one that the environment names, else one of our own."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

import pytest

from dev.controlplane.gobuild import to_stderr
from dev.helmcli import NAMESPACE
from dev.image import ImageError
from dev.image.base import BaseError
from dev.node import MachineError, machine
from tests.e2e.site import CONTEXT, RESTRICTED, Site, given_site, own_site
from tests.e2e.tenant import Tenant

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def able() -> None:
    """Skips, with the reason, what needs a node of our own on a machine that cannot run one."""
    if os.environ.get(CONTEXT):
        pytest.skip(f"this is about nodes of our own, and {CONTEXT} names a cluster")
    try:
        machine.provide(to_stderr)
    except MachineError as error:
        pytest.skip(str(error).splitlines()[0])


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    """A cluster with the restricted namespace for the operator; nothing is installed yet."""
    try:
        with (given_site if os.environ.get(CONTEXT) else own_site)(to_stderr) as site:
            labelled = {"name": NAMESPACE, "labels": RESTRICTED}
            site.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": labelled})
            yield site
    except (MachineError, ImageError, BaseError) as error:
        pytest.skip(f"no real node here: {error}")


@pytest.fixture
def installed(site: Site) -> Site:
    """The chart with its defaults, ready: installed, or put back to that after another test."""
    site.deploy()
    return site


@pytest.fixture
def tenant(installed: Site) -> Iterator[Tenant]:
    """A bound namespace with a credential that is synced, and a pod that mounts its Secret."""
    tenant = Tenant(installed, f"shop-{next(_numbers)}")
    yield tenant
    tenant.remove()
