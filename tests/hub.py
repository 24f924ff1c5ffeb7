"""A running EventHub of a test module's own: its pages, its collectors, a browser signed in."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.installation import Installation
from tests.servers.process import Process, free_port, port_answers

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = ["Hub", "NewSource", "running_hub"]


class NewSource(NamedTuple):
    name: str
    kind: str
    config: Mapping[str, Any]


class Hub:
    def __init__(self, installation: Installation, address: str) -> None:
        self.installation = installation
        self.address = address

    def add(self, sources: Sequence[NewSource]) -> dict[str, int]:
        """Add running sources with one command; their ids by name."""
        ids: dict[str, int] = self.installation.ask(
            f"from eventhub.sources.models import Source\n"
            f"from eventhub.brokers.registry import adapter\n"
            f"answer = {{}}\n"
            f"for name, kind, config in {[(s.name, s.kind, dict(s.config)) for s in sources]!r}:\n"
            f"    source = Source(name=name, kind=kind, desired='running')\n"
            f"    source.configure(adapter(kind).config.model_validate(config))\n"
            f"    source.save()\n"
            f"    answer[name] = source.pk"
        )
        return ids

    @contextmanager
    def signed_in(self, browser: "Browser") -> "Iterator[Page]":
        """A page of somebody who has come in by a link."""
        context = browser.new_context(
            base_url=self.address, viewport={"width": 1440, "height": 900}
        )
        page = context.new_page()
        page.goto(self.installation.manage("signin", "--base-url", self.address).split()[-1])
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"{self.address}/")
        yield page
        context.close()


@contextmanager
def running_hub(folder: Path, redis_url: str) -> Iterator[Hub]:
    """Pages and collectors with their files in `folder`."""
    installation = Installation(folder, redis_url)
    port = free_port()
    web = Process(
        [*installation.python, "-m", "daphne", "-p", str(port), "eventhub.asgi:application"],
        log=folder / "web.log",
        ready=lambda: port_answers(port),
        env=installation.environment,
        cwd=installation.root,
    )
    web.start()
    collect = installation.collect()
    try:
        yield Hub(installation, f"http://127.0.0.1:{port}")
    finally:
        collect.stop()
        web.stop()
