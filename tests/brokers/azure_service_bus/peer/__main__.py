"""python -m tests.brokers.azure_service_bus.peer AMQP_PORT HTTP_PORT JOURNAL"""

import sys
import threading
from pathlib import Path

from proton.reactor import Container

from tests.brokers.azure_service_bus.peer.administration import serve
from tests.brokers.azure_service_bus.peer.amqp import Peer
from tests.brokers.azure_service_bus.peer.namespace import Namespace

amqp_port, http_port, journal = sys.argv[1:]
namespace, lock = Namespace(Path(journal)), threading.Lock()
serve(int(http_port), namespace, lock)
Container(Peer(f"127.0.0.1:{amqp_port}", namespace, lock)).run()
