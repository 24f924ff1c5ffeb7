"""Without its libraries the adapter says what to install, and nothing else stops."""

import subprocess
import sys

from tests.brokers.activemq import server as servers
from tests.conftest import require

_WITHOUT = """
import sys
for name in ("proton", "cproton", "stomp", "paho"):
    sys.modules[name] = None
from eventhub.brokers.registry import adapter, kinds
from eventhub.brokers.errors import PermanentFailure
assert "activemq" in kinds()
try:
    adapter("activemq")
except PermanentFailure as problem:
    print(problem.way_out)
"""


def test_the_libraries_are_there() -> None:
    require("ActiveMQ's clients", servers.missing_libraries())


def test_an_adapter_without_its_libraries_says_what_to_install() -> None:
    told = subprocess.run(
        [sys.executable, "-c", _WITHOUT], capture_output=True, text=True, timeout=60, check=True
    )
    assert "pip install -r requirements-activemq.txt" in told.stdout
