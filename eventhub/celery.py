"""The Celery application. Beat's schedule names every periodic task."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "eventhub.settings")

app = Celery("eventhub")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["eventhub.ingestion"])
app.conf.beat_schedule = {
    "retention": {"task": "eventhub.ingestion.tasks.apply_retention", "schedule": 60.0},
}
