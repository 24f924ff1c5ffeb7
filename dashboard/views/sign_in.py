"""Signing in: by a one-time link, or by name and password. And out again."""

from datetime import timedelta

from django.conf import settings
from django.contrib.auth import login, logout
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.forms import AuthenticationForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render, resolve_url
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from eventhub.accounts.sign_in_links import LIFETIME, LinkRefused, check_link
from eventhub.accounts.sign_in_links import use_link as consume

_BACKEND = "django.contrib.auth.backends.ModelBackend"


@login_not_required
@never_cache
@sensitive_post_parameters("password")
def sign_in(request: HttpRequest) -> HttpResponse:
    """Name and password. Five wrong ones from one address lock that name there for a while."""
    form = AuthenticationForm(request, request.POST or None)
    if request.method == "POST" and form.is_valid():
        login(request, form.get_user())
        return redirect(_next(request))
    locked = getattr(request, "axes_locked_out", False)
    context = {
        "form": form,
        "locked_minutes": _minutes(settings.AXES_COOLOFF_TIME) if locked else None,
        "link_minutes": _minutes(LIFETIME),
        "next": _next(request),
    }
    return render(request, "sign_in.html", context, status=429 if locked else 200)


@login_not_required
@never_cache
def use_link(request: HttpRequest, token: str) -> HttpResponse:
    """A look at a link shows one button and changes nothing: mail programs and chats look too."""
    try:
        if request.method != "POST":
            return render(request, "sign_in_link.html", {"link": check_link(token)})
        user = consume(token)
    except LinkRefused as refusal:
        context = {"refusal": str(refusal), "signed_in": request.user.is_authenticated}
        return render(request, "sign_in_link.html", context, status=410)
    login(request, user, backend=_BACKEND)
    return redirect(settings.LOGIN_REDIRECT_URL)


@login_not_required
@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return redirect("sign-in")


def _next(request: HttpRequest) -> str:
    """Where the person wanted to go, if that is here."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    ours = url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return wanted if ours else resolve_url(settings.LOGIN_REDIRECT_URL)


def _minutes(span: timedelta) -> int:
    return int(span.total_seconds() // 60)
