# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets made on the fly for test servers: a certificate authority, nkeys, and JWTs of an operator mode.

The imports of `cryptography` and `nkeys` are made where they are needed: a server with passwords works without them.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import ipaddress
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PREFIX = {"operator": "PREFIX_BYTE_OPERATOR", "account": "PREFIX_BYTE_ACCOUNT", "user": "PREFIX_BYTE_USER"}


@dataclass(frozen=True)
class TlsFiles:
    """Paths of PEM files: the authority, a server's pair for 127.0.0.1 and localhost, a client's pair, and an
    authority that signed none of them."""

    ca: Path
    server_cert: Path
    server_key: Path
    client_cert: Path
    client_key: Path
    wrong_ca: Path


def make_tls(folder: Path) -> TlsFiles:
    """Write a new authority and certificates signed by it into `folder`; keys have mode 0600."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    folder.mkdir(parents=True, exist_ok=True)
    now = datetime.datetime.now(datetime.timezone.utc)

    def certificate(name: str, signer: tuple[Any, Any] | None) -> tuple[Any, Any]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(signer[0].subject if signer else subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=2))
            .add_extension(x509.BasicConstraints(ca=signer is None, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key((signer[1] if signer else key).public_key()),
                critical=False,
            )
        )
        if signer is None:
            usage = dict.fromkeys(
                ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
                 "encipher_only", "decipher_only"), False
            )  # fmt: skip
            builder = builder.add_extension(x509.KeyUsage(key_cert_sign=True, crl_sign=True, **usage), critical=True)
        else:
            names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(signer[1] if signer else key, hashes.SHA256()), key

    def write(name: str, content: bytes, mode: int = 0o644) -> Path:
        path = folder / name
        path.write_bytes(content)
        path.chmod(mode)
        return path

    def pem(cert: Any) -> bytes:
        return bytes(cert.public_bytes(serialization.Encoding.PEM))

    def key_pem(key: Any) -> bytes:
        return bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )

    authority = certificate("test authority", None)
    server = certificate("localhost", authority)
    client = certificate("test client", authority)
    return TlsFiles(
        ca=write("ca.pem", pem(authority[0])),
        server_cert=write("server.pem", pem(server[0])),
        server_key=write("server.key", key_pem(server[1]), 0o600),
        client_cert=write("client.pem", pem(client[0])),
        client_key=write("client.key", key_pem(client[1]), 0o600),
        wrong_ca=write("wrong-ca.pem", pem(certificate("another authority", None)[0])),
    )


@dataclass(frozen=True)
class Key:
    """An nkey: the public key as text and the seed."""

    public: str
    seed: str

    def sign(self, data: bytes) -> bytes:
        """Return the signature of `data`."""
        import nkeys

        return bytes(nkeys.from_seed(bytearray(self.seed.encode())).sign(data))


def make_key(kind: str) -> Key:
    """Make a new key of `kind`: operator, account or user."""
    import nkeys

    seed = bytes(nkeys.encode_seed(os.urandom(32), getattr(nkeys, _PREFIX[kind])))
    return Key(nkeys.from_seed(bytearray(seed)).public_key.decode(), seed.decode())


def encode_jwt(issuer: Key, subject: str, name: str, claims: dict[str, Any], **times: int) -> str:
    """Return a NATS JWT (version 2) about `subject` with the given `nats` claims, signed by `issuer`.

    times: `exp` and `nbf`, seconds since 1970.
    """
    body: dict[str, Any] = {
        "iat": int(time.time()),
        "iss": issuer.public,
        "name": name,
        "sub": subject,
        "nats": {"version": 2, **claims},
        **times,
    }
    digest = hashlib.new("sha512_256", _json(body)).digest()
    body["jti"] = base64.b32encode(digest).decode().rstrip("=")
    signed = f"{_b64({'typ': 'JWT', 'alg': 'ed25519-nkey'})}.{_b64(body)}"
    return f"{signed}.{_strip(issuer.sign(signed.encode()))}"


def write_creds(path: Path, jwt: str, seed: str) -> Path:
    """Write a credentials file (mode 0600) of a user's JWT and seed."""
    parts = [("NATS USER JWT", jwt), ("USER NKEY SEED", seed)]
    text = "\n".join(f"-----BEGIN {what}-----\n{value}\n------END {what}------\n" for what, value in parts)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return path


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _b64(value: Any) -> str:
    return _strip(_json(value))


def _strip(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
