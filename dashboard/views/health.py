"""For load balancers and people's scripts: does the process live, and can it serve?"""

from typing import NamedTuple

import redis
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError, connections
from django.db.models import Max
from django.http import HttpRequest, JsonResponse
from django.utils import timezone

from dashboard.condition import HEARTBEAT_LIMIT
from eventhub.sources.models import Source

__all__ = ["healthz", "readyz"]

_SECONDS = 2.0


class Check(NamedTuple):
    ok: bool
    words: str


@login_not_required
def healthz(request: HttpRequest) -> JsonResponse:
    """200 as long as the process answers."""
    return JsonResponse({"ok": True})


@login_not_required
def readyz(request: HttpRequest) -> JsonResponse:
    """200 when all that pages need is there, else 503 with what is wrong. Names no addresses: it
    answers anyone."""
    database = _database()
    checks = {
        "database": database,
        "redis": _redis(),
        "collectors": _collectors() if database.ok else Check(False, "not known: no database"),
    }
    ready = all(check.ok for check in checks.values())
    return JsonResponse(
        {"ready": ready, "checks": {name: check._asdict() for name, check in checks.items()}},
        status=200 if ready else 503,
    )


def _database() -> Check:
    for connection in connections.all():
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
        except DatabaseError:
            return Check(False, f"the database {connection.alias!r} does not answer")
    return Check(True, "answers")


def _redis() -> Check:
    client = redis.Redis.from_url(
        settings.REDIS_URL, socket_connect_timeout=_SECONDS, socket_timeout=_SECONDS
    )
    try:
        with client:
            client.ping()
    except redis.RedisError:
        return Check(False, "Redis does not answer: live pages stand still")
    return Check(True, "answers")


def _collectors() -> Check:
    """One supervisor runs all collectors, so one heartbeat shows that it lives; a single source
    that fails is told on its page and does not make EventHub unready."""
    running = Source.objects.filter(desired=Source.Desired.RUNNING)
    if not running.exists():
        return Check(True, "no source is to run")
    try:
        last = running.aggregate(last=Max("statuses__heartbeat"))["last"]
    except DatabaseError:
        return Check(False, "the heartbeats cannot be read")
    if last is None:
        return Check(False, "no collector has ever answered")
    age = timezone.now() - last
    if age > HEARTBEAT_LIMIT:
        return Check(False, f"no collector has answered for {int(age.total_seconds())} s")
    return Check(True, "answer")
