"""Several hosts share the sources: each source is collected by the host that holds its lease.

All times are the database's, so the hosts' clocks need not agree. A lease is the polite part: it
spreads the work, and says who takes over. That two never write the same source is held by the
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
from typing import Final

from django.db import transaction
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Now

from eventhub.sources.models import CollectorHost, SourceLease

__all__ = ["LEASE", "RENEW", "Leases", "host_name"]

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


class Leases:
    """The leases of one host.

    `held` are the sources that this host may collect. A host that cannot reach the database holds
    on while it is alone; another host, if there was one, takes over when the lease has expired,
    so then `held` becomes empty by this host's own clock.
    """

    def __init__(self, name: str) -> None:
        self.held: set[int] = set()
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

    def keep(self, wanted: Collection[int], running: Collection[int]) -> None:
        """Renew what is held, take what is free up to a fair share, leave what is beyond it.

        `wanted` are the sources that anybody should collect, `running` those that this host has
        processes for: their leases are given up only when the processes are gone. Raises
        django.db.Error.
        """
        began = time.monotonic()
        # Who did not see the database a moment ago cannot say who has failed to renew there.
        may_judge = self._renewed is not None and began - self._renewed < 2 * RENEW
        with transaction.atomic():
            share = self._fair_share(len(wanted))
            mine = self._renew(wanted)
            for source_id in sorted(mine, reverse=True)[: max(0, len(mine) - share)]:
                mine.discard(source_id)
                if source_id not in running:
                    self._release(source_id)
            free = sorted(set(wanted) - self._leased(may_judge))
            for source_id in free[: max(0, share - len(mine))]:
                if self._take(source_id):
                    mine.add(source_id)
        self.held = mine
        self._renewed = began

    def leave(self) -> None:
        """Give everything up, so that others need not wait for it to expire."""
        SourceLease.objects.filter(holder=self._name).delete()
        CollectorHost.objects.filter(name=self._name).delete()

    def _fair_share(self, count: int) -> int:
        CollectorHost.objects.update_or_create(name=self._name, defaults={"seen": Now()})
        CollectorHost.objects.filter(seen__lt=Now() - timedelta(seconds=LEASE)).delete()
        hosts = CollectorHost.objects.count()
        self._alone = hosts == 1
        return math.ceil(count / hosts)

    def _renew(self, wanted: Collection[int]) -> set[int]:
        own = SourceLease.objects.filter(holder=self._name)
        own.exclude(source__in=wanted).delete()
        own.update(expires=_end())
        return set(own.values_list("source_id", flat=True))

    def _leased(self, may_judge: bool) -> set[int]:
        leases = SourceLease.objects.all()
        if may_judge:
            leases = leases.filter(expires__gte=Now())
        return set(leases.values_list("source_id", flat=True))

    def _take(self, source_id: int) -> bool:
        taken = SourceLease.objects.filter(source=source_id, expires__lt=Now())
        if taken.update(holder=self._name, expires=_end()):
            return True
        _, made = SourceLease.objects.get_or_create(
            source_id=source_id, defaults={"holder": self._name, "expires": _end()}
        )
        return made

    def _release(self, source_id: int) -> None:
        SourceLease.objects.filter(source=source_id, holder=self._name).delete()


def _end() -> CombinedExpression:
    return Now() + timedelta(seconds=LEASE)
