"""A real node, where this machine can run one."""

from __future__ import annotations

import pytest

from dev.node import MachineError, machine


@pytest.fixture(scope="session")
def able() -> None:
    """Skips, with the reason, what needs a node of our own on a machine that cannot run one."""
    try:
        machine.provide(print)
    except MachineError as error:
        pytest.skip(str(error).splitlines()[0])
