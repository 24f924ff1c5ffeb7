"""A shop: an order is placed, its stock reserved, its payment taken, and a parcel sent.

One correlation id runs through. One payment in twelve is refused, which is part of business. What
no retry mends ends as a dead letter: an article that the warehouse does not know, and a city that
no carrier serves.
"""

from collections.abc import Iterator
from random import Random
from typing import Any, Final

from collectors.demo.messages import Message, event, short_id
from collectors.demo.scenario import Failed, Producer, Scenario, Service

__all__ = ["SHOP"]

ARTICLES: Final = {
    "A-17": ("Harbour kettle", 39.0),
    "A-21": ("Enamel mug", 12.5),
    "B-03": ("Folding lantern", 54.0),
    "B-40": ("Linen apron", 28.0),
    "C-11": ("Oak bread board", 46.0),
    "D-08": ("Espresso machine", 619.0),
    "D-09": ("Stand mixer", 389.0),
    "E-55": ("Wool blanket", 119.0),
}
UNKNOWN_ARTICLE: Final = "Z-00"
CITIES: Final = ("Lisbon", "Ghent", "Tartu", "Graz", "Bergen", "Utrecht", "Malmö", "Trieste")
CITY_WITHOUT_CARRIER: Final = "Longyearbyen"
WAREHOUSES: Final = ("north", "south", "harbour")
REFUSALS: Final = ("card declined", "insufficient funds", "card expired", "3-D Secure failed")


def orders(chance: Random) -> Iterator[Message]:
    number = chance.randrange(4_000, 90_000)
    while True:
        number += 1
        items = [_item(chance) for _ in range(chance.choice((1, 1, 1, 2, 2, 3)))]
        strange = chance.random()
        if strange < 0.015:
            items[0] = {"sku": UNKNOWN_ARTICLE, "name": "Unnamed", "quantity": 1, "price": 1.0}
        city = CITY_WITHOUT_CARRIER if strange > 0.985 else chance.choice(CITIES)
        correlation_id = short_id(chance)
        yield event(
            "shop.orders",
            "OrderPlaced",
            id=f"order-{number}",
            correlation_id=correlation_id,
            order=number,
            tenant=chance.choice(("acme", "northwind", "tailspin")),
            city=city,
            items=items,
            amount=round(sum(item["quantity"] * item["price"] for item in items), 2),
            currency="EUR",
        )


def _item(chance: Random) -> dict[str, Any]:
    sku = chance.choice(list(ARTICLES))
    name, price = ARTICLES[sku]
    return {"sku": sku, "name": name, "quantity": chance.choice((1, 1, 1, 2, 4)), "price": price}


def reserve_stock(message: Message, chance: Random) -> list[Message]:
    order = message.fields
    for item in order["items"]:
        if item["sku"] not in ARTICLES:
            raise Failed(f"UnknownArticle: no article {item['sku']} in the catalogue")
    return [
        event(
            "shop.stock",
            "StockReserved",
            id=f"stock-{order['order']}",
            correlation_id=message.correlation_id,
            order=order["order"],
            city=order["city"],
            amount=order["amount"],
            warehouse=chance.choice(WAREHOUSES),
            reserved={item["sku"]: item["quantity"] for item in order["items"]},
        )
    ]


def take_payment(message: Message, chance: Random) -> list[Message]:
    stock = message.fields
    refused = chance.random() < 1 / 12
    common = {
        "order": stock["order"], "city": stock["city"], "amount": stock["amount"],
        "currency": "EUR", "method": chance.choice(("card", "card", "transfer", "wallet")),
    }  # fmt: skip
    if refused:
        common["reason"] = chance.choice(REFUSALS)
    return [
        event(
            "shop.payments",
            "PaymentFailed" if refused else "PaymentCompleted",
            id=f"payment-{stock['order']}",
            correlation_id=message.correlation_id,
            **common,
        )
    ]


def send_parcel(message: Message, chance: Random) -> list[Message]:
    payment = message.fields
    if payment["type"] != "PaymentCompleted":
        return []
    if payment["city"] == CITY_WITHOUT_CARRIER:
        raise Failed(f"NoCarrier: no carrier serves {payment['city']}")
    return [
        event(
            "shop.shipments",
            "ShipmentCreated",
            id=f"shipment-{payment['order']}",
            correlation_id=message.correlation_id,
            order=payment["order"],
            city=payment["city"],
            carrier=chance.choice(("Blue Wagon", "Parcel Tern", "Nordkurier")),
            tracking=f"EH{chance.randrange(10**9):09d}",
            weight_kg=round(chance.uniform(0.2, 14), 1),
        )
    ]


SHOP: Final = Scenario(
    "shop",
    producers=(Producer("storefront", orders, share=0.25, events_each=3.85),),
    services=(
        Service(
            "stock", ("shop.orders",), reserve_stock, 0.15, 0.1,
            "WarehouseTimeout: the stock database did not answer within 2 s",
        ),
        Service(
            "billing", ("shop.stock",), take_payment, 0.4, 0.12,
            "GatewayTimeout: the payment gateway did not answer within 5 s",
        ),
        Service(
            "shipping", ("shop.payments",), send_parcel, 0.3, 0.05,
            "CarrierApiError: the carrier answered HTTP 503",
        ),
    ),
)  # fmt: skip
