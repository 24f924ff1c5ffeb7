"""The five roles. Each may do what the ones before it may, and more."""

from enum import IntEnum

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, Group, User

__all__ = ["Role", "give_role", "role_of"]


class Role(IntEnum):
    """Ordered: a higher role includes every lower one. Names are those of the Django groups."""

    VIEWER = 1
    REVEALER = 2
    OPERATOR = 3
    EDITOR = 4
    ADMIN = 5

    @property
    def group(self) -> str:
        return self.name.lower()

    @property
    def title(self) -> str:
        return self.name.capitalize()

    @property
    def may(self) -> str:
        """What this role adds, for a page."""
        return _MAY[self]


_MAY = {
    Role.VIEWER: "see events, sources and queues",
    Role.REVEALER: "see values that masking rules hide",
    Role.OPERATOR: "replay messages",
    Role.EDITOR: "edit messages before a replay, and publish",
    Role.ADMIN: "configure sources and people",
}
_BY_GROUP = {role.group: role for role in Role}


def role_of(user: AbstractBaseUser | AnonymousUser) -> Role | None:
    """The highest role that this user's groups give; None for someone who has none.

    A superuser is an admin. One query the first time, none after it for the same object.
    """
    if not isinstance(user, User) or not user.is_active:
        return None
    if user.is_superuser:
        return Role.ADMIN
    if not hasattr(user, "_eventhub_role"):
        names = user.groups.values_list("name", flat=True)
        roles = [_BY_GROUP[name] for name in names if name in _BY_GROUP]
        user._eventhub_role = max(roles, default=None)  # type: ignore[attr-defined]
    role: Role | None = user._eventhub_role  # type: ignore[attr-defined]
    return role


def give_role(user: User, role: Role) -> None:
    """Make `role` this user's only role; groups that are no roles stay."""
    user.groups.remove(*Group.objects.filter(name__in=_BY_GROUP))
    user.groups.add(Group.objects.get_or_create(name=role.group)[0])
    user.__dict__.pop("_eventhub_role", None)
