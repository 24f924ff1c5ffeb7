"""Which role an action needs. The one table; pages, the API and the websocket ask it."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.utils.deprecation import MiddlewareMixin

from eventhub.accounts.roles import Role, role_of

__all__ = ["ACTIONS", "RoleMiddleware", "may", "needs"]

ACTIONS: Final = {
    "see": Role.VIEWER,
    "publish": Role.EDITOR,
    "configure": Role.ADMIN,
}

_View = TypeVar("_View", bound=Callable[..., Any])


def may(user: AbstractBaseUser | AnonymousUser, action: str) -> bool:
    """Whether this user may do it. Raises KeyError for an action that is not in the table."""
    role = role_of(user)
    return role is not None and role >= ACTIONS[action]


def needs(action: str) -> Callable[[_View], _View]:
    """Mark a view with the action that it is. A view without a mark is "see"."""
    assert action in ACTIONS, f"{action!r} is not in ACTIONS"

    def mark(view: _View) -> _View:
        view.action = action  # type: ignore[attr-defined]
        return view

    return mark


class RoleMiddleware(MiddlewareMixin):
    """Refuses a view to those who lack its role. Views open to all (`login_not_required`) pass.

    A middleware rather than a wrapper around each view, so that a view which forgets its mark
    is still closed to people without any role.
    """

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], args: Any, kwargs: Any
    ) -> None:
        if not getattr(view, "login_required", True):
            return
        action = getattr(view, "action", "see")
        if not may(request.user, action):
            raise PermissionDenied(_words(request.user, ACTIONS[action]))


def _words(user: AbstractBaseUser | AnonymousUser, needed: Role) -> str:
    own = role_of(user)
    has = f"Yours is {own.group}." if own else "You have none yet."
    return f"This needs the role {needed.group} ({needed.may}). {has}"
