"""Brings every database of the settings up to date. Runs inside the virtual environment."""

import os
import sys
from pathlib import Path


def main() -> None:
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "eventhub.settings")
    import django
    from django.core.management import call_command
    from django.db import connections

    django.setup()
    for database in connections:
        call_command("migrate", database=database, interactive=False, verbosity=0)


if __name__ == "__main__":
    main()
