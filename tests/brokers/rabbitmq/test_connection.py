"""Connecting to a real RabbitMQ: TLS, permissions, the management API, a broker that hangs."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from collectors.rabbitmq import RabbitMQ, RabbitMQConfig
from eventhub.brokers.contract import Message, Step, Verdict
from eventhub.brokers.errors import NotConnected
from tests.brokers.rabbitmq.server import RabbitMQServer, own
from tests.brokers.rabbitmq.test_contract import RabbitMQRig
from tests.contracts.broker import collect, opened, publish, until


@pytest.fixture
def rig(rabbitmq: RabbitMQServer) -> Iterator[RabbitMQRig]:
    made = RabbitMQRig(rabbitmq)
    yield made
    made.remove()


def last(config: RabbitMQConfig) -> Step:
    started = time.monotonic()
    steps = list(RabbitMQ().check_connection(config))
    assert time.monotonic() - started < 5
    return steps[-1]


def test_messages_pass_through_tls(rig: RabbitMQRig) -> None:
    server = own(rig.server)
    rig.config = rig.config_with(
        host="localhost",
        port=server.tls_port,
        tls=True,
        ca_file=str(server.authority.certificate),
    )
    big = bytes(range(256)) * 4_096
    with opened(rig) as consumer:
        publish(rig, Message(big), Message(b"small"))
        assert [delivery.payload for delivery in collect(consumer, 2)] == [big, b"small"]
    steps = list(RabbitMQ().check_connection(rig.config))
    assert {step.verdict for step in steps} == {Verdict.OK}
    assert "TLS" in {step.name for step in steps}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "not trusted"),
        ({"host": "127.0.0.1", "ca_file": "AUTHORITY"}, "not trusted"),
        ({"ca_file": "/no/such/file.pem"}, "no file '/no/such/file.pem'"),
        ({"ca_file": __file__}, "cannot be used"),
        ({"tls": False}, "speaks TLS only"),
    ],
)
def test_what_is_wrong_with_tls_is_said(
    rig: RabbitMQRig, changes: dict[str, object], words: str
) -> None:
    server = own(rig.server)
    if changes.get("ca_file") == "AUTHORITY":
        changes = {**changes, "ca_file": str(server.authority.certificate)}
    base = {"host": "localhost", "port": server.tls_port, "tls": True}
    step = last(rig.config_with(**{**base, **changes}))
    assert step.verdict is Verdict.FAILED
    assert words in step.words


def test_a_silent_server_is_given_up_in_time(rig: RabbitMQRig) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        for tls in (False, True):
            step = last(rig.config_with(host="127.0.0.1", port=port, tls=tls))
            assert (step.verdict, step.name) == (Verdict.FAILED, "TLS" if tls else "connect")


@pytest.mark.parametrize(
    ("allowed", "words"),
    [
        ({"write": ".*", "read": ".*"}, "declare the queue"),
        ({"configure": r"^eventhub\.tap\.", "read": ".*"}, "declare the queue"),
        ({"configure": r"^eventhub\.tap\.", "write": ".*", "read": r"^eventhub"}, "bind to"),
    ],
)
def test_a_missing_permission_is_named_with_the_command_that_gives_it(
    rig: RabbitMQRig, allowed: dict[str, str], words: str
) -> None:
    rig.server.add_user("poor", "poor's secret", **allowed)
    step = last(rig.config_with(user="poor", password="poor's secret"))
    assert (step.name, step.verdict) == ("permissions", Verdict.FAILED)
    assert words in step.words
    assert "rabbitmqctl set_permissions -p / poor" in step.way_out


def test_a_user_without_the_virtual_host_is_told_the_command(rig: RabbitMQRig) -> None:
    rig.server.api("PUT", "/users/stranger", {"password": "stranger's secret", "tags": ""})
    step = last(rig.config_with(user="stranger", password="stranger's secret"))
    assert (step.name, step.verdict) == ("virtual host", Verdict.FAILED)
    assert "rabbitmqctl set_permissions" in step.way_out


@pytest.mark.parametrize(
    "changes", [{"management_url": "http://127.0.0.1:1"}, {"user": "plain", "password": "secret"}]
)
def test_without_the_management_api_there_is_a_warning_and_a_command(
    rig: RabbitMQRig, changes: dict[str, str]
) -> None:
    ours = rf"^(eventhub\.tap\.|{rig.destination})"
    rig.server.add_user("plain", "secret", configure=r"^eventhub\.tap\.", write=ours, read=ours)
    rig.config = rig.config_with(**changes)
    step = last(rig.config)
    assert (step.name, step.verdict) == ("management", Verdict.WARNING)
    assert "rabbitmqctl set_user_tags" in step.way_out
    with pytest.raises(NotConnected, match="management API"):
        rig.adapter.discover(rig.config)


def test_a_broker_that_hangs_is_noticed(rig: RabbitMQRig) -> None:
    """Stopped, it neither answers nor closes: only time tells."""
    with opened(rig) as consumer:
        consumer.receive(1, 0.1)
        with hanging(rig.server):
            started = time.monotonic()
            with pytest.raises(NotConnected):
                until(lambda: consumer.receive(1, 0.5) is None, "the consumer notices")
            assert time.monotonic() - started < 12


def test_a_broker_that_hangs_during_the_connection_test_is_given_up_in_time(
    rig: RabbitMQRig,
) -> None:
    steps = RabbitMQ().check_connection(rig.config_with())
    while next(steps).name != "virtual host":
        pass
    with hanging(rig.server):
        started = time.monotonic()
        [failed] = steps
        assert time.monotonic() - started < 3
    assert (failed.name, failed.verdict) == ("permissions", Verdict.FAILED)
    assert "did not" in failed.words


def test_a_store_that_is_away_for_long_does_not_cost_the_connection(
    rig: RabbitMQRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`keep_alive` answers heartbeats: without it the broker hangs up within 3 of them."""
    monkeypatch.setattr("collectors.rabbitmq.connection.HEARTBEAT", 2)
    with opened(rig) as consumer:
        rig.flood([b"1"])
        deadline = time.monotonic() + 7
        while time.monotonic() < deadline:
            consumer.keep_alive()
            time.sleep(0.2)
        assert [delivery.payload for delivery in collect(consumer, 1)] == [b"1"]


def test_settings_that_contradict_each_other_are_refused() -> None:
    for wrong in (
        {"ca_file": "/etc/ca.pem"},
        {"tls": True, "client_key_file": "/etc/key.pem"},
        {"management_url": "rabbit:15672"},
        {"exchanges": ["x" * 256]},
        {"port": 0},
    ):
        with pytest.raises(ValidationError):
            RabbitMQConfig.model_validate(wrong)


def test_names_are_trimmed_and_taken_once() -> None:
    config = RabbitMQConfig(exchanges=[" orders", "orders ", ""], password=SecretStr("s"))
    assert config.exchanges == ["orders"]
    assert config.management() == "http://localhost:15672"
    assert config.address() == "localhost:5672/%2F"


@contextmanager
def hanging(server: RabbitMQServer) -> Iterator[None]:
    """The server accepts connections, but does nothing."""
    processes = _processes(own(server).pid)
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            os.kill(process, signal.SIGCONT)


def _processes(group: int) -> list[int]:
    """Every process of the server: the node is a child of its start script."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(ProcessLookupError):
            if os.getpgid(int(entry.name)) == group:
                found.append(int(entry.name))
    return found
