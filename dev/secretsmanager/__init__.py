"""Stand-ins for AWS Secrets Manager: a strict one to test against, a fast one to measure against.

`strict` is moto's server corrected where it differs from the documented service; `fast` serves thousands of calls a
second from memory. Both obey one conformance suite and are controlled over HTTP (`control`).
"""

from __future__ import annotations

from dev.secretsmanager.server import SecretsManagerServer

__all__ = ["SecretsManagerServer"]
