"""What `bin/run` says, in one line, when it cannot start."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from launcher.data_folder import DataFolder
from launcher.packages import Packages
from launcher.ports import is_free, need_port
from launcher.problem import Problem

from tests.servers.process import free_port

ROOT = Path(__file__).resolve().parent.parent


def run(
    *arguments: str, data: Path, stdin: str | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "bin" / "run"), *arguments],
        env={**os.environ, "EVENTHUB_DATA_DIR": str(data), **environment},
        stdin=subprocess.DEVNULL if stdin is None else None,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_taken_port_names_who_has_it_and_offers_another(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        done = run("--port", str(port), data=tmp_path)
    assert done.returncode == 1
    name = Path(f"/proc/{os.getpid()}/comm")
    by = f" by {name.read_text().strip()}" if name.exists() else ""
    start = f"Port {port} is taken{by}"
    assert done.stderr.startswith(start)
    assert f"(process {os.getpid()})" in done.stderr
    offered = int(done.stderr.split("--port ")[1])
    assert offered != port
    assert is_free(offered)


def test_a_port_taken_on_every_address_is_taken() -> None:
    with socket.socket() as listener:
        listener.bind(("0.0.0.0", 0))
        listener.listen()
        with pytest.raises(Problem, match="is taken"):
            need_port(listener.getsockname()[1])


@pytest.mark.parametrize("text", ["0", "65536", "-1", "80a", "٣", ""])
def test_a_port_that_is_none_is_refused(text: str, tmp_path: Path) -> None:
    done = run(f"--port={text}", data=tmp_path)
    assert done.returncode == 2
    assert "is not a port: a number from 1 to 65535" in done.stderr


def test_a_data_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run(data=tmp_path / "file" / "data")
    assert (done.returncode, done.stderr) == (
        1,
        f"The data folder {tmp_path}/file/data cannot be written (Not a directory). Give another"
        " one with EVENTHUB_DATA_DIR.\n",
    )


def test_a_second_run_on_the_same_folder_is_told_where_the_first_is(tmp_path: Path) -> None:
    DataFolder(tmp_path).lock("http://127.0.0.1:8765")
    done = run("--port", str(free_port()), data=tmp_path)
    assert done.returncode == 1
    assert done.stderr == (
        f"EventHub is already running on {tmp_path}: open http://127.0.0.1:8765 (process"
        f" {os.getpid()}). For a second one, set EVENTHUB_DATA_DIR to another folder.\n"
    )


def test_the_data_folder_is_closed_to_others(tmp_path: Path) -> None:
    DataFolder(tmp_path / "data")
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


def test_no_network_while_installing_is_said(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text(f"nothing==1 --hash=sha256:{'0' * 64}\n")
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from pathlib import Path; from launcher.packages import Packages\n"
            f"Packages(Path({str(tmp_path)!r}), print).install('requirements.txt')",
        ],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "PYTHONPATH": str(ROOT / "bin"),
            "PIP_INDEX_URL": f"http://127.0.0.1:{free_port()}/simple",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert "launcher.problem.Problem: No network: the packages cannot be fetched." in done.stderr
    assert not (tmp_path / ".venv" / "requirements.txt.sha256").exists()


def test_a_python_without_venv_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "requirements.txt").write_text("")
    # As on Debian, where the module is a package of its own.
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    with pytest.raises(
        Problem, match=r"Python's ensurepip module is missing\. .*python3\.\d+-venv"
    ):
        Packages(tmp_path, print).install("requirements.txt")


def test_reset_without_a_yes_deletes_nothing(tmp_path: Path) -> None:
    (tmp_path / "events.sqlite3").write_text("events")
    for answer in ("no\n", "y\n", "\n", ""):
        done = run("--reset", "--port", str(free_port()), data=tmp_path, stdin=answer)
        assert (done.returncode, done.stderr) == (1, "Nothing was deleted.\n")
    assert (tmp_path / "events.sqlite3").read_text() == "events"


def test_clearing_deletes_what_eventhub_made_and_nothing_else(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    made = ("eventhub.sqlite3", "events.sqlite3-wal", "secret_key", "redis/redis.rdb")
    for name in (*made, "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    folder.clear()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lock", "notes.txt"]


def test_reset_leaves_a_database_server_alone(tmp_path: Path) -> None:
    url = "postgresql://nobody@127.0.0.1:1/none"
    done = run(
        "--reset", "--port", str(free_port()), data=tmp_path, stdin="yes\n", DATABASE_URL=url
    )
    assert done.returncode == 1
    assert "--reset deletes files" in done.stderr
