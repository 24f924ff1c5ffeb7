"""The pages as a Django application."""

from django.apps import AppConfig


class DashboardConfig(AppConfig):
    name = "dashboard"
