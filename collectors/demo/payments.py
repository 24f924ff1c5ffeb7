"""Card payments between shops and banks, and the plain-text logs of the services in between."""

from collections.abc import Iterator
from random import Random
from typing import Final

from collectors.demo.messages import Message, clock, event, short_id
from collectors.demo.scenario import Failed, Producer, Scenario, Service

__all__ = ["PAYMENTS"]

MERCHANTS: Final = ("quay-coffee", "night-bus", "reed-books", "tide-cinema", "corner-market")
CURRENCIES: Final = ("EUR", "EUR", "EUR", "SEK", "NOK")
OLD_CURRENCY: Final = "DEM"
LOGGING: Final = ("gateway", "ledger", "fraud-check")
LINES: Final = (
    ("INFO", "request handled in {n} ms"),
    ("INFO", "connection pool at {n} %"),
    ("INFO", "reloaded 3 rules"),
    ("WARN", "slow query: {n} ms on table entries"),
    ("WARN", "retrying acquirer, attempt 2"),
    ("ERROR", "acquirer answered HTTP 502 after {n} ms"),
)
WEIGHTS: Final = (40, 20, 5, 6, 4, 2)


def authorisations(chance: Random) -> Iterator[Message]:
    while True:
        declined = chance.random() < 0.06
        amount = round(min(chance.lognormvariate(3.0, 1.0), 2_500), 2)
        currency = OLD_CURRENCY if chance.random() < 0.01 else chance.choice(CURRENCIES)
        payment = short_id(chance)
        fields = {"reason": "card declined"} if declined else {}
        yield event(
            "payments.cards",
            "PaymentDeclined" if declined else "PaymentAuthorised",
            id=f"pay-{payment}",
            correlation_id=payment,
            merchant=chance.choice(MERCHANTS),
            amount=amount,
            currency=currency,
            card=f"**** {chance.randrange(10_000):04d}",
            **fields,
        )


def book(message: Message, chance: Random) -> list[Message]:
    payment = message.fields
    if payment["type"] != "PaymentAuthorised":
        return []
    if payment["currency"] == OLD_CURRENCY:
        raise Failed(f"UnsupportedCurrency: {OLD_CURRENCY} is not booked since 2002")
    return [
        event(
            "payments.ledger",
            "PaymentBooked",
            id=f"entry-{message.correlation_id}",
            correlation_id=message.correlation_id,
            merchant=payment["merchant"],
            amount=payment["amount"],
            currency=payment["currency"],
            account=f"{chance.randrange(1_000, 9_999)}-{payment['currency']}",
        )
    ]


def log_lines(chance: Random) -> Iterator[Message]:
    while True:
        service = chance.choice(LOGGING)
        [(level, text)] = chance.choices(LINES, WEIGHTS)
        line = f"{clock()} {level:<5} {service} {text.format(n=chance.randrange(8, 900))}"
        yield Message(f"logs.{service}", line.encode(), content_type="text/plain")


PAYMENTS: Final = Scenario(
    "payments",
    producers=(
        Producer("terminals", authorisations, share=0.1, events_each=1.9),
        Producer("service-logs", log_lines, share=0.05),
    ),
    services=(
        Service(
            "ledger", ("payments.cards",), book, 0.2, 0.15,
            "LockTimeout: table entries is locked by another transaction",
        ),
    ),
    also=("logs",),
)  # fmt: skip
