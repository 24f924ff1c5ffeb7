"""`manage.py signin`: print a link that signs one person in, once."""

import argparse
import os
from typing import Any

from django.core.management.base import BaseCommand
from django.urls import reverse

from eventhub.accounts.sign_in_links import admin_named, make_link


class Command(BaseCommand):
    help = (
        "Print a link that signs a person in. It works once, for 15 minutes. A person who is not"
        " known yet is made as an admin."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--user", default="admin", help="whom to sign in (default: admin)")
        parser.add_argument(
            "--base-url",
            default=os.environ.get("EVENTHUB_URL", "http://127.0.0.1:8000"),
            help="where EventHub is reached (default: EVENTHUB_URL, or http://127.0.0.1:8000)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        path = reverse("sign-in-link", args=[make_link(admin_named(options["user"]))])
        self.stdout.write(options["base_url"].rstrip("/") + path)
