"""Broker credentials, encrypted at rest. The key lives outside the database."""

import json

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

__all__ = ["CredentialsLocked", "decrypt", "encrypt"]


class CredentialsLocked(Exception):
    """None of the configured keys opens these credentials."""


def encrypt(secrets: dict[str, str]) -> bytes:
    return _fernet().encrypt(json.dumps(secrets).encode())


def decrypt(stored: bytes | memoryview) -> dict[str, str]:
    """Raises CredentialsLocked when the key that encrypted them is no longer configured."""
    if not stored:
        return {}
    try:
        opened = _fernet().decrypt(bytes(stored))
    except InvalidToken as error:
        raise CredentialsLocked(
            "The stored credentials were encrypted with another key. Put that key back into"
            " EVENTHUB_CREDENTIAL_KEYS, or enter the credentials again."
        ) from error
    secrets: dict[str, str] = json.loads(opened)
    return secrets


def _fernet() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in settings.CREDENTIAL_KEYS])
