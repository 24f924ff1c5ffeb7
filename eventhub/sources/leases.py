"""Several hosts share the sources: each source, or share of one, is collected by the host that
holds its lease.

All times are the database's, so the hosts' clocks need not agree. A lease is the polite part: it
spreads the work, and says who takes over. That two never write the same share is held by the
store, which refuses the older writer (`eventhub.store.contract.Resume.epoch`).
"""

import math
import secrets
import socket
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import timedelta
from fcntl import LOCK_EX, LOCK_NB, flock
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Now

from eventhub.sources.models import CollectorHost, SourceLease

__all__ = ["LEASE", "RENEW", "Holding", "Leases", "host_name"]

LEASE: Final = 15.0
"""Seconds for which a lease is held without being renewed."""
RENEW: Final = 5.0
"""Seconds between two renewals: a host that dies is followed within 20."""


@contextmanager
def host_name(folder: Path) -> Iterator[str]:
    """The name under which a supervisor holds leases, while the block lasts.

    It stays the same for a data folder, so that a supervisor that was killed goes on with its own
    leases when it is started again. A second one beside it gets another name.
    """
    name = f"{socket.gethostname()[:60]}:{sha256(str(folder).encode()).hexdigest()[:8]}"
    with (folder / "collect.lock").open("w") as lock:
        try:
            flock(lock, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            name = f"{name}:{secrets.token_hex(4)}"
        yield name


class Holding(NamedTuple):
    """What one lease is for, and one process collects: a source, or one share of it."""

    source_id: int
    share: int = 0

    def __str__(self) -> str:
        return f"source {self.source_id}, share {self.share}"


class Leases:
    """The leases of one host.

    `held` is what this host may collect. A host that cannot reach the database holds on while it
    is alone; another host, if there was one, takes over when the lease has expired, so then `held`
    becomes empty by this host's own clock.
    """

    def __init__(self, name: str) -> None:
        self.held: set[Holding] = set()
        self._name = name
        self._renewed: float | None = None
        self._alone = True

    @property
    def due(self) -> bool:
        return self._renewed is None or time.monotonic() - self._renewed >= RENEW

    def lapse(self) -> None:
        """Call it when the database could not be reached."""
        away = self._renewed is None or time.monotonic() - self._renewed >= LEASE
        if away and not self._alone:
            self.held = set()

    def keep(self, wanted: Collection[Holding], running: Collection[Holding]) -> None:
        """Renew what is held, take what is free up to a fair part, leave what is beyond it.

        `wanted` is what anybody should collect, `running` what this host has processes for: their
        leases are given up only when the processes are gone. Raises
        django.db.Error.
        """
        began = time.monotonic()
        # Who did not see the database a moment ago cannot say who has failed to renew there.
        may_judge = self._renewed is not None and began - self._renewed < 2 * RENEW
        with transaction.atomic():
            most = self._fair_part(len(wanted))
            mine = self._renew(wanted)
            for holding in sorted(mine, reverse=True)[: max(0, len(mine) - most)]:
                mine.discard(holding)
                if holding not in running:
                    self._release(holding)
            free = sorted(set(wanted) - self._leased(may_judge))
            for holding in free[: max(0, most - len(mine))]:
                if self._take(holding):
                    mine.add(holding)
        self.held = mine
        self._renewed = began

    def leave(self) -> None:
        """Give everything up, so that others need not wait for it to expire."""
        SourceLease.objects.filter(holder=self._name).delete()
        CollectorHost.objects.filter(name=self._name).delete()

    def _fair_part(self, count: int) -> int:
        CollectorHost.objects.update_or_create(name=self._name, defaults={"seen": Now()})
        CollectorHost.objects.filter(seen__lt=Now() - timedelta(seconds=LEASE)).delete()
        hosts = CollectorHost.objects.count()
        self._alone = hosts == 1
        return math.ceil(count / hosts)

    def _renew(self, wanted: Collection[Holding]) -> set[Holding]:
        own = SourceLease.objects.filter(holder=self._name)
        for holding in _holdings(own).difference(wanted):
            self._release(holding)
        own.update(expires=_end())
        return _holdings(own)

    def _leased(self, may_judge: bool) -> set[Holding]:
        leases = SourceLease.objects.all()
        return _holdings(leases.filter(expires__gte=Now()) if may_judge else leases)

    def _take(self, holding: Holding) -> bool:
        taken = SourceLease.objects.filter(**holding._asdict(), expires__lt=Now())
        if taken.update(holder=self._name, expires=_end()):
            return True
        _, made = SourceLease.objects.get_or_create(
            **holding._asdict(), defaults={"holder": self._name, "expires": _end()}
        )
        return made

    def _release(self, holding: Holding) -> None:
        SourceLease.objects.filter(**holding._asdict(), holder=self._name).delete()


def _holdings(leases: QuerySet[SourceLease]) -> set[Holding]:
    return {Holding(*row) for row in leases.values_list("source_id", "share")}


def _end() -> CombinedExpression:
    return Now() + timedelta(seconds=LEASE)
