"""A source is one configured connection to a broker; a collector status is how it fares."""

import secrets
from typing import Any, ClassVar

import msgspec
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models.functions import Now
from django.utils import timezone

from eventhub.brokers.config import BrokerConfig
from eventhub.brokers.contract import Adapter, Depths, Mode, Observation, StartFrom
from eventhub.brokers.registry import adapter
from eventhub.sources.credentials import decrypt, encrypt

__all__ = ["CollectorStatus", "Installation", "Source"]


def _new_name() -> str:
    return secrets.token_hex(4)


class Installation(models.Model):
    """The one row that names this EventHub, so that two never share a tap queue."""

    name = models.CharField(max_length=16, default=_new_name)

    def __str__(self) -> str:
        return self.name

    @classmethod
    def own_name(cls) -> str:
        return cls.objects.get_or_create(pk=1)[0].name


class Source(models.Model):
    class Environment(models.TextChoices):
        PRODUCTION = "production"
        STAGING = "staging"
        TEST = "test"
        DEVELOPMENT = "development"
        DEMO = "demo"

    class Desired(models.TextChoices):
        RUNNING = "running"
        STOPPED = "stopped"
        DELETED = "deleted", "deleted, traces on the broker still to be removed"

    name = models.CharField(
        max_length=40,
        unique=True,
        validators=[
            RegexValidator(
                r"\A[a-z0-9][a-z0-9._-]*\Z",
                "Use lower-case letters, digits, dots, dashes and underscores, first a letter or"
                " a digit: the name is used in queries (source:shop) and on the broker.",
            )
        ],
    )
    kind = models.CharField(max_length=40)
    environment = models.CharField(
        max_length=20, choices=Environment, default=Environment.PRODUCTION
    )
    config = models.JSONField(default=dict)
    credentials = models.BinaryField(default=bytes, editable=False)
    start_from = models.CharField(
        max_length=10, choices=[(start.value, start.value) for start in StartFrom], default="now"
    )
    start_time = models.BigIntegerField(null=True, blank=True)
    desired = models.CharField(max_length=10, choices=Desired, default=Desired.STOPPED)
    retention_days = models.PositiveIntegerField(
        default=7, validators=[MinValueValidator(1), MaxValueValidator(3650)]
    )
    retention_bytes = models.PositiveBigIntegerField(
        default=5 * 1024**3, validators=[MinValueValidator(1024**2)]
    )
    payload_limit = models.PositiveIntegerField(
        default=8 * 1024**2, validators=[MinValueValidator(1024), MaxValueValidator(64 * 1024**2)]
    )
    type_path = models.CharField(max_length=200, blank=True)
    """Keys, separated by dots, at which a JSON payload tells the type; empty: nowhere."""
    depth_every = models.PositiveIntegerField(default=5, validators=[MaxValueValidator(3600)])
    """Seconds between two looks at the depths of the broker; 0: none."""
    shares = models.PositiveSmallIntegerField(default=1, editable=False)
    """`BrokerConfig.shares` of the configuration: known without opening it."""
    revision = models.PositiveIntegerField(default=1)
    created = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def adapter(self) -> Adapter[Any]:
        return adapter(self.kind)

    def configuration(self) -> BrokerConfig:
        """The validated configuration with its secrets. Raises pydantic's ValidationError,
        PermanentFailure (unknown kind) or CredentialsLocked."""
        return self.adapter.config.join(self.config, decrypt(self.credentials))

    def configure(self, config: BrokerConfig) -> None:
        self.config, secret_values = config.split()
        self.shares = config.shares
        self.credentials = encrypt(secret_values)

    @property
    def mode(self) -> Mode:
        return self.adapter.capabilities.mode(self.config.get("mode"))

    def observation(self, **more: Any) -> Observation:
        assert self.pk is not None
        return Observation(
            source_id=self.pk,
            name=self.name,
            installation=Installation.own_name(),
            start=StartFrom(self.start_from),
            start_time=self.start_time,
            shares=self.shares,
            **more,
        )


class CollectorStatus(models.Model):
    """Written by the collector of a share of a source; read by the pages."""

    class State(models.TextChoices):
        STARTING = "starting"
        UP = "up"
        NOT_CONNECTED = "not connected"
        FAILED = "failed", "failed, needs a person"
        STOPPED = "stopped"

    source = models.ForeignKey(Source, on_delete=models.CASCADE, related_name="statuses")
    share = models.PositiveSmallIntegerField(default=0)
    state = models.CharField(max_length=20, choices=State, default=State.STARTING)
    since = models.DateTimeField(default=timezone.now)
    reason = models.TextField(blank=True)
    way_out = models.TextField(blank=True)
    retry_at = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField(default=0)
    heartbeat = models.DateTimeField(null=True)
    """When the collector last said that it lives."""
    stored_within = models.PositiveIntegerField(null=True)
    """Milliseconds from receiving to committed, of the last batch."""
    rate = models.FloatField(null=True)
    """Events a second over the ten seconds before `heartbeat`."""

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["source", "share"], name="status_of_a_share")
        ]

    def __str__(self) -> str:
        return f"{self.source}, share {self.share}: {self.state}"


class DepthReading(models.Model):
    """The last look at a source's depths, as a whole: one row is written, however many queues."""

    source = models.OneToOneField(
        Source, on_delete=models.CASCADE, related_name="depth", primary_key=True
    )
    at = models.DateTimeField(default=timezone.now)
    packed = models.BinaryField(default=bytes)
    """MessagePack of `Depths`; the last ones that could be had."""
    problem = models.TextField(blank=True)
    """Why the last look failed; what is packed is older then."""

    def __str__(self) -> str:
        return f"{self.source}: depths of {self.at}"

    @property
    def depths(self) -> Depths | None:
        return msgspec.msgpack.decode(self.packed, type=Depths) if self.packed else None


class CollectorHost(models.Model):
    """A supervisor that runs collectors; there may be several, on several machines."""

    name = models.CharField(max_length=100, primary_key=True)
    """As `eventhub.sources.leases.host_name` makes it."""
    seen = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.name


class SourceLease(models.Model):
    """Which host collects a share of a source. One that has expired may be taken by another."""

    source = models.ForeignKey(Source, on_delete=models.CASCADE, related_name="leases")
    share = models.PositiveSmallIntegerField(default=0)
    holder = models.CharField(max_length=100)
    expires = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["source", "share"], name="lease_of_a_share")
        ]

    def __str__(self) -> str:
        return f"{self.source}, share {self.share}: {self.holder}"
