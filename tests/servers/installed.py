"""Where `bin/install-brokers` keeps the servers that come from Maven Central."""

import os
from pathlib import Path

__all__ = ["installed"]


def installed(name: str) -> Path:
    """The folder of a server with its version, "kafka-4.0.2"; it need not be there."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    brokers = Path(os.environ.get("EVENTHUB_BROKERS_DIR") or cache / "eventhub" / "brokers")
    return brokers / name
