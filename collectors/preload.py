"""Imported once by the fork server, so that a source's process starts in a few milliseconds."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "eventhub.settings")
django.setup()

import collectors.collector  # noqa: E402, F401  (needs the applications loaded)
