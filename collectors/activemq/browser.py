"""Looking into a queue without taking anything: a link whose source hands out copies.

Distribution mode `copy`, AMQP 1.0 part 3.5.3. Classic hands out no more than `maxBrowsePageSize`
(400 unless changed) and then ends the look; Artemis hands out all.
"""

from collections import Counter
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any, Final

from cproton import pn_delivery_settle
from proton import Link, Terminus

from collectors.activemq.amqp import receiver
from collectors.activemq.config import ActiveMQConfig
from collectors.activemq.names import Name
from collectors.activemq.sections import after_header
from collectors.activemq.wire import Wire
from eventhub.brokers.contract import Delivery

__all__ = ["Positions", "look"]

_CREDIT: Final = 500
_LOOK_SECONDS: Final = 10.0


def look(wire: Wire, session: Any, config: ActiveMQConfig, name: Name) -> Iterator[bytes]:
    """The messages that wait, oldest first, as long as the caller wants more.

    Raises NotConnected, or PermanentFailure where the broker does not allow it.
    """
    link = receiver(session, config, name)
    link.source.distribution_mode = Terminus.DIST_MODE_COPY
    link.snd_settle_mode = Link.SND_SETTLED
    wire.attach(link, name.words)
    try:
        while True:
            link.drain(_CREDIT)
            came = 0
            while link.draining() or link.queued:
                wire.wait_for(lambda: link.queued or not link.draining(), _LOOK_SECONDS, "browse")
                for raw, handle in wire.arrived(link):
                    pn_delivery_settle(handle)
                    came += 1
                    yield raw
            if came < _CREDIT:
                return
    finally:
        if not wire.lost:
            wire.detach(link)
            wire.pump()


class Positions:
    """Names each message of one look: by its id, else by its bytes; a repeated one with a number.

    A queue of ActiveMQ has no positions of its own that a client is told.
    """

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    def of(self, raw: bytes, delivery: Delivery) -> str:
        # The header changes when a message is delivered again; what follows it never does.
        name = delivery.message_id or blake2b(after_header(raw), digest_size=12).hexdigest()
        self._seen[name] += 1
        count = self._seen[name]
        return name if count == 1 else f"{name}#{count}"
