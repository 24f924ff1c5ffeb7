"""Several Redis servers of the tests' own: behind Sentinels, or as a cluster."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import redis

from collectors.redis_pubsub.config import RedisPubSubConfig
from tests.brokers.redis_pubsub import server as servers
from tests.servers.process import Process, free_port, port_answers, wait_until

__all__ = [
    "MASTER", "PASSWORD", "SENTINEL_PASSWORD", "SENTINEL_USER", "Cluster", "Guarded", "cluster",
    "guarded",
]  # fmt: skip

MASTER: Final = "shop"
PASSWORD: Final = "hunter2-master"
SENTINEL_USER: Final = "eventhub"
SENTINEL_PASSWORD: Final = "hunter2-sentinel"
"""Of a user with the least rights, those that the README names."""
_SLOTS: Final = 16_384
_NODES: Final = 3


class Guarded:
    """A master with a replica, and Sentinels that make the replica the master when it is gone."""

    def __init__(
        self, folder: Path, master: servers.RedisServer, replica: servers.RedisServer
    ) -> None:
        self.master, self.replica = master, replica
        self.sentinels = [_sentinel(folder / str(n), master.port) for n in range(3)]

    def config(self, **more: object) -> RedisPubSubConfig:
        return RedisPubSubConfig.model_validate({
            "deployment": "sentinel",
            "sentinels": [f"127.0.0.1:{port}" for port, _ in self.sentinels],
            "master_name": MASTER,
            "sentinel_user": SENTINEL_USER,
            "sentinel_password": SENTINEL_PASSWORD,
            "password": PASSWORD,
            **more,
        })  # fmt: skip

    def start(self) -> None:
        for _, process in self.sentinels:
            process.start()
        wait_until(self._agreed, seconds=20, what="the Sentinels know each other and the replica")

    def stop(self) -> None:
        for _, process in self.sentinels:
            process.kill()

    def named(self) -> int:
        """The port of the master, as the last Sentinel says."""
        with self._ask() as client:
            told = client.sentinel_get_master_addr_by_name(MASTER)
        assert isinstance(told, tuple)
        return int(told[1])

    def _agreed(self) -> bool:
        try:
            with self._ask() as client:
                facts = client.sentinel_master(MASTER)
        except redis.RedisError:
            return False
        return int(facts["num-other-sentinels"]) == 2 and int(facts["num-slaves"]) == 1

    def _ask(self) -> redis.Redis:
        return redis.Redis(port=self.sentinels[-1][0], socket_timeout=5)


@contextmanager
def guarded() -> Iterator[Guarded]:
    """Fast to notice: a master that is silent for half a second is gone."""
    options = [
        "--requirepass",
        PASSWORD,
        "--masterauth",
        PASSWORD,
        "--repl-diskless-sync-delay",
        "0",
    ]
    folder = Path(tempfile.mkdtemp(prefix="eventhub-sentinel-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        master = stack.enter_context(servers.running("redis", options))
        follows = ["--replicaof", f"127.0.0.1 {master.port}"]
        replica = stack.enter_context(servers.running("redis", [*options, *follows]))
        for each in (master, replica):
            each.url = f"redis://:{PASSWORD}@127.0.0.1:{each.port}/0"
        estate = Guarded(folder, master, replica)
        stack.callback(estate.stop)
        estate.start()
        yield estate


def _sentinel(folder: Path, master: int) -> tuple[int, Process]:
    folder.mkdir()
    port = free_port()
    settings = folder / "sentinel.conf"
    settings.write_text(f"""\
port {port}
bind 127.0.0.1
dir {folder}
user {SENTINEL_USER} on >{SENTINEL_PASSWORD} -@all +ping +client|setname \
+sentinel|get-master-addr-by-name
sentinel monitor {MASTER} 127.0.0.1 {master} 2
sentinel auth-pass {MASTER} {PASSWORD}
sentinel down-after-milliseconds {MASTER} 500
sentinel failover-timeout {MASTER} 3000
""")
    command = [str(servers.programs()["redis"]), str(settings), "--sentinel"]
    log, ready = folder / "log", lambda: port_answers(port)
    return port, Process(command, log=log, ready=ready)


class Cluster:
    """Nodes that serve a third of the slots each, without replicas."""

    def __init__(self, nodes: list[servers.RedisServer]) -> None:
        self.nodes = nodes

    def config(self, **more: object) -> RedisPubSubConfig:
        first = f"127.0.0.1:{self.nodes[0].port}"
        where = {"deployment": "cluster", "nodes": [first]}
        return RedisPubSubConfig.model_validate({**where, **more})

    def client(self) -> redis.RedisCluster:
        return redis.RedisCluster(host="127.0.0.1", port=self.nodes[0].port, socket_timeout=20)

    def owner(self, key: str) -> servers.RedisServer:
        """The node on which this key lives."""
        with self.client() as client:
            node = client.get_node_from_key(key)
        assert node is not None
        return next(each for each in self.nodes if each.port == node.port)

    def names(self, stem: str) -> list[str]:
        """A name on each node."""
        found: dict[int, str] = {}
        number = 0
        while len(found) < len(self.nodes):
            name = f"{stem}.{number}"
            found.setdefault(self.owner(name).port, name)
            number += 1
        return sorted(found.values())

    def join(self) -> None:
        """By hand, because `redis-cli --cluster create` takes the nodes' cluster ports as given:
        10,000 above theirs, which a free port need not leave room for."""
        shares = [round(n * _SLOTS / len(self.nodes)) for n in range(len(self.nodes) + 1)]
        for number, node in enumerate(self.nodes):
            with node.client() as client:
                client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
                client.execute_command(
                    "CLUSTER", "ADDSLOTSRANGE", shares[number], shares[number + 1] - 1
                )
                for other in self.nodes[:number]:
                    client.execute_command(
                        "CLUSTER", "MEET", "127.0.0.1", other.port, other.cluster_port
                    )
        wait_until(self.whole, seconds=20, what="every node says that the cluster is whole")

    def whole(self) -> bool:
        for node in self.nodes:
            with node.client() as client:
                facts = client.execute_command("CLUSTER INFO")
                known = client.execute_command("CLUSTER", "SLOTS")
            if facts["cluster_state"] != "ok" or len(known) != len(self.nodes):
                return False
        return True


@contextmanager
def cluster() -> Iterator[Cluster]:
    with ExitStack() as stack:
        nodes = []
        for _ in range(_NODES):
            port = free_port()
            node = stack.enter_context(
                servers.running("redis", [
                    "--cluster-enabled", "yes", "--cluster-port", str(port),
                    "--cluster-node-timeout", "1000", "--cluster-config-file", "nodes.conf",
                ])
            )  # fmt: skip
            node.cluster_port = port
            nodes.append(node)
        estate = Cluster(nodes)
        estate.join()
        yield estate
