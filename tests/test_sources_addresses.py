"""Where a broker may be: checked on the addresses that a name resolves to."""

import socket
import threading
import time

import pytest

from eventhub.brokers.addresses import check_address
from eventhub.brokers.errors import NotConnected, PermanentFailure


def test_an_allowed_name_gives_its_addresses() -> None:
    assert "127.0.0.1" in check_address("localhost", 5672)


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "169.254.0.7",
        "0xA9FEA9FE",
        "2852039166",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "fd00:ec2::254",
        "fe80::1",
        "100.100.100.200",
        "168.63.129.16",
    ],
)
def test_metadata_and_link_local_addresses_are_denied_however_they_are_written(host: str) -> None:
    with pytest.raises(PermanentFailure, match="metadata"):
        check_address(host, 80)


def test_a_denied_network_is_denied_even_when_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENTHUB_BROKER_DENY", "10.0.0.0/8, 127.0.0.0/8")
    monkeypatch.setenv("EVENTHUB_BROKER_ALLOW", "127.0.0.0/8")
    with pytest.raises(PermanentFailure, match="may not have here") as failure:
        check_address("127.0.0.1", 5672)
    assert "EVENTHUB_BROKER_DENY" in failure.value.way_out


def test_with_an_allow_list_only_that_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENTHUB_BROKER_ALLOW", "127.0.0.1/32")
    assert check_address("127.0.0.1", 5672) == ["127.0.0.1"]
    with pytest.raises(PermanentFailure, match="not among the addresses allowed"):
        check_address("10.1.2.3", 5672)


def test_a_list_that_cannot_be_read_allows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENTHUB_BROKER_DENY", "10.0.0.0/33")
    with pytest.raises(PermanentFailure, match="EVENTHUB_BROKER_DENY"):
        check_address("127.0.0.1", 5672)


def test_an_unknown_name_may_come_back() -> None:
    with pytest.raises(NotConnected, match="cannot be resolved"):
        check_address("no-such-broker.invalid", 5672)


@pytest.mark.parametrize("host", ["a" * 70 + ".example", "bad\x00host", "ü" * 80])
def test_what_is_no_address_says_so(host: str) -> None:
    with pytest.raises((PermanentFailure, NotConnected)):
        check_address(host, 5672)


def test_a_name_server_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    hangs = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: hangs.wait(20))
    began = time.monotonic()
    with pytest.raises(NotConnected, match="No name server says within"):
        check_address("slow.example", 5672, seconds=0.1)
    hangs.set()
    assert time.monotonic() - began < 10
