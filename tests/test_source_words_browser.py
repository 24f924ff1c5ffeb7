"""What the Sources page says of a source that cannot work: which thing is wrong, and a way out.

One installation runs all of them. The words are recorded with each test (`--junitxml`).
"""

import re
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from typing import Any, NamedTuple

import pytest

from tests.conftest import require
from tests.hub import Hub, NewSource, running_hub
from tests.servers.expired import expired_port
from tests.servers.process import wait_until
from tests.servers.side_by_side import side_by_side
from tests.source_troubles import CREDENTIAL, DELETED, EXPIRED, KINDS, SECRET, UNKNOWN, Troubles

pytest.importorskip("playwright")
from playwright.sync_api import Browser, Page


class Words(NamedTuple):
    """Regular expressions for parts of what is shown."""

    reason: str
    way_out: str


SHOWN = {
    ("RabbitMQ", CREDENTIAL): Words(r"refused the user 'guest'", r"rabbitmqctl authenticate_user"),
    ("RabbitMQ", UNKNOWN): Words(r"no exchange 'nothing'", r"Choose among the exchanges"),
    ("RabbitMQ", DELETED): Words(r"no queue 'work'", r"Choose among the queues"),
    ("RabbitMQ", EXPIRED): Words(r"broker's certificate (has )?expired", r"[Rr]enew"),
    ("Apache Kafka", CREDENTIAL): Words(r"password of user 'watcher'", r"Enter both again"),
    ("Apache Kafka", UNKNOWN): Words(r"no topic 'nothing'", r"Check the spelling, or create it"),
    ("Apache Kafka", DELETED): Words(r"no topic 'orders'", r"Check the spelling, or create it"),
    ("Apache Kafka", EXPIRED): Words(r"broker's certificate has expired", r"Renew it"),
    ("Amazon SQS (moto)", CREDENTIAL): Words(
        r"secret does not belong to the access key", r"Enter the secret again"
    ),
    ("Amazon SQS (moto)", UNKNOWN): Words(r"no queue 'nothing'", r"Check the name and the region"),
    ("Amazon SQS (moto)", DELETED): Words(
        r"no queue 'orders-for-eventhub'", r"Check the name and the region"
    ),
    ("Amazon SQS (moto)", EXPIRED): Words(r"endpoint's certificate has expired", r"Renew it"),
    ("ActiveMQ Classic", CREDENTIAL): Words(
        r"refused the user 'watcher' with this password", r"Enter both again.*users\.properties"
    ),
    ("ActiveMQ Classic", EXPIRED): Words(r"broker's certificate has expired", r"Renew it"),
    ("ActiveMQ Artemis", CREDENTIAL): Words(
        r"refused the user 'watcher' with this password", r"artemis-users\.properties"
    ),
    ("ActiveMQ Artemis", UNKNOWN): Words(r"no topic 'closed\.nothing'", r"Create it, or let"),
    ("ActiveMQ Artemis", DELETED): Words(r"no topic 'closed\.orders'", r"Create it, or let"),
    ("ActiveMQ Artemis", EXPIRED): Words(r"broker's certificate has expired", r"Renew it"),
    ("Redis Pub/Sub", CREDENTIAL): Words(r"refused the .*password", r"Enter .*again"),
    ("Redis Pub/Sub", EXPIRED): Words(r"server's certificate has expired", r"Renew it"),
    ("Azure Service Bus (stand-in)", CREDENTIAL): Words(
        r"key 'RootManageSharedAccessKey'.*refused the credentials.*invalid signature",
        r"Check the key's name and the key",
    ),
    ("Azure Service Bus (stand-in)", UNKNOWN): Words(r"no topic 'nothing'", r"Choose among"),
    ("Azure Service Bus (stand-in)", DELETED): Words(r"no topic 'orders'", r"Choose among"),
    ("Azure Service Bus (stand-in)", EXPIRED): Words(r"certificate of .* has expired", r"Renew it"),
}
CANNOT_BE = {
    ("ActiveMQ Classic", UNKNOWN): "it makes a topic or queue for whoever subscribes to it",
    ("ActiveMQ Classic", DELETED): "the subscription stays, and a topic made again feeds it",
    ("Redis Pub/Sub", UNKNOWN): "a channel is there for whoever subscribes to it",
    ("Redis Pub/Sub", DELETED): "a channel cannot be deleted",
}
"""Why a kind has no such trouble."""

pytestmark = pytest.mark.slow


class Scene(NamedTuple):
    hub: Hub
    page: Page
    ids: dict[tuple[str, str], int]

    def told(self, source: int) -> tuple[str, str]:
        """State and reason, as the collector wrote them; empty before it did."""
        found = self.hub.installation.rows(
            f"SELECT state, reason FROM sources_collectorstatus WHERE source_id = {source}"
        )
        return (str(found[0][0]), str(found[0][1])) if found else ("", "")


@pytest.fixture(scope="module")
def troubles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Troubles]]:
    """At every kind of broker that is here; the brokers start side by side."""
    folder = tmp_path_factory.mktemp("expired")
    here = {name: kind for name, kind in KINDS.items() if kind.missing() is None}
    with (
        expired_port(folder) as expired,
        side_by_side(
            {name: partial(kind.troubles, expired) for name, kind in here.items()}
        ) as made,
    ):
        yield made


@pytest.fixture(scope="module")
def scene(
    tmp_path_factory: pytest.TempPathFactory,
    redis_server: Any,
    browser: Browser,
    troubles: dict[str, Troubles],
) -> Iterator[Scene]:
    """All sources are running, and what those of DELETED read has been deleted."""
    with running_hub(tmp_path_factory.mktemp("words"), redis_server.url) as hub:
        cases = {
            (name, trouble): NewSource(slug(name, trouble), KINDS[name].kind, config)
            for name, made in troubles.items()
            for trouble, config in made.configs.items()
        }
        by_name = hub.add(list(cases.values()))
        ids = {case: by_name[source.name] for case, source in cases.items()}
        with hub.signed_in(browser) as page:
            made = Scene(hub, page, ids)
            for (name, trouble), source in ids.items():
                if trouble == DELETED:
                    until(lambda id=source: made.told(id)[0] == "up", f"{name} is observed")
                    troubles[name].delete()
            yield made


def slug(name: str, trouble: str) -> str:
    return re.sub(r"[^a-z]+", "-", f"{name} {trouble}".lower()).strip("-")


def until(holds: Callable[..., object], what: str) -> None:
    wait_until(holds, seconds=60, what=what)


def test_every_kind_has_every_trouble_or_a_reason_why_it_cannot() -> None:
    every = set(product(KINDS, (CREDENTIAL, UNKNOWN, DELETED, EXPIRED)))
    assert {*SHOWN, *CANNOT_BE} == every
    assert not SHOWN.keys() & CANNOT_BE.keys()


def test_classic_feeds_the_subscription_to_a_topic_that_was_deleted_and_made_again(
    scene: Scene, troubles: dict[str, Troubles]
) -> None:
    name = "ActiveMQ Classic"
    require(name, KINDS[name].missing())
    source = scene.ids[name, DELETED]
    troubles[name].send()
    query = f"SELECT payload FROM events WHERE source_id = {source}"
    until(lambda: scene.hub.installation.rows(query) == [(b"made again",)], "it is observed")
    assert scene.told(source) == ("up", "")


@pytest.mark.parametrize(("name", "trouble"), SHOWN, ids=lambda text: text)
def test_the_sources_page_names_what_is_wrong_and_a_way_out(
    name: str, trouble: str, scene: Scene, record_property: Callable[[str, object], None]
) -> None:
    require(name, KINDS[name].missing())
    expected = SHOWN[name, trouble]
    source = scene.ids[name, trouble]
    until(
        lambda: re.search(expected.reason, scene.told(source)[1]),
        f"{expected.reason!r}, last {scene.told(source)}",
    )
    state, reason = scene.told(source)
    page = scene.page
    page.goto(f"/sources/of/{slug(name, trouble)}/")
    status = page.locator("#source-status")
    shown = status.locator("dt:text-is('Reason') + dd").inner_text()
    way_out = status.locator("dt:text-is('Way out') + dd").inner_text()
    record_property("words", f"{state} | {reason} | {way_out}")
    assert state == "failed"
    assert status.locator(".st").first.inner_text().startswith("failed")
    assert shown.startswith(reason)
    assert re.search(expected.way_out, way_out), way_out
    assert "Traceback" not in reason
    assert SECRET not in page.content()
