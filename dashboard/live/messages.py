"""What a page and the server say to each other; `dashboard.consumers` tells the story."""

from typing import Final

import msgspec

from eventhub.events.identity import first_id, parse_id, time_of
from eventhub.live.screen import Slice

__all__ = [
    "Ack", "Subscribe", "decode", "error_message", "frame_message", "ready_message",
    "refused_message", "time_of_cursor",
]  # fmt: skip


class Subscribe(msgspec.Struct, tag="subscribe", frozen=True):
    filter: str = ""
    cursor: str | None = None


class Ack(msgspec.Struct, tag="ack", frozen=True):
    n: int


_decoder: Final[msgspec.json.Decoder[Subscribe | Ack]] = msgspec.json.Decoder(Subscribe | Ack)
_encoder: Final = msgspec.json.Encoder()


def decode(text: str) -> Subscribe | Ack:
    """Raises msgspec.MsgspecError for anything else."""
    return _decoder.decode(text)


def time_of_cursor(cursor: str | None) -> int | None:
    """Milliseconds; None for no cursor. Raises ValueError for one that is no event id."""
    return None if cursor is None else time_of(parse_id(cursor))


def ready_message(filter_text: str) -> str:
    return _text({"type": "ready", "filter": filter_text})


def frame_message(n: int, piece: Slice, confirmed: int, trouble: str | None) -> str:
    fields = {name: getattr(piece, name) for name in piece.__struct_fields__}
    cursor = first_id(confirmed).hex()
    return _text({"type": "frame", "n": n, "cursor": cursor, "trouble": trouble, **fields})


def error_message(message: str, position: int) -> str:
    return _text({"type": "error", "message": message, "position": position})


def refused_message(reason: str, words: str) -> str:
    return _text({"type": "refused", "reason": reason, "message": words})


def _text(message: dict[str, object]) -> str:
    return _encoder.encode(message).decode()
