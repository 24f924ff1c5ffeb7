"""Why a message died, as the frameworks of consumers write it into its headers.

- Spring for Apache Kafka, `kafka_dlt-*`:
  https://docs.spring.io/spring-kafka/reference/kafka/annotation-error-handling.html
- Kafka Connect, `__connect.errors.*`: KIP-298
- NServiceBus, `NServiceBus.ExceptionInfo.*`: https://docs.particular.net/nservicebus/messaging/headers
- MassTransit, `MT-Fault-*`: https://masstransit.io/documentation/concepts/exceptions
- Celery has none: a task that fails is not dead-lettered by it.

Numbers that Kafka's producers write as big-endian bytes are read as such.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple

import msgspec

from eventhub.events.headers import HeaderValue

__all__ = ["Failure", "failure"]


class Failure(msgspec.Struct, frozen=True):
    """What is None is not told."""

    origin: str | None = None
    """The queue or topic that the framework names, in its own words."""
    reason: str | None = None
    attempts: int | None = None
    died_at: int | None = None
    """Milliseconds since 1970."""
    exception: str | None = None
    exception_message: str | None = None
    stack_trace: str | None = None


class _Names(NamedTuple):
    """The headers of one framework, by the field that they fill."""

    origin: str
    exception: str
    exception_message: str
    stack_trace: str
    attempts: str = ""
    died_at: str = ""
    reason: str = ""


_FRAMEWORKS: Final = (
    _Names(
        "kafka_dlt-original-topic", "kafka_dlt-exception-fqcn", "kafka_dlt-exception-message",
        "kafka_dlt-exception-stacktrace", "kafka_deliveryAttempt",
    ),
    _Names(
        "__connect.errors.topic", "__connect.errors.exception.class.name",
        "__connect.errors.exception.message", "__connect.errors.exception.stacktrace",
        reason="__connect.errors.stage",
    ),
    _Names(
        "NServiceBus.FailedQ", "NServiceBus.ExceptionInfo.ExceptionType",
        "NServiceBus.ExceptionInfo.Message", "NServiceBus.ExceptionInfo.StackTrace",
        died_at="NServiceBus.TimeOfFailure",
    ),
    _Names(
        "MT-Fault-InputAddress", "MT-Fault-ExceptionType", "MT-Fault-Message",
        "MT-Fault-StackTrace", "MT-Fault-RetryCount", "MT-Fault-Timestamp", "MT-Reason",
    ),
)  # fmt: skip
_NSERVICEBUS_TIME: Final = re.compile(r"(\d+-\d+-\d+ \d+:\d+:\d+):(\d+) Z")


def failure(headers: Mapping[str, HeaderValue]) -> Failure:
    """What the first framework that wrote into these headers says."""
    for names in _FRAMEWORKS:
        if names.exception in headers or names.origin in headers:
            return Failure(
                origin=_address(_text(headers.get(names.origin))),
                reason=_text(headers.get(names.reason)),
                attempts=_number(headers.get(names.attempts)),
                died_at=_time(_text(headers.get(names.died_at))),
                exception=_text(headers.get(names.exception)),
                exception_message=_text(headers.get(names.exception_message)),
                stack_trace=_text(headers.get(names.stack_trace)),
            )
    return Failure()


def _text(value: HeaderValue) -> str | None:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else None


def _address(text: str | None) -> str | None:
    """MassTransit names a queue by an address such as rabbitmq://host/vhost/queue?durable=true."""
    if text and "://" in text:
        return text.split("?")[0].rsplit("/", 1)[-1]
    return text


def _number(value: HeaderValue) -> int | None:
    if isinstance(value, bytes) and len(value) in (4, 8) and not value.isdigit():
        return int.from_bytes(value, "big", signed=True)
    if isinstance(value, int):
        return int(value)
    text = _text(value)
    return int(text) if text and text.isascii() and text.isdigit() else None


def _time(text: str | None) -> int | None:
    if not text:
        return None
    # NServiceBus writes 2026-01-31 14:02:07:318000 Z: its last colon stands for a point.
    found = _NSERVICEBUS_TIME.fullmatch(text)
    try:
        moment = datetime.fromisoformat(f"{found[1]}.{found[2]}+00:00" if found else text)
    except ValueError:
        return None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
