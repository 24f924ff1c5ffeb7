"""Stock ticks on one channel an exchange, and a desk that tells of large moves.

Now and then a tick has no price, which the desk cannot handle: a dead letter.
"""

from collections.abc import Iterator
from random import Random
from typing import Final

from collectors.demo.messages import Message, event, short_id
from collectors.demo.scenario import Failed, Producer, Scenario, Service

__all__ = ["TICKS"]

STOCKS: Final = {
    "ticks.harbour": {"KETL": 84.2, "FERY": 23.75, "ROPE": 7.9},
    "ticks.upland": {"MILL": 151.0, "WOOL": 42.1, "TURB": 318.4},
}
LARGE_MOVE: Final = 1.2
"""Percent since the tick before."""


def ticks(chance: Random) -> Iterator[Message]:
    prices = {channel: dict(stocks) for channel, stocks in STOCKS.items()}
    number, run = 0, short_id(chance)[:6]
    while True:
        number += 1
        channel = chance.choice(list(prices))
        symbol = chance.choice(list(prices[channel]))
        change = chance.gauss(0, 0.45)
        price = round(max(prices[channel][symbol] * (1 + change / 100), 0.5), 2)
        prices[channel][symbol] = price
        missing = chance.random() < 0.004
        yield event(
            channel,
            "Tick",
            id=f"tick-{run}-{number}",
            symbol=symbol,
            price=None if missing else price,
            change=round(change, 3),
            volume=chance.randrange(1, 400) * 10,
        )


def watch_moves(message: Message, chance: Random) -> list[Message]:
    tick = message.fields
    if tick["price"] is None:
        raise Failed("InvalidTick: price is null")
    if abs(tick["change"]) < LARGE_MOVE:
        return []
    return [
        event(
            "ticks.alerts",
            "PriceMoved",
            id=f"move-{tick['id']}",
            correlation_id=tick["id"],
            symbol=tick["symbol"],
            price=tick["price"],
            change=tick["change"],
            direction="up" if tick["change"] > 0 else "down",
        )
    ]


TICKS: Final = Scenario(
    "ticks",
    producers=(Producer("exchange-feed", ticks, share=0.3, events_each=1.01),),
    services=(Service("desk", tuple(STOCKS), watch_moves, 0.02),),
)
