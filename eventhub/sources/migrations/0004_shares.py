import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

_COPY = """
INSERT INTO sources_sharestatus (source_id, share, state, since, reason, way_out, retry_at,
 attempts, heartbeat, stored_within, rate)
SELECT source_id, 0, state, since, reason, way_out, retry_at,
 attempts, heartbeat, stored_within, rate FROM sources_collectorstatus"""


class Migration(migrations.Migration):
    """A status and a lease for each share of a source. Their rows had the source's key for their
    own, which no statement takes from a column: the tables are made anew. Leases are not copied:
    who collects takes them again."""

    dependencies = [
        ("sources", "0003_depth"),
    ]

    operations = [
        migrations.AddField(
            model_name="source",
            name="shares",
            field=models.PositiveSmallIntegerField(default=1, editable=False),
        ),
        migrations.CreateModel(
            name="ShareStatus",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("share", models.PositiveSmallIntegerField(default=0)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("starting", "Starting"),
                            ("up", "Up"),
                            ("not connected", "Not Connected"),
                            ("failed", "failed, needs a person"),
                            ("stopped", "Stopped"),
                        ],
                        default="starting",
                        max_length=20,
                    ),
                ),
                ("since", models.DateTimeField(default=django.utils.timezone.now)),
                ("reason", models.TextField(blank=True)),
                ("way_out", models.TextField(blank=True)),
                ("retry_at", models.DateTimeField(null=True)),
                ("attempts", models.PositiveIntegerField(default=0)),
                ("heartbeat", models.DateTimeField(null=True)),
                ("stored_within", models.PositiveIntegerField(null=True)),
                ("rate", models.FloatField(null=True)),
                (
                    "source",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="statuses",
                        to="sources.source",
                    ),
                ),
            ],
        ),
        migrations.RunSQL(_COPY, migrations.RunSQL.noop),
        migrations.DeleteModel("CollectorStatus"),
        migrations.RenameModel("ShareStatus", "CollectorStatus"),
        migrations.AddConstraint(
            model_name="collectorstatus",
            constraint=models.UniqueConstraint(
                fields=("source", "share"), name="status_of_a_share"
            ),
        ),
        migrations.DeleteModel("SourceLease"),
        migrations.CreateModel(
            name="SourceLease",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("share", models.PositiveSmallIntegerField(default=0)),
                ("holder", models.CharField(max_length=100)),
                ("expires", models.DateTimeField()),
                (
                    "source",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="leases",
                        to="sources.source",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("source", "share"), name="lease_of_a_share")
                ],
            },
        ),
    ]
