"""An authority of the tests' own, and what it signed: for the node and for its clients."""

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

__all__ = ["KEY_PASSWORD", "Certificates", "make_certificates"]

KEY_PASSWORD = "key's secret"


class Certificates(NamedTuple):
    """PEM files. `node` holds key and certificate, as Kafka's keystore of type PEM wants it."""

    authority: Path
    node: Path
    client: Path
    client_key: Path
    """Encrypted with KEY_PASSWORD."""
    expired: Path
    """A client's certificate that was valid until yesterday, for the same key."""

    def server_settings(self) -> dict[str, str]:
        return {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self.node),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.authority),
        }


def make_certificates(folder: Path) -> Certificates:
    authority_key, node_key, client_key = (_key() for _ in range(3))
    authority = _sign("eventhub tests", authority_key, "eventhub tests", authority_key)
    node = _sign("localhost", node_key, "eventhub tests", authority_key)
    client = _sign("watcher", client_key, "eventhub tests", authority_key)
    expired = _sign("watcher", client_key, "eventhub tests", authority_key, days=-1)
    made = Certificates(
        *(folder / f"{name}.pem" for name in ("ca", "node", "client", "client-key", "expired"))
    )
    made.authority.write_bytes(_pem(authority))
    made.node.write_bytes(_key_pem(node_key) + _pem(node))
    made.client.write_bytes(_pem(client))
    made.client_key.write_bytes(_key_pem(client_key, KEY_PASSWORD))
    made.expired.write_bytes(_pem(expired))
    return made


def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _sign(
    name: str, key: rsa.RSAPrivateKey, issuer: str, by: rsa.RSAPrivateKey, days: int = 1
) -> x509.Certificate:
    now = datetime.now(UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost"), address]), False)
        .add_extension(x509.BasicConstraints(ca=name == issuer, path_length=None), True)
        .sign(by, hashes.SHA256())
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: rsa.RSAPrivateKey, password: str = "") -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password.encode())
        if password
        else serialization.NoEncryption(),
    )
