"""All pages come from the dashboard."""

from django.urls import include, path

urlpatterns = [path("", include("dashboard.urls"))]
