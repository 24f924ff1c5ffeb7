"""What it means for a person that a broker's certificate is not accepted."""

import ssl
from typing import Final

from eventhub.brokers.errors import PermanentFailure

__all__ = ["not_accepted", "verification_error"]

_HAS_EXPIRED: Final = 10
"""X509_V_ERR_CERT_HAS_EXPIRED, https://docs.openssl.org/3.0/man3/X509_STORE_CTX_get_error/.
It does not tell which certificate of the chain has."""


def not_accepted(error: ssl.SSLCertVerificationError, whose: str) -> PermanentFailure:
    """`whose` begins the sentence: "The broker's certificate"."""
    if error.verify_code == _HAS_EXPIRED:
        return PermanentFailure(
            f"{whose} has expired, or that of the authority that signed it.",
            way_out="Renew it there. If it is valid, this machine's clock is wrong.",
        )
    return PermanentFailure(
        f"{whose} is not trusted: {error.verify_message}.",
        way_out="Give the CA file of the authority that signed it, and the name it is for.",
    )


def verification_error(error: BaseException) -> ssl.SSLCertVerificationError | None:
    """Python's own error, where a client library raised one of its own because of it."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
        cause = cause.__cause__ or cause.__context__
    return cause
