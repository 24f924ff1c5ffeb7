"""What travels from a collector through Redis to every web process: a frame a batch."""

import msgspec

from eventhub.brokers.contract import Gap
from eventhub.events.event import Event

__all__ = ["CHANNEL", "PAYLOAD_LIMIT", "Frame", "decode_frame", "encode_frame"]

CHANNEL = "eventhub:live"
PAYLOAD_LIMIT = 16 * 1024
"""Bytes of an event's payload that a frame carries; the store has the rest. An event in a frame
whose payload was cut has `len(payload) < payload_size`, as a truncated one does, without
`Flag.TRUNCATED`."""


class Frame(msgspec.Struct, frozen=True, array_like=True):
    """Events of one source that were committed since its last frame, oldest first."""

    source_id: int
    collector: str
    """Random text, new at each start of the collector: where `sequence` begins again."""
    sequence: int
    """Counts up from 1: a hole means that Redis dropped frames, and the store has the events."""
    events: list[Event]
    gaps: list[Gap] = []


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Frame)


def encode_frame(frame: Frame) -> bytes:
    """MessagePack. Payloads must already be within PAYLOAD_LIMIT."""
    return _encoder.encode(frame)


def decode_frame(data: bytes) -> Frame:
    """Raises msgspec.DecodeError or ValidationError for bytes that are no frame."""
    return _decoder.decode(data)
