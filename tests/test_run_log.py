"""The one log of `bin/run`."""

import io
import os

import pytest
from launcher.log import Log


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_file_gets_no_colours() -> None:
    output = io.StringIO()
    Log(lambda: None, output).write("web", "it broke", trouble=True)
    assert output.getvalue() == "web        it broke\n"


def test_a_terminal_gets_a_colour_for_each_label(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    output = Terminal()
    log = Log(lambda: None, output)
    for label in ("web", "demo", "web"):
        log.write(label, "said")
    first, second, third = output.getvalue().splitlines()
    assert first == third
    assert first.startswith("\x1b[36mweb       \x1b[0m ")
    assert second.startswith("\x1b[35mdemo")


def test_a_terminal_without_colours_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    output = Terminal()
    Log(lambda: None, output).write("web", "said")
    assert output.getvalue() == "web        said\n"


def test_a_log_that_nobody_reads_is_reported_and_does_no_harm() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    told: list[str] = []
    output = os.fdopen(writing, "w")
    log = Log(lambda: told.append("abandoned"), output)
    log.write("web", "said")
    assert told == ["abandoned"]
    with pytest.raises(BrokenPipeError):
        output.close()
