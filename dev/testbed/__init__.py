"""The operator among real parts: control plane, Secrets Manager stand-in, the chart's RBAC, a process of its own.

Demo, integration tests and benchmarks all stand on this, so that they see the same thing.
"""

from dev.testbed.cluster import Testbed
from dev.testbed.process import OperatorProcess
from dev.testbed.waiting import eventually

__all__ = ["OperatorProcess", "Testbed", "eventually"]
