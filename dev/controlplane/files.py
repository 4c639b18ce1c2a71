"""The files a control plane starts from: keys, tokens, kubeconfigs. JSON throughout, which YAML readers accept."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


def write_json(path: Path, document: Any) -> None:
    """Write `document`, readable by the owner alone."""
    _write_private(path, json.dumps(document, indent=1).encode())


def write_service_account_keys(private: Path, public: Path) -> None:
    """A key pair with which ServiceAccount tokens are signed and verified."""
    key = ec.generate_private_key(ec.SECP256R1())
    _write_private(private, _pem(key))
    public.write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


def write_client_certificate(certificate: Path, private: Path, *, user: str, group: str) -> None:
    """A client's certificate for `user`, good for a month. It vouches for itself: it is also the authority to trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, group),
            x509.NameAttribute(NameOID.COMMON_NAME, user),
        ]
    )
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    _write_private(private, _pem(key))


def write_tokens(path: Path, users: dict[str, tuple[str, str]]) -> None:
    """The API server's static token file, from user name to token and group."""
    lines = [f'{token},{user},{user},"{group}"\n' for user, (token, group) in users.items()]
    _write_private(path, "".join(lines).encode())


def write_kubeconfig(path: Path, *, url: str, ca_file: Path, token: str, namespace: str = "default") -> None:
    """A kubeconfig with one user and one context."""
    write_json(
        path,
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "local", "cluster": {"server": url, "certificate-authority": str(ca_file)}}],
            "users": [{"name": "user", "user": {"token": token}}],
            "contexts": [{"name": "local", "context": {"cluster": "local", "user": "user", "namespace": namespace}}],
            "current-context": "local",
        },
    )


def tail(path: Path, lines: int = 30) -> str:
    """The end of a log, indented; empty when there is none."""
    if not path.exists():
        return ""
    return "\n".join(f"  {line}" for line in path.read_text(errors="replace").splitlines()[-lines:])


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write_private(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)
