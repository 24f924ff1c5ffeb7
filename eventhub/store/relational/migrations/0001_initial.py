"""The tables of the store. `events` is made by hand: no two engines keep it alike."""

from django.db import migrations, models

import eventhub.store.relational.models

# The payload comes last: SQLite reads the columns before it without following its pages.
COLUMNS = """
 id {id} NOT NULL, source_id bigint NOT NULL, flags smallint NOT NULL,
 redeliveries integer NOT NULL, payload_size bigint NOT NULL,
 event_time bigint, broker_time bigint,
 destination {text} NOT NULL, "type" {text}, "key" {text}, correlation_id {text},
 message_id {text}, content_type {text}, content_encoding {text}, "position" {text},
 headers {bytes} NOT NULL, payload {bytes} NOT NULL"""

# Texts may be a megabyte long; an index entry has room for 2,700 bytes. The "C" collation compares
# code points, as queries do, and is the cheapest to keep.
POSTGRES = (
    "CREATE TABLE events ("
    + COLUMNS.format(id="uuid", text='text COLLATE "C"', bytes="bytea")
    + ", PRIMARY KEY (id, source_id)) PARTITION BY LIST (source_id)",
    "CREATE INDEX events_destination ON events (substr(destination, 1, 200), id)",
    'CREATE INDEX events_type ON events (substr("type", 1, 200), id) WHERE "type" IS NOT NULL',
    'CREATE INDEX events_key ON events (substr("key", 1, 200)) WHERE "key" IS NOT NULL',
    "CREATE INDEX events_correlation_id ON events (substr(correlation_id, 1, 200))"
    " WHERE correlation_id IS NOT NULL",
    "CREATE INDEX events_message_id ON events (substr(message_id, 1, 200))"
    " WHERE message_id IS NOT NULL",
)
# `seq >> 13`: see BUCKET in eventhub/store/relational/sqlite/database.py.
SQLITE = (
    "CREATE TABLE events (seq integer PRIMARY KEY,"
    + COLUMNS.format(id="blob", text="text", bytes="blob")
    + ")",
    "CREATE UNIQUE INDEX events_id ON events (id, source_id)",
    "CREATE INDEX events_source ON events (source_id, id)",
    "CREATE INDEX events_destination ON events (substr(destination, 1, 200), id)",
    'CREATE INDEX events_type ON events (substr("type", 1, 200), id) WHERE "type" IS NOT NULL',
    'CREATE INDEX events_key ON events (seq >> 13, substr("key", 1, 200)) WHERE "key" IS NOT NULL',
    "CREATE INDEX events_correlation_id ON events (seq >> 13, substr(correlation_id, 1, 200))"
    " WHERE correlation_id IS NOT NULL",
    "CREATE INDEX events_message_id ON events (seq >> 13, substr(message_id, 1, 200))"
    " WHERE message_id IS NOT NULL",
)


def create_events(apps, schema_editor):
    for statement in POSTGRES if schema_editor.connection.vendor == "postgresql" else SQLITE:
        schema_editor.execute(statement)


def drop_events(apps, schema_editor):
    schema_editor.execute("DROP TABLE events")


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Checkpoint",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "source_id",
                        "part",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("source_id", models.BigIntegerField()),
                ("part", models.TextField()),
                ("position", models.TextField()),
            ],
            options={
                "db_table": "checkpoints",
            },
        ),
        migrations.CreateModel(
            name="EventDay",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "source_id",
                        "day",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("source_id", models.BigIntegerField()),
                ("day", models.IntegerField()),
                ("events", models.BigIntegerField()),
                ("size", models.BigIntegerField()),
            ],
            options={
                "db_table": "event_days",
            },
        ),
        migrations.CreateModel(
            name="EventRollup",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "source_id",
                        "minute",
                        "destination",
                        "type",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("source_id", models.BigIntegerField()),
                ("minute", models.BigIntegerField()),
                ("destination", models.TextField()),
                ("type", models.TextField()),
                ("events", models.BigIntegerField()),
                ("size", models.BigIntegerField()),
            ],
            options={
                "db_table": "event_rollups",
            },
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(create_events, drop_events)],
            state_operations=[
                migrations.CreateModel(
                    name="EventRow",
                    fields=[
                        (
                            "pk",
                            models.CompositePrimaryKey(
                                "id",
                                "source_id",
                                blank=True,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        ("id", eventhub.store.relational.models.EventIdField()),
                        ("source_id", models.BigIntegerField()),
                        ("destination", models.TextField()),
                        ("payload", models.BinaryField()),
                        ("payload_size", models.BigIntegerField()),
                        ("type", models.TextField(null=True)),
                        ("key", models.TextField(null=True)),
                        ("correlation_id", models.TextField(null=True)),
                        ("message_id", models.TextField(null=True)),
                        ("content_type", models.TextField(null=True)),
                        ("content_encoding", models.TextField(null=True)),
                        ("position", models.TextField(null=True)),
                        ("event_time", models.BigIntegerField(null=True)),
                        ("broker_time", models.BigIntegerField(null=True)),
                        ("headers", models.BinaryField()),
                        ("flags", models.SmallIntegerField()),
                        ("redeliveries", models.IntegerField()),
                    ],
                    options={
                        "db_table": "events",
                    },
                ),
            ],
        ),
        migrations.CreateModel(
            name="SourceProgress",
            fields=[
                ("source_id", models.BigIntegerField(primary_key=True, serialize=False)),
                ("last_seen", models.BigIntegerField(null=True)),
                ("last_batch", models.BinaryField(null=True)),
                ("unsettled", models.BinaryField(null=True)),
            ],
            options={
                "db_table": "source_progress",
            },
        ),
        migrations.CreateModel(
            name="DeliveryIdentity",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "source_id",
                        "digest",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("source_id", models.BigIntegerField()),
                ("digest", models.BinaryField()),
                ("event_id", eventhub.store.relational.models.EventIdField()),
            ],
            options={
                "db_table": "delivery_identities",
                "indexes": [
                    models.Index(fields=["source_id", "event_id"], name="identities_event")
                ],
            },
        ),
        migrations.CreateModel(
            name="StoreGap",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("source_id", models.BigIntegerField()),
                ("reason", models.TextField()),
                ("started", models.BigIntegerField()),
                ("ended", models.BigIntegerField()),
                ("missed", models.BigIntegerField(null=True)),
                ("destination", models.TextField(null=True)),
            ],
            options={
                "db_table": "gaps",
                "indexes": [models.Index(fields=["source_id", "ended"], name="gaps_ended")],
            },
        ),
    ]
