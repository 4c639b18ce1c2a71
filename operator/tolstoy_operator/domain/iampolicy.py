"""The narrowest IAM policy with which an installation works: what it calls, on what it may ask for, and no more.

`ListSecrets` and `BatchGetSecretValue` know no resources, so all that bounds them is the region. Everything else is
allowed on ARNs. An ARN ends in a hyphen and six characters that AWS chooses: `-??????` is one secret, while `-*` would
be every secret whose name begins alike.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from tolstoy_operator.api import names

READS: Final = ("GetSecretValue", "DescribeSecret")
FINDS: Final = ("BatchGetSecretValue", "ListSecrets")
REFRESH_READS: Final = ("ListSecretVersionIds",)
REFRESH_WRITES: Final = ("PutSecretValue", "UpdateSecretVersionStage")
CREATES: Final = ("CreateSecret",)

_SUFFIX: Final = "-??????"
_PARTITIONS: Final = {"cn": "aws-cn", "us-gov": "aws-us-gov"}


@dataclass(frozen=True, slots=True)
class Installation:
    """What decides about the policy.

    `region` and `account` say where the secrets are. `tools` and `organisations`: those whose secrets are meant, empty
    for all. `secrets`: platform secrets by name. `keys`: ARNs of customer managed KMS keys. `refreshes`: this cluster
    refreshes tokens, and does not only mirror them. `creates`: namespaces may store first tokens.
    """

    region: str
    account: str
    tools: tuple[str, ...] = ()
    organisations: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    refreshes: bool = True
    creates: bool = False


def iam_policy(installation: Installation) -> dict[str, Any]:
    """The policy document, ready to be written as JSON."""
    ours = [_arn(installation, name) for name in _patterns(installation)]
    platform = [_arn(installation, f"{name}{_SUFFIX}") for name in installation.secrets]
    statements = [_allow("Read", READS, [*ours, *platform])]
    if installation.refreshes:
        statements.append(_allow("Refresh", [*REFRESH_READS, *REFRESH_WRITES], ours))
    if installation.creates:
        # Before it exists, a secret has no suffix.
        bare = [arn.removesuffix(_SUFFIX) for arn in ours]
        statements.append(_allow("StoreFirstTokens", CREATES, dict.fromkeys([*ours, *bare])))
    statements.append(
        {**_allow("Find", FINDS, ["*"]), "Condition": {"StringEquals": {"aws:RequestedRegion": installation.region}}}
    )
    if installation.keys:
        statements.append(_use_of_keys(installation, [*ours, *platform]))
    return {"Version": "2012-10-17", "Statement": statements}


def partition_of(region: str) -> str:
    """The part of AWS that a region belongs to, as ARNs name it."""
    return next((name for start, name in _PARTITIONS.items() if region.startswith(f"{start}-")), "aws")


def _patterns(installation: Installation) -> list[str]:
    if installation.organisations:
        ends = [f"{organisation}{_SUFFIX}" for organisation in installation.organisations]
        return [f"{names.UPSTREAM_PREFIX}/{tool}/{end}" for tool in installation.tools or ("*",) for end in ends]
    return [f"{names.UPSTREAM_PREFIX}/{tool}/*" for tool in installation.tools] or [f"{names.UPSTREAM_PREFIX}/*"]


def _arn(installation: Installation, resource: str) -> str:
    region = installation.region
    return f"arn:{partition_of(region)}:secretsmanager:{region}:{installation.account}:secret:{resource}"


def _allow(sid: str, operations: Iterable[str], resources: Iterable[str]) -> dict[str, Any]:
    return {
        "Sid": sid,
        "Effect": "Allow",
        "Action": [f"secretsmanager:{operation}" for operation in operations],
        "Resource": _one_or_many(resources),
    }


def _use_of_keys(installation: Installation, arns: list[str]) -> dict[str, Any]:
    writes = installation.refreshes or installation.creates
    via = f"secretsmanager.{installation.region}.amazonaws.com"
    return {
        "Sid": "UseTheKey",
        "Effect": "Allow",
        "Action": ["kms:Decrypt", *(["kms:GenerateDataKey"] if writes else [])],
        "Resource": _one_or_many(installation.keys),
        "Condition": {
            "StringEquals": {"kms:ViaService": via},
            "StringLike": {"kms:EncryptionContext:SecretARN": _one_or_many(arns)},
        },
    }


def _one_or_many(items: Iterable[str]) -> str | list[str]:
    many = list(items)
    return many[0] if len(many) == 1 else many
