"""Sign-in links: made for one person, good once and for 15 minutes."""

import hashlib
import secrets
from datetime import timedelta
from typing import Final

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from eventhub.accounts.models import SignInLink
from eventhub.accounts.roles import Role, give_role

__all__ = ["LIFETIME", "LinkRefused", "admin_named", "check_link", "make_link", "use_link"]

LIFETIME: Final = timedelta(minutes=15)
_KEEP: Final = timedelta(days=1)


class LinkRefused(Exception):
    """The link lets nobody in. `str()` says why, as a sentence for the page."""


def admin_named(name: str) -> User:
    """The user of this name, made as an admin without a password if there is none."""
    user, made = User.objects.get_or_create(username=name)
    if made:
        user.set_unusable_password()
        user.save(update_fields=["password"])
        give_role(user, Role.ADMIN)
    return user


def make_link(user: User) -> str:
    """A new token for `user`. Only its digest is stored: nobody can print it again."""
    token = secrets.token_urlsafe(32)
    now = timezone.now()
    SignInLink.objects.filter(expires__lt=now - _KEEP).delete()
    SignInLink.objects.create(token_digest=_digest(token), user=user, expires=now + LIFETIME)
    return token


def check_link(token: str) -> SignInLink:
    """The link of this token, still good, not consumed by this. Raises LinkRefused."""
    link = SignInLink.objects.select_related("user").filter(token_digest=_digest(token)).first()
    if link is None:
        raise LinkRefused("This sign-in link is not known here.")
    if link.used is not None:
        raise LinkRefused("This sign-in link has been used. A link works once.")
    if link.expires <= timezone.now():
        raise LinkRefused("This sign-in link has expired. A link works for 15 minutes.")
    if not link.user.is_active:
        raise LinkRefused("The person that this link was made for may no longer sign in.")
    return link


def use_link(token: str) -> User:
    """Consume the link and return its user. Raises LinkRefused; of two at once, one gets in."""
    with transaction.atomic():
        link = check_link(token)
        consumed = SignInLink.objects.filter(pk=link.pk, used=None).update(used=timezone.now())
        if not consumed:
            raise LinkRefused("This sign-in link has been used. A link works once.")
    user: User = link.user
    return user


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
