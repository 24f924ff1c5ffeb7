from django.db import migrations, models

_COPY = """
INSERT INTO source_progress_of_shares (source_id, last_seen, last_batch, unsettled, epoch)
SELECT source_id, last_seen, last_batch, unsettled, epoch FROM source_progress"""


class Migration(migrations.Migration):
    """One row for each share of a source. Django changes no primary key into one of several
    columns, so the table is made anew."""

    dependencies = [
        ("store", "0002_epoch"),
    ]

    operations = [
        migrations.CreateModel(
            name="ShareProgress",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "source_id",
                        "share",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("source_id", models.BigIntegerField()),
                ("share", models.SmallIntegerField(db_default=0)),
                ("shares", models.SmallIntegerField(db_default=1)),
                ("last_seen", models.BigIntegerField(null=True)),
                ("last_batch", models.BinaryField(null=True)),
                ("unsettled", models.BinaryField(null=True)),
                ("epoch", models.BigIntegerField(db_default=0)),
            ],
            options={"db_table": "source_progress_of_shares"},
        ),
        migrations.RunSQL(_COPY, migrations.RunSQL.noop),
        migrations.DeleteModel("SourceProgress"),
        migrations.RenameModel("ShareProgress", "SourceProgress"),
        migrations.AlterModelTable("SourceProgress", "source_progress"),
    ]
