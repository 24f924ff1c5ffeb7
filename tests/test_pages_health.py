"""healthz and readyz: for load balancers, without signing in."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from tests.pages import sign_in, source

pytestmark = pytest.mark.django_db(databases="__all__")


@pytest.fixture
def with_redis(redis_server: Any, settings: Any) -> None:
    settings.REDIS_URL = redis_server.url


def test_the_process_answers_anyone(client: Client) -> None:
    answer = client.get("/healthz")
    assert answer.status_code == 200
    assert answer.json() == {"ok": True}


@pytest.mark.usefixtures("with_redis")
def test_with_everything_there_it_is_ready(client: Client) -> None:
    source()
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["ready"] is True


@pytest.mark.usefixtures("with_redis")
def test_before_the_first_source_it_is_ready(client: Client) -> None:
    assert client.get("/readyz").status_code == 200


def test_without_redis_it_says_so(client: Client, settings: Any) -> None:
    settings.REDIS_URL = "redis://:geheim@127.0.0.1:1/0"
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["redis"]["ok"] is False
    assert answer.json()["checks"]["database"]["ok"] is True
    assert "geheim" not in answer.content.decode()


@pytest.mark.usefixtures("with_redis")
def test_without_a_heartbeat_it_says_since_when(client: Client) -> None:
    source(heartbeat=timezone.now() - timedelta(minutes=2))
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "no collector has answered for 12" in answer.json()["checks"]["collectors"]["words"]


@pytest.mark.usefixtures("with_redis")
def test_one_failed_source_does_not_make_all_of_it_unready(client: Client) -> None:
    source("good")
    source("bad", state="failed", heartbeat=timezone.now() - timedelta(hours=1))
    assert client.get("/readyz").status_code == 200


def test_an_unknown_address_has_a_page_in_the_same_look(client: Client) -> None:
    answer = sign_in(client).get("/no/such/page/")
    assert answer.status_code == 404
    assert "There is nothing at this address" in answer.content.decode()


def test_a_stranger_at_an_unknown_address_learns_nothing(client: Client) -> None:
    source("secret-name", state="failed")
    page = client.get("/no/such/page/").content.decode()
    assert "sources up" not in page
    assert "secret-name" not in page
