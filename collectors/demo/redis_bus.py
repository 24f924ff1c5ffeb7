"""The city on Redis: channels between services, and one stream of dead letters a scenario."""

import base64
from typing import Any, Final

import msgspec
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from collectors.demo.bus import BusAway, Letter
from collectors.demo.messages import Message, clock, event
from collectors.demo.scenario import Scenario, Service

__all__ = ["RedisBus"]

KEPT_LETTERS: Final = 1_000
"""Dead letters that a stream keeps, about."""
MOST: Final = 500


class RedisBus:
    def __init__(self, url: str, scenario: Scenario, service: Service | None) -> None:
        self._scenario = scenario
        self._service = service
        # Reconnecting is the worker's, who must notice that it has missed something.
        self._client = redis.Redis.from_url(
            url, retry=Retry(NoBackoff(), 0), socket_timeout=5, socket_connect_timeout=2
        )
        self._pubsub: Any = self._client.pubsub(ignore_subscribe_messages=True)
        try:
            self._client.ping()
            if service is not None:
                self._pubsub.subscribe(*service.listens_to)
                self._pubsub.get_message(timeout=5)
        except redis.RedisError as error:
            self.close()
            raise BusAway(str(error)) from error

    def publish(self, message: Message) -> None:
        try:
            self._client.publish(message.channel, message.payload)
        except redis.RedisError as error:
            raise BusAway(str(error)) from error

    def receive(self, seconds: float) -> list[Letter]:
        letters: list[Letter] = []
        try:
            got = self._pubsub.get_message(timeout=seconds)
            while got is not None and len(letters) < MOST:
                letters.append(Letter(_understood(got["channel"].decode(), got["data"])))
                got = self._pubsub.get_message(timeout=0)
        except redis.RedisError as error:
            raise BusAway(str(error)) from error
        return letters

    def done(self, letter: Letter) -> None:
        """Redis has forgotten it already."""

    def bury(self, letter: Letter, reason: str, attempts: int) -> None:
        """Into the stream, and told on a channel of the same name, where it can be seen."""
        assert self._service is not None
        message = letter.message
        name = f"{self._scenario.name}.dead-letters"
        told: dict[str, Any] = {
            "origin": message.channel,
            "service": self._service.name,
            "reason": reason,
            "attempts": attempts,
        }
        entry: dict[Any, Any] = {**told, "time": clock(), "payload": message.payload}
        try:
            entry_id = self._client.xadd(name, entry, maxlen=KEPT_LETTERS, approximate=True)
            self._client.publish(name, _announcement(name, message, told, entry_id).payload)
        except redis.RedisError as error:
            raise BusAway(str(error)) from error

    def close(self) -> None:
        self._pubsub.close()
        self._client.close()


def _understood(channel: str, payload: bytes) -> Message:
    try:
        fields = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Message(channel, payload)
    return Message(
        channel, payload, fields.get("type"), fields.get("id"), fields.get("correlation_id")
    )


def _announcement(name: str, message: Message, told: dict[str, Any], entry_id: Any) -> Message:
    try:
        content = {"payload": message.payload.decode()}
    except UnicodeDecodeError:
        content = {"payload_base64": base64.b64encode(message.payload).decode()}
    return event(
        name,
        "MessageDeadLettered",
        id=f"{name}-{entry_id.decode()}",
        correlation_id=message.correlation_id,
        original_type=message.type,
        **told,
        **content,
    )
