"""What botocore's errors mean for a person.

Codes: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from botocore import exceptions as boto

from eventhub.brokers.certificates import not_accepted, verification_error
from eventhub.brokers.errors import BrokerError, NotConnected, PermanentFailure

__all__ = ["DENIED", "MISSING", "SIGN_IN", "code_of", "refusal", "speaking", "was_not_sent"]

MISSING: Final = frozenset(
    (
        "QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue", "NotFound",
        "NotFoundException", "ResourceNotFoundException",
    )
)  # fmt: skip
"""The queue, topic, rule or bus is not there."""
_COME_BACK: Final = frozenset(
    (
        "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled",
        "TooManyRequestsException", "ServiceUnavailable", "InternalError", "InternalFailure",
        "OverLimit", "KMS.ThrottlingException", "KmsThrottled", "QueueDeletedRecently",
        "AWS.SimpleQueueService.QueueDeletedRecently",
    )
)  # fmt: skip
_UNKNOWN_KEY: Final = frozenset(
    ("InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId", "AuthFailure")
)
_WRONG_SECRET: Final = frozenset(("SignatureDoesNotMatch", "InvalidSignatureException"))
_EXPIRED: Final = frozenset(("ExpiredToken", "ExpiredTokenException", "RequestExpired"))
SIGN_IN: Final = _UNKNOWN_KEY | _WRONG_SECRET | _EXPIRED
"""The credentials are wrong, whatever was asked."""
DENIED: Final = frozenset(
    ("AccessDenied", "AccessDeniedException", "AuthorizationError", "NotAuthorized",
     "AuthorizationErrorException", "KMS.AccessDeniedException", "KmsAccessDenied")
)  # fmt: skip
# An answer in XML to a request in JSON, which botocore takes for a message: gateways and emulators.
_XML_CODE: Final = re.compile(r"<Code>(\w+)</Code>\s*<Message>([^<]*)")
_NOT_SENT: Final = (
    boto.EndpointConnectionError, boto.ConnectTimeoutError, boto.SSLError,
    boto.ProxyConnectionError, boto.NoCredentialsError, boto.PartialCredentialsError,
    boto.CredentialRetrievalError, boto.ParamValidationError,
)  # fmt: skip
_AWAY: Final = (
    boto.EndpointConnectionError, boto.HTTPClientError, boto.ConnectionError,
    boto.ResponseStreamingError, boto.IncompleteReadError,
)  # fmt: skip


@contextmanager
def speaking(doing: str) -> Iterator[None]:
    """What botocore raises inside, as BrokerError. `doing` says what was tried: "receiving…"."""
    try:
        yield
    except (boto.BotoCoreError, boto.ClientError) as error:
        raise refusal(error, doing) from error


def code_of(error: Exception) -> str:
    """The service's own code; empty where no service answered."""
    return _told(error)[0] if isinstance(error, boto.ClientError) else ""


def was_not_sent(error: Exception) -> bool:
    """Whether it is certain that the request did not reach the service."""
    return isinstance(error, _NOT_SENT) or _inner(error) is not None


def refusal(error: Exception, doing: str) -> BrokerError:
    inner = _inner(error)
    if inner is not None:
        return inner
    if isinstance(error, boto.ClientError):
        return _answer(error, doing)
    return _no_answer(error, doing)


def _inner(error: Exception) -> BrokerError | None:
    """What our own connections raised, which botocore wraps."""
    named: dict[str, Any] = getattr(error, "kwargs", {})
    inner = named.get("error")
    return inner if isinstance(inner, BrokerError) else None


def _told(error: Any) -> tuple[str, str]:
    """The service's code and words."""
    told = error.response.get("Error", {})
    code: str = told.get("Code") or ""
    words: str = told.get("Message") or "no reason given"
    if code.isdigit() and (found := _XML_CODE.search(words)):
        return found[1], found[2]
    return code, words


def _answer(error: Any, doing: str) -> BrokerError:
    code, told = _told(error)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _COME_BACK or status >= 500 or status == 429:
        return NotConnected(f"AWS cannot serve us now, {doing}: {code}: {told}")
    if code in SIGN_IN:
        return _not_recognised(code)
    if code in DENIED:
        return PermanentFailure(
            f"AWS does not allow {doing}: {told}",
            way_out="Give the user or role the policy in collectors/sqs/README.md.",
        )
    if code in MISSING:
        return PermanentFailure(
            f"It is not there, {doing}: {told}", way_out="Check the name, the account and region."
        )
    if code == "InvalidAction":
        return PermanentFailure(
            f"The endpoint does not know what was asked of it, {doing}: {told}",
            way_out="An emulator of SQS alone has no topics and buses; use a prepared tap queue.",
        )
    return PermanentFailure(f"AWS refused, {doing}: {code}: {told}")


def _not_recognised(code: str) -> PermanentFailure:
    if code in _UNKNOWN_KEY:
        return PermanentFailure(
            "AWS does not know the access key.",
            way_out="Enter the key's ID and secret again; IAM shows whether it is active.",
        )
    if code in _WRONG_SECRET:
        return PermanentFailure(
            "The secret does not belong to the access key, or this machine's clock is wrong.",
            way_out="Enter the secret again; compare the clock with another machine's.",
        )
    return PermanentFailure(
        "The temporary credentials have expired.",
        way_out="Enter new ones, or let EventHub assume a role: it renews by itself.",
    )


def _no_answer(error: Exception, doing: str) -> BrokerError:
    if certificate := verification_error(error):
        return not_accepted(certificate, "The endpoint's certificate")
    if isinstance(error, boto.SSLError):
        return PermanentFailure(
            f"TLS failed: {_last(error)}.",
            way_out="Check that the endpoint speaks TLS, and the CA file that vouches for it.",
        )
    if isinstance(error, boto.ConnectTimeoutError | boto.ReadTimeoutError):
        return NotConnected(f"No answer in time, {doing}.")
    if isinstance(error, _AWAY):
        return NotConnected(f"The connection was lost, {doing}: {_last(error)}")
    if isinstance(error, boto.NoRegionError):
        return PermanentFailure("No region is given.", way_out="Name the region of the queues.")
    if isinstance(error, boto.ProfileNotFound):
        return PermanentFailure(
            f"{error}.", way_out="Add it to ~/.aws/config of the user that the collectors run as."
        )
    if isinstance(error, boto.NoCredentialsError | boto.PartialCredentialsError):
        return PermanentFailure(
            "The collectors' machine has no AWS credentials.",
            way_out="Give it a role or a profile, or choose another authentication.",
        )
    return PermanentFailure(f"The AWS client failed, {doing}: {_last(error)}")


def _last(error: Exception) -> str:
    """The innermost error in words, without botocore's "Exception received when…"."""
    named: dict[str, Any] = getattr(error, "kwargs", {})
    return str(named.get("error") or error)
