"""What each mode does to the broker, in the words of the form."""

from typing import Final

from eventhub.brokers.contract import Completeness, Mode, ReadSafety, StartFrom

__all__ = ["MODES"]

MODES: Final = (
    Mode(
        name="tap",
        safety=ReadSafety.HARMLESS,
        completeness=Completeness.COMPLETE,
        starts=(StartFrom.NOW,),
        effect="Subscribes to topics as one more subscriber, not durably: consumers lose nothing,"
        " and the broker keeps nothing once EventHub has left. A topic that nobody has used yet is"
        " made. EventHub reads ahead, and leaves when it falls 64 MiB behind.",
        blind_spot="What is published while EventHub is not connected, which is shown as a gap; and"
        " what is sent straight to queues.",
    ),
    Mode(
        name="browse",
        safety=ReadSafety.HARMLESS,
        completeness=Completeness.SAMPLED,
        starts=(StartFrom.NOW, StartFrom.EARLIEST),
        effect="Looks into queues every few seconds. The broker sends copies; no message is taken"
        " and no delivery count rises.",
        blind_spot="What is consumed between two looks; on Classic also what lies behind the first"
        " 400 messages (maxBrowsePageSize).",
        settles=True,
    ),
    Mode(
        name="consume",
        safety=ReadSafety.TAKES_MESSAGES,
        completeness=Completeness.COMPLETE,
        starts=(StartFrom.EARLIEST,),
        effect="TAKES the messages of these queues: each one that EventHub receives is gone for"
        " their other consumers. For a queue of EventHub's own, such as a virtual topic's"
        " Consumer.eventhub.VirtualTopic.orders or one that a divert feeds.",
        blind_spot="What other consumers of the same queue take first.",
        settles=True,
    ),
)
