"""The Django application of people, their roles and how they sign in."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "eventhub.accounts"
    label = "accounts"
