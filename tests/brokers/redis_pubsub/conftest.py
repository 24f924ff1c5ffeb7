"""The servers of Redis Pub/Sub's tests."""

from collections.abc import Iterator

import pytest

from tests.brokers.redis_pubsub import server as servers
from tests.conftest import require
from tests.servers.certificates import self_signed
from tests.servers.process import free_port


@pytest.fixture(scope="module", params=["given"] if servers.GIVEN else ["valkey", "redis"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[servers.Server]:
    """A running server. Redis speaks TLS too; the embedded Valkey is built without."""
    name = request.param
    if name == "given":
        yield servers.given()
        return
    require(name, servers.missing(name))
    tls_port, options = None, list[str]()
    if name == "redis":
        files = self_signed(tmp_path_factory.mktemp("tls"))
        tls_port = free_port()
        options = [
            "--tls-port", str(tls_port), "--tls-auth-clients", "no",
            "--tls-cert-file", str(files.certificate), "--tls-key-file", str(files.key),
        ]  # fmt: skip
    with servers.running(name, options) as started:
        started.tls_port = tls_port
        yield started


@pytest.fixture
def own_server(server: servers.Server) -> servers.RedisServer:
    """For a test that ends the server or its clients, or changes its settings."""
    if not isinstance(server, servers.RedisServer):
        pytest.skip("the server that EVENTHUB_TEST_REDIS_PUBSUB names is not ours to change")
    return server
