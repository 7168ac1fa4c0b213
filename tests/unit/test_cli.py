"""The command line: what it prints, and how it ends."""

import logging
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog

from chatkeep import Settings, __version__, load_settings
from chatkeep.cli import main
from chatkeep.cli.serve import listen
from chatkeep.errors import SettingsError
from support.ports import refusing_port
from support.valkey import ValkeyServer

SECRET = "sk-very-secret-4711"

type Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Run a command in this process; returns its status and what it printed."""
    root = logging.getLogger()
    before = root.handlers, root.level

    def start(*arguments: str, **environ: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["chatkeep", *arguments])
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as caught:
            main()
        status = caught.value.code or 0
        assert isinstance(status, int)
        return status, *capsys.readouterr()

    yield start
    root.handlers, root.level = before
    structlog.reset_defaults()


def process(*arguments: str, **environ: str) -> tuple[int, str, str]:
    """Run a command as a user does; takes seconds."""
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-m", "chatkeep", *arguments],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def assert_one_line(result: tuple[int, str, str], *parts: str) -> None:
    """A command ended with status 2 and one line on standard error that has all parts."""
    status, _, stderr = result
    assert status == 2, stderr
    assert stderr.startswith("chatkeep: ")
    assert stderr.count("\n") == 1
    assert stderr.endswith("\n")
    assert not [part for part in parts if part not in stderr]


# --- as processes -------------------------------------------------------------------------------


def test_help_as_a_process() -> None:
    """`python -m chatkeep --help` lists the commands, each with a line."""
    status, stdout, stderr = process("--help")
    assert (status, stderr) == (0, "")
    assert stdout.startswith("Usage: chatkeep ")
    lines = [" ".join(line.split()) for line in stdout.splitlines()]
    for start in ("serve Start the server.", "check Print", "migrate ", "model Fetch"):
        assert any(line.startswith(start) for line in lines)


def test_a_busy_port_is_one_line() -> None:
    """Somebody listens there already: field, place, reason and remedy, no traceback."""
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = str(busy.getsockname()[1])
        result = process("serve", "--port", port, CHATKEEP_PROVIDER="tour")
    assert_one_line(result, "server.port", port, "in use", "--port or PORT")


def test_a_data_directory_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    """A file stands in its place."""
    (tmp_path / "file").write_text("")
    place = str(tmp_path / "file" / "data")
    result = process("serve", "--port", "0", CHATKEEP_DATA_DIR=place, CHATKEEP_PROVIDER="tour")
    assert_one_line(result, "data_dir", "CHATKEEP_DATA_DIR")


def test_check_with_a_dead_provider_as_a_process(tmp_path: Path) -> None:
    """The settings without secrets, then what answers and what does not; the status is 1."""
    with refusing_port() as port:
        status, stdout, stderr = process(
            "check",
            OPENAI_BASE_URL=f"http://user:{SECRET}@127.0.0.1:{port}/v1",
            OPENAI_API_KEY=SECRET,
            DATABASE_URL=f"sqlite:///{tmp_path}/{SECRET}.db",
            CHATKEEP_TEST_X="1",
        )
    assert (status, stderr) == (1, "")
    assert SECRET not in stdout
    assert "models.openai_api_key = ********" in stdout
    assert "database.url = ********" in stdout
    assert f"@127.0.0.1:{port}/v1" in stdout
    assert "ok     database" in stdout
    assert "ok     model tour" in stdout
    assert "FAILED model compatible: The model provider cannot be reached" in stdout
    assert "OPENAI_API_KEY" in stdout.rpartition("FAILED")[2]


# --- in this process ----------------------------------------------------------------------------


def test_the_version(run: Run) -> None:
    """`--version` says what is installed."""
    status, stdout, _ = run("--version")
    assert (status, stdout) == (0, f"chatkeep, version {__version__}\n")


@pytest.mark.parametrize("command", ["serve", "check"])
def test_a_settings_file_that_cannot_be_read_is_one_line(
    run: Run, tmp_path: Path, command: str
) -> None:
    """Missing, a directory, or no TOML."""
    assert_one_line(run(command, "--config", "missing.toml"), "missing.toml", "no such")
    assert_one_line(run(command, "--config", str(tmp_path)), "Is a directory")
    (tmp_path / "bad.toml").write_text("x =")
    assert_one_line(run(command, "--config", "bad.toml"), "bad.toml: not valid TOML")


@pytest.mark.parametrize("command", ["serve", "check"])
@pytest.mark.parametrize(
    ("environ", "parts"),
    [
        ({"PORT": "abc"}, ["server.port (environment variable PORT)"]),
        ({"HOST": "0.0.0.0"}, ["server.host", "set HOST=127.0.0.1"]),
        ({"CHATKEEP_PROVIDER": "openai"}, ["needs a key; set OPENAI_API_KEY"]),
        ({"OPENROUTER_API_KEY": SECRET, "GEMINI_API_KEY": SECRET}, ["CHATKEEP_PROVIDER"]),
        ({"DATABASE_URL": "mysql://h/d", "CHATKEEP_PROVIDER": "tour"}, ["mysql"]),
        ({"REDIS_URL": f"amqp://u:{SECRET}@h", "CHATKEEP_PROVIDER": "tour"}, ["relay.url", "amqp"]),
        ({"OLLAMA_HOST": "box:abc"}, ["OLLAMA_HOST"]),
        ({"OPENAI_BASE_URL": "http://[::1"}, ["models.openai_base_url"]),
    ],
)
def test_a_wrong_setting_is_one_line(
    run: Run, command: str, environ: dict[str, str], parts: list[str]
) -> None:
    """Every command ends alike, before anything is started, and shows no secret."""
    arguments = (
        [command, "--port", "0"] if command == "serve" and "PORT" not in environ else [command]
    )
    result = run(*arguments, **environ)
    assert_one_line(result, *parts)
    assert SECRET not in result[1] + result[2]


def test_an_option_names_itself(run: Run) -> None:
    """A wrong option is told from a wrong variable."""
    assert_one_line(run("serve", "--port", "70000"), "server.port (command line)")
    status, _, stderr = run("serve", "--port", "abc")
    assert status == 2
    assert "Traceback" not in stderr


def test_check_passes_when_all_answers(run: Run) -> None:
    """Without a provider to ask, database and tour are fine: the status is 0."""
    status, stdout, stderr = run("check", CHATKEEP_PROVIDER="tour")
    assert (status, stderr) == (0, "")
    assert "server.port = 8000" in stdout
    assert "server.cors_origins = (none)" in stdout
    assert "models.name = (not set)" in stdout
    assert stdout.endswith("ok     database\nok     model tour\n")


def test_check_asks_the_relay(run: Run, valkey: ValkeyServer) -> None:
    """A relay that is named has to answer; what is said of it shows no secret."""
    status, stdout, _ = run("check", CHATKEEP_PROVIDER="tour", REDIS_URL=valkey.url())
    assert status == 0
    assert "relay.url = ********" in stdout
    assert "ok     relay" in stdout
    with refusing_port() as port:
        gone = f"redis://u:{SECRET}@127.0.0.1:{port}"
        status, stdout, _ = run("check", CHATKEEP_PROVIDER="tour", REDIS_URL=gone)
    assert status == 1
    assert "FAILED relay: Other instances are not woken" in stdout
    assert SECRET not in stdout


def settings(host: str, port: int) -> Settings:
    """Settings for a place to listen."""
    return load_settings(environ={}, overrides={"server.host": host, "server.port": port})


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "[::1]"])
def test_a_place_to_listen(host: str) -> None:
    """Names and addresses, brackets or not; port 0 is any."""
    if ":" in host and not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    with listen(settings(host, 0)) as listener:
        assert listener.getsockname()[1] > 0
        assert listener.family == (socket.AF_INET6 if ":" in host else listener.family)


def test_a_place_that_is_taken(run: Run) -> None:
    """The socket that could not be bound is closed again."""
    del run
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        with pytest.raises(SettingsError, match=f"cannot listen on 127.0.0.1 port {port}"):
            listen(settings("127.0.0.1", port))
