"""Plotly's script, taken from the wheel that is installed and compressed once."""

import gzip
import os
import shutil
from collections.abc import Iterable
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.finders import BaseFinder
from django.core.checks import CheckMessage
from django.core.files.storage import FileSystemStorage

__all__ = ["PlotlyFinder"]

SCRIPT = "vendor/plotly/plotly.min.js"


class PlotlyFinder(BaseFinder):
    """Serves one file of the wheel. WhiteNoise sends `plotly.min.js.gz` (1.4 MB of 4.8) because it
    lies beside it: the folder is in EVENTHUB_DATA_DIR, as the wheel's own may not be writable."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._storage = FileSystemStorage(settings.DATA_DIR / f"plotly-{version('plotly')}")

    def check(self, **kwargs: Any) -> list[CheckMessage]:
        return []

    def list(
        self, ignore_patterns: Iterable[str] | None
    ) -> Iterable[tuple[str, FileSystemStorage]]:
        self._prepare()
        yield SCRIPT, self._storage
        yield f"{SCRIPT}.gz", self._storage

    def find(self, path: str, find_all: bool = False, **kwargs: Any) -> Any:
        if path not in (SCRIPT, f"{SCRIPT}.gz"):
            return []
        self._prepare()
        found = self._storage.path(path)
        return [found] if find_all else found

    def _prepare(self) -> None:
        script = Path(self._storage.path(SCRIPT))
        packed = script.with_name(f"{script.name}.gz")
        if packed.exists():
            return
        script.parent.mkdir(parents=True, exist_ok=True)
        original = files("plotly").joinpath("package_data/plotly.min.js").read_bytes()
        # Several processes may start at once: each writes a file of its own and renames it.
        for target, content in ((script, original), (packed, gzip.compress(original, 9, mtime=0))):
            partial = target.with_name(f".{target.name}.{os.getpid()}")
            partial.write_bytes(content)
            shutil.move(partial, target)
