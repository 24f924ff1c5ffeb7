"""A sign-in link lets one person in once, for a short time."""

from django.conf import settings
from django.db import models
from django.utils import timezone

__all__ = ["SignInLink"]


class SignInLink(models.Model):
    """Only the digest of the token is kept: a copy of the database lets nobody in."""

    token_digest = models.CharField(max_length=64, unique=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="sign_in_links"
    )
    created = models.DateTimeField(default=timezone.now, editable=False)
    expires = models.DateTimeField()
    used = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"sign-in link for {self.user}, until {self.expires:%Y-%m-%d %H:%M:%S} UTC"
