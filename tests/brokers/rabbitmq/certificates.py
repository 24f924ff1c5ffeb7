"""An authority of the tests' own, and what it signs: for the node and for its clients."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.servers.certificates import Certificate

__all__ = ["Authority"]


class Authority:
    """Keeps all its files in `folder`."""

    def __init__(self, folder: Path, name: str = "eventhub tests") -> None:
        self._folder = folder
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = folder / f"{name}.pem".replace(" ", "-")
        self.certificate.write_bytes(self._sign(self._name, self._key, days=1, authority=True))

    def issue(self, name: str, *, days: int = 1, file: str = "") -> Certificate:
        """A certificate for this common name and host, which ends in so many days: with a negative
        number it has ended already. The files are named after it, or as `file`."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        made = Certificate(
            self._folder / f"{file or name}.pem", self._folder / f"{file or name}-key.pem"
        )
        made.certificate.write_bytes(self._sign(subject, key, days=days, authority=False))
        made.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return made

    def _sign(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, days: int, authority: bool
    ) -> bytes:
        now = datetime.now(UTC)
        host = str(subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value)
        signed = (
            x509.CertificateBuilder(
                self._name, subject, key.public_key(), x509.random_serial_number()
            )
            .not_valid_before(now - timedelta(days=2))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        return signed.public_bytes(serialization.Encoding.PEM)
