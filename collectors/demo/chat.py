"""Chat rooms, and a moderator who flags links and chokes on what is too long."""

from collections.abc import Iterator
from random import Random
from typing import Final

from collectors.demo.messages import Message, event, short_id
from collectors.demo.scenario import Failed, Producer, Scenario, Service

__all__ = ["CHAT"]

ROOMS: Final = ("chat.kitchen", "chat.harbour", "chat.on-call", "chat.chess")
ANIMALS: Final = ("heron", "otter", "lynx", "wren", "badger", "stoat")
OPENINGS: Final = ("Morning", "Quick question:", "Heads-up:", "By the way,", "Anyone?", "Fixed:")
REST: Final = (
    "the coffee machine is descaled 🎉",
    "who took the harbour kettle?",
    "deploy of billing is at 40 %",
    "grüße aus Graz",
    "knight to f6, your turn",
    "is stock slow for anyone else?",
    "lunch at the quay at noon",
    "the lag on shipping is back to zero",
)
LONGEST: Final = 500
"""Characters that the moderator can take."""


def messages(chance: Random) -> Iterator[Message]:
    while True:
        text = f"{chance.choice(OPENINGS)} {chance.choice(REST)}"
        strange = chance.random()
        if strange < 0.05:
            text += f" https://status.example/{short_id(chance)[:6]}"
        elif strange > 0.99:
            text = f"{text}; " * 40
        yield event(
            chance.choice(ROOMS),
            "MessagePosted",
            id=f"chat-{short_id(chance)}",
            author=f"{chance.choice(ANIMALS)}-{chance.randrange(10, 99)}",
            text=text,
        )


def moderate(message: Message, chance: Random) -> list[Message]:
    post = message.fields
    if len(post["text"]) > LONGEST:
        raise Failed(f"TextTooLong: {len(post['text'])} characters, {LONGEST} at most")
    if "https://" not in post["text"]:
        return []
    return [
        event(
            "chat.moderation",
            "MessageFlagged",
            id=f"flag-{post['id']}",
            correlation_id=post["id"],
            room=message.channel,
            author=post["author"],
            reason="contains a link",
            score=round(chance.uniform(0.3, 0.95), 2),
        )
    ]


CHAT: Final = Scenario(
    "chat",
    producers=(Producer("rooms", messages, share=0.1, events_each=1.06),),
    services=(
        Service(
            "moderator", ROOMS, moderate, 0.1, 0.05, "ModelOverloaded: no answer within 1 s"
        ),
    ),
)  # fmt: skip
