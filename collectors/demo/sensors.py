"""Sensors of the city: temperatures as JSON, and vibration as binary frames.

A watcher tells when a temperature passes its threshold upwards. A decoder checks the frames: one
in sixty has a wrong checksum and ends as a dead letter.
"""

import struct
import zlib
from collections.abc import Iterator
from random import Random
from typing import Final

from collectors.demo.messages import Message, event, short_id
from collectors.demo.scenario import Failed, Producer, Scenario, Service

__all__ = ["FRAME", "SENSORS"]

PLACES: Final = {"bakery": 24.0, "boiler-house": 27.0, "cold-store": 4.0, "server-room": 22.0}
THRESHOLDS: Final = {"bakery": 30.0, "boiler-house": 32.0, "cold-store": 8.0, "server-room": 27.0}
BRIDGES: Final = ("north-bridge", "rail-bridge")
FRAME: Final = struct.Struct(">2sBIHhhhI")
"""Magic `VB`, version, sequence number, bridge, three accelerations in mm/s², CRC-32."""


def temperatures(chance: Random) -> Iterator[Message]:
    current = dict(PLACES)
    number, run = 0, short_id(chance)[:6]
    while True:
        number += 1
        place = chance.choice(list(PLACES))
        before = current[place]
        # Drawn back to the usual, so that thresholds are passed again and again.
        drift = 0.08 * (PLACES[place] - before) + chance.gauss(0, 1.1)
        current[place] = round(before + drift, 2)
        yield event(
            f"sensors.{place}",
            "TemperatureMeasured",
            id=f"reading-{run}-{number}",
            place=place,
            celsius=current[place],
            before=round(before, 2),
            battery=round(chance.uniform(0.4, 1), 2),
        )


def vibrations(chance: Random) -> Iterator[Message]:
    number = 0
    while True:
        number += 1
        bridge = chance.randrange(len(BRIDGES))
        shakes = [chance.randrange(-900, 900) for _ in range(3)]
        head = FRAME.pack(b"VB", 1, number, bridge, *shakes, 0)[:-4]
        checksum = zlib.crc32(head) ^ (1 if chance.random() < 1 / 60 else 0)
        yield Message(
            f"sensors.{BRIDGES[bridge]}",
            head + struct.pack(">I", checksum),
            content_type="application/octet-stream",
        )


def watch_threshold(message: Message, chance: Random) -> list[Message]:
    reading = message.fields
    threshold = THRESHOLDS[reading["place"]]
    if not reading["before"] <= threshold < reading["celsius"]:
        return []
    return [
        event(
            "sensors.alarms",
            "TemperatureExceeded",
            id=f"alarm-{reading['id']}",
            correlation_id=reading["id"],
            place=reading["place"],
            celsius=reading["celsius"],
            threshold=threshold,
        )
    ]


def decode_frame(message: Message, chance: Random) -> list[Message]:
    *_, checksum = FRAME.unpack(message.payload)
    if checksum != zlib.crc32(message.payload[:-4]):
        raise Failed(f"ChecksumMismatch: the frame says {checksum:08x}")
    return []


SENSORS: Final = Scenario(
    "sensors",
    producers=(
        Producer("thermometers", temperatures, share=0.15, events_each=1.02),
        Producer("bridges", vibrations, share=0.05, events_each=1.02),
    ),
    services=(
        Service("thermostat", tuple(f"sensors.{place}" for place in PLACES), watch_threshold, 0.05),
        Service("decoder", tuple(f"sensors.{bridge}" for bridge in BRIDGES), decode_frame, 0.05),
    ),
)
