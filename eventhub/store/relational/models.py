"""The tables of the store, for migrations and for emptying them in tests.

Nothing reads or writes events through these models: `create()` stores 1,300 events a second and
`bulk_create` 4,300, where COPY stores 40,000. Times are milliseconds since 1970.
"""

from typing import Any, ClassVar

from django.db import models

__all__ = [
    "Checkpoint", "DeliveryIdentity", "EventDay", "EventRollup", "EventRow", "SourceProgress",
    "StoreGap",
]  # fmt: skip


class EventIdField(models.Field):  # type: ignore[type-arg]
    """16 bytes. PostgreSQL's uuid needs 8 bytes less in an index entry than bytea."""

    def db_type(self, connection: Any) -> str:
        return "uuid" if connection.vendor == "postgresql" else "blob"


class EventRow(models.Model):
    """`eventhub.events.event.Event` says what the columns mean; the migration makes the table."""

    pk = models.CompositePrimaryKey("id", "source_id")
    id = EventIdField()
    source_id = models.BigIntegerField()
    destination = models.TextField()
    payload = models.BinaryField()
    payload_size = models.BigIntegerField()
    type = models.TextField(null=True)  # noqa: DJ001  (absent is not empty)
    key = models.TextField(null=True)  # noqa: DJ001
    correlation_id = models.TextField(null=True)  # noqa: DJ001
    message_id = models.TextField(null=True)  # noqa: DJ001
    content_type = models.TextField(null=True)  # noqa: DJ001
    content_encoding = models.TextField(null=True)  # noqa: DJ001
    position = models.TextField(null=True)  # noqa: DJ001
    event_time = models.BigIntegerField(null=True)
    broker_time = models.BigIntegerField(null=True)
    headers = models.BinaryField()
    flags = models.SmallIntegerField()
    redeliveries = models.IntegerField()

    class Meta:
        db_table = "events"

    def __str__(self) -> str:
        return str(self.pk)


class DeliveryIdentity(models.Model):
    """Which event a broker's position became; goes when its event goes."""

    pk = models.CompositePrimaryKey("source_id", "digest")
    source_id = models.BigIntegerField()
    digest = models.BinaryField()
    event_id = EventIdField()

    class Meta:
        db_table = "delivery_identities"
        indexes: ClassVar = [
            models.Index(fields=["source_id", "event_id"], name="identities_event")
        ]

    def __str__(self) -> str:
        return str(self.pk)


class SourceProgress(models.Model):
    """How far a share of a source has come; one row a share, written with each batch."""

    pk = models.CompositePrimaryKey("source_id", "share")
    source_id = models.BigIntegerField()
    share = models.SmallIntegerField(db_default=0)
    shares = models.SmallIntegerField(db_default=1)
    """How many there are, as the newest writer of any share takes it."""
    last_seen = models.BigIntegerField(null=True)
    last_batch = models.BinaryField(null=True)
    """`Batch.id` of the last commit, by which a batch that is written again is recognised."""
    unsettled = models.BinaryField(null=True)
    """MessagePack of `Batch.unsettled`."""
    epoch = models.BigIntegerField(db_default=0)
    """`Resume.epoch` of the newest writer."""

    class Meta:
        db_table = "source_progress"

    def __str__(self) -> str:
        return str(self.pk)


class Checkpoint(models.Model):
    """Where to go on in one part of a log."""

    pk = models.CompositePrimaryKey("source_id", "part")
    source_id = models.BigIntegerField()
    part = models.TextField()
    position = models.TextField()

    class Meta:
        db_table = "checkpoints"

    def __str__(self) -> str:
        return f"{self.part} {self.position}"


class StoreGap(models.Model):
    """A span in which a source may have missed events."""

    source_id = models.BigIntegerField()
    reason = models.TextField()
    started = models.BigIntegerField()
    ended = models.BigIntegerField()
    missed = models.BigIntegerField(null=True)
    destination = models.TextField(null=True)  # noqa: DJ001  (absent: all that is observed)

    class Meta:
        db_table = "gaps"
        indexes: ClassVar = [models.Index(fields=["source_id", "ended"], name="gaps_ended")]

    def __str__(self) -> str:
        return self.reason


class EventDay(models.Model):
    """How many events and payload bytes of a source are kept of a UTC day."""

    pk = models.CompositePrimaryKey("source_id", "day")
    source_id = models.BigIntegerField()
    day = models.IntegerField()
    """Days since 1970-01-01."""
    events = models.BigIntegerField()
    size = models.BigIntegerField()

    class Meta:
        db_table = "event_days"

    def __str__(self) -> str:
        return str(self.pk)


class EventRollup(models.Model):
    """`eventhub.store.contract.Count`."""

    pk = models.CompositePrimaryKey("source_id", "minute", "destination", "type")
    source_id = models.BigIntegerField()
    minute = models.BigIntegerField()
    destination = models.TextField()
    type = models.TextField()
    events = models.BigIntegerField()
    size = models.BigIntegerField()

    class Meta:
        db_table = "event_rollups"

    def __str__(self) -> str:
        return str(self.pk)
