"""ActiveMQ Classic and ActiveMQ Artemis of the tests' own, each with AMQP, STOMP, MQTT and Jolokia.

Either can be replaced by a running one: `EVENTHUB_TEST_ACTIVEMQ` or `EVENTHUB_TEST_ARTEMIS` is
`host=…;amqp=…;stomp=…;mqtt=…;jolokia=http://…;user=…;password=…`. Such a server is not restarted,
and what needs this folder's users or certificates is left out. Dead letters want the policies of
`classic/activemq.xml` and `artemis/broker.xml` there too (`individual.>`, `individual.#`).
"""

import base64
import json
import os
import shutil
import subprocess
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Literal

from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    load_pem_private_key,
    pkcs12,
)
from cryptography.x509 import load_pem_x509_certificate

from tests.servers.certificates import Certificate, self_signed
from tests.servers.installed import installed
from tests.servers.process import Process, free_port, port_answers

__all__ = [
    "ADMIN",
    "LEAST",
    "WATCHER",
    "WATCHER_PASSWORD",
    "ActiveMQServer",
    "Flavour",
    "missing",
    "missing_libraries",
    "running",
]

Flavour = Literal["classic", "artemis"]

ADMIN: Final = "admin"
"""User and password of somebody who may do everything."""
WATCHER: Final = "watcher"
WATCHER_PASSWORD: Final = "watcher's secret"
"""Of a user who may read and write what tests use, and may not read `secret.>`."""
LEAST: Final = "eventhub"
"""User, password and role of one who may do what the adapter's README asks for, and no more, on
`least.>` instead of `orders.>`."""
_STORE_PASSWORD: Final = "changeit"
_HEAP: Final = ["-Xms64m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]

_HERE: Final = Path(__file__).parent
_FOLDERS: Final = {"classic": "apache-activemq-5.18.3", "artemis": "apache-artemis-2.40.0"}
_VARIABLES: Final = {"classic": "EVENTHUB_TEST_ACTIVEMQ", "artemis": "EVENTHUB_TEST_ARTEMIS"}


def _home(flavour: Flavour) -> Path:
    return installed(_FOLDERS[flavour])


def missing(flavour: Flavour = "classic") -> str | None:
    """Why that server is not here; None when it is."""
    if os.environ.get(_VARIABLES[flavour]):
        return None
    if shutil.which("java") is None:
        return "java was not found (bin/install-brokers installs it)"
    if not _home(flavour).is_dir():
        return f"{_home(flavour)} is not there (bin/install-brokers activemq installs it)"
    return None


def missing_libraries() -> str | None:
    """Why the adapter cannot be loaded; None when it can."""
    away = [name for name in ("proton", "stomp", "paho") if find_spec(name) is None]
    if not away:
        return None
    return f"{', '.join(away)} not installed (pip install -r requirements-activemq.txt)"


class ActiveMQServer:
    """A started broker, or one that runs elsewhere."""

    def __init__(self, flavour: Flavour, folder: Path) -> None:
        self.flavour = flavour
        self.host = "127.0.0.1"
        self.user, self.password = ADMIN, ADMIN
        self.ports = {name: free_port() for name in ("amqp", "amqps", "stomp", "mqtt", "http")}
        self.jolokia_url = f"http://127.0.0.1:{self.ports['http']}/{_JOLOKIA[flavour]}"
        self.title = f"ActiveMQ {flavour.capitalize()} {_FOLDERS[flavour].rpartition('-')[2]}"
        self.certificate: Certificate | None = None
        self._process: Process | None = None
        if told := os.environ.get(_VARIABLES[flavour]):
            self._adopt(dict(part.split("=", 1) for part in told.split(";") if part))
        else:
            self.certificate = self_signed(folder)
            self._process = _MAKERS[flavour](self, folder)

    @property
    def ours(self) -> bool:
        """Whether it may be stopped, and knows the users above."""
        return self._process is not None

    def start(self) -> None:
        if self._process is not None:
            self._process.start(seconds=90)

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop(seconds=30)

    def kill(self) -> None:
        """As after `kill -9`."""
        assert self._process is not None, "this server is not ours to kill"
        self._process.kill()

    def jolokia(self, *requests: dict[str, Any]) -> list[Any]:
        """The values that Jolokia answers to these requests, with the administrator's rights."""
        token = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        request = urllib.request.Request(
            self.jolokia_url,
            data=json.dumps(requests).encode(),
            headers={
                "Authorization": f"Basic {token}",
                "Content-Type": "application/json",
                "Origin": "http://localhost",  # Jolokia's strict checking wants one
            },
        )
        with urllib.request.urlopen(request, timeout=20) as response:
            answers = json.loads(response.read())
        return [answer.get("value") for answer in answers]

    def _adopt(self, told: dict[str, str]) -> None:
        self.host = told.get("host", self.host)
        self.user, self.password = told.get("user", ADMIN), told.get("password", ADMIN)
        for name in ("amqp", "stomp", "mqtt"):
            self.ports[name] = int(told.get(name, "0"))
        self.jolokia_url = told.get("jolokia", "")
        self.title += " (given, not started here)"

    def answers(self) -> bool:
        """Whether everything is up: the connectors, and Jolokia's view of the broker."""
        try:
            [found] = self.jolokia({"type": "search", "mbean": _BROKER_MBEAN[self.flavour]})
        except (OSError, ValueError):
            return False
        return bool(found) and all(port_answers(port) for port in self.ports.values())


def _classic(server: ActiveMQServer, folder: Path) -> Process:
    home = _home("classic")
    names = {
        **server.ports,
        "folder": folder,
        "store": _keystore(server, folder),
        "watcher_password": WATCHER_PASSWORD,
    }
    for name in ("activemq.xml", "jetty.xml"):
        text = (_HERE / "classic" / name).read_text()
        for key, value in names.items():
            text = text.replace(f"@{key}@", str(value))
        (folder / name).write_text(text)
    (folder / "jetty-realm.properties").write_text(
        f"{ADMIN}: {ADMIN}, admin\n{WATCHER}: {WATCHER_PASSWORD}, user\n{LEAST}: {LEAST}, user\n"
    )
    (folder / "log4j2.properties").write_text(_LOG4J)
    command = [
        "java", *_HEAP,
        f"-Dactivemq.home={home}", f"-Dactivemq.base={folder}", f"-Dactivemq.conf={folder}",
        f"-Dactivemq.data={folder / 'data'}", f"-Djava.io.tmpdir={folder}",
        f"-Dlog4j2.configurationFile={folder / 'log4j2.properties'}",
        f"-Djolokia.conf=file:{home / 'conf/jolokia-access.xml'}",
        "-jar", str(home / "bin/activemq.jar"), "start", f"xbean:file:{folder / 'activemq.xml'}",
    ]  # fmt: skip
    return Process(command, log=folder / "output", ready=server.answers, cwd=folder)


def _artemis(server: ActiveMQServer, folder: Path) -> Process:
    instance = folder / "instance"
    subprocess.run(
        [
            str(_home("artemis") / "bin/artemis"), "create", str(instance), "--silent",
            "--user", ADMIN, "--password", ADMIN, "--require-login", "--no-autotune",
            "--host", "127.0.0.1", "--http-port", str(server.ports["http"]),
        ],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    text = (_HERE / "artemis" / "broker.xml").read_text()
    stores = {"store": _keystore(server, folder), "trust": folder / "trust.p12"}
    for key, value in {**server.ports, **stores}.items():
        text = text.replace(f"@{key}@", str(value))
    etc = instance / "etc"
    (etc / "broker.xml").write_text(text)
    with (etc / "artemis-users.properties").open("a") as users:
        users.write(f"\n{WATCHER} = {WATCHER_PASSWORD}\n{LEAST} = {LEAST}\n")
    with (etc / "artemis-roles.properties").open("a") as roles:
        roles.write(f"\nwatchers = {WATCHER}\n{LEAST} = {LEAST}\n")
    profile = etc / "artemis.profile"
    profile.write_text(
        profile.read_text().replace("HAWTIO_ROLES='amq'", f"HAWTIO_ROLES='amq,watchers,{LEAST}'")
    )
    management = (etc / "management.xml").read_text()
    for verb in ("list*", "get*", "is*"):
        management = management.replace(
            f'method="{verb}" roles="amq"', f'method="{verb}" roles="amq,watchers,{LEAST}"'
        )
    (etc / "management.xml").write_text(management)
    options = [
        *_HEAP,
        f"-Djolokia.policyLocation=file:{etc / 'jolokia-access.xml'}",
        "-Dhawtio.realm=activemq", "-Dhawtio.offline=true",
        "-Dhawtio.rolePrincipalClasses="
        "org.apache.activemq.artemis.spi.core.security.jaas.RolePrincipal",
        "--add-opens", "java.base/jdk.internal.misc=ALL-UNNAMED",
    ]  # fmt: skip
    return Process(
        [str(instance / "bin/artemis"), "run"],
        log=folder / "output",
        ready=server.answers,
        env={**os.environ, "JAVA_ARGS": " ".join(options)},
        cwd=folder,
    )


def _keystore(server: ActiveMQServer, folder: Path) -> Path:
    """The server's key, and (the same certificate) whom it trusts as a client."""
    assert server.certificate is not None
    certificate = load_pem_x509_certificate(server.certificate.certificate.read_bytes())
    key: Any = load_pem_private_key(server.certificate.key.read_bytes(), None)
    protected = BestAvailableEncryption(_STORE_PASSWORD.encode())
    store = folder / "broker.p12"
    store.write_bytes(pkcs12.serialize_key_and_certificates(
        b"broker", key, certificate, None, protected
    ))  # fmt: skip
    subprocess.run(
        [
            "keytool", "-importcert", "-noprompt", "-alias", "client", "-storetype", "PKCS12",
            "-file", str(server.certificate.certificate), "-keystore", str(folder / "trust.p12"),
            "-storepass", _STORE_PASSWORD,
        ],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    return store


_JOLOKIA: Final = {"classic": "api/jolokia", "artemis": "console/jolokia"}
_BROKER_MBEAN: Final = {
    "classic": "org.apache.activemq:type=Broker,brokerName=*",
    "artemis": "org.apache.activemq.artemis:broker=*",
}
_MAKERS: Final[dict[str, Callable[[ActiveMQServer, Path], Process]]] = {
    "classic": _classic,
    "artemis": _artemis,
}
_LOG4J: Final = """\
rootLogger.level = WARN
rootLogger.appenderRef.console.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d %p %c: %m%n%throwable{3}
"""


@contextmanager
def running(flavour: Flavour = "classic") -> Iterator[ActiveMQServer]:
    """A broker in a temporary folder of its own, gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix=f"eventhub-{flavour}-"))
    server = ActiveMQServer(flavour, folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
