"""Several at once, interrupted ones, a full disk, and a proxy in between."""

import hashlib
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import PIPE

import pytest

from provisioner.errors import VmnetError
from provisioner.host.download.fetch import fetching
from provisioner.host.download.limits import Limits
from provisioner.image import source as sources
from provisioner.image.digest import Digest
from provisioner.image.source import Remote
from tests.host_tools.downloads import fetch
from tests.host_tools.http_server import Asked, Script, Talk, head, redirecting, serving, whole

pytestmark = pytest.mark.usefixtures("trusted")

HOUSE = Path(__file__).parents[2]
BODY = bytes(range(256)) * 2000
SHA256 = Digest("sha256", hashlib.sha256(BODY).hexdigest())
QUICK = Limits(connect_s=5, idle_s=10, total_s=30)
FETCH = """\
import sys
from pathlib import Path
from provisioner.image import source as sources
from tests.host_tools.downloads import fetch
url, into, pin = sys.argv[1:]
say = lambda *words: print(*words, flush=True)
got = fetch(sources.parse(url, pin), Path(into), tell=say, progress=lambda done, _: say("at", done))
say("fresh" if got.fresh else "found")
"""


@contextmanager
def fetcher(url: str, into: Path) -> Iterator["subprocess.Popen[str]"]:
    """Another process that downloads; what it says are its lines."""
    argv = [sys.executable, "-c", FETCH, url, str(into), str(SHA256)]
    with subprocess.Popen(argv, cwd=HOUSE, stdout=PIPE, stderr=PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def line_with(words: str, process: "subprocess.Popen[str]") -> str:
    assert process.stdout
    for line in process.stdout:
        if words in line:
            return line
    pytest.fail(f"{words!r} was never said: {process.communicate()}")


def halfway(go_on: threading.Event) -> Script:
    """Send one half, and the other when the test says so."""

    def script(talk: Talk) -> None:
        talk.send(head(Content_Length=len(BODY), ETag='"1"'), BODY[:300_000])
        while not go_on.wait(0.1) and not talk.stopped.is_set():
            pass
        talk.send(BODY[300_000:])

    return script


def test_four_that_want_the_same_file_fetch_it_once(tmp_path: Path) -> None:
    go_on = threading.Event()
    with serving(halfway(go_on)) as server, ExitStack() as stack:
        first = stack.enter_context(fetcher(server.url(), tmp_path / "disk"))
        line_with("at 300000", first)
        others = [stack.enter_context(fetcher(server.url(), tmp_path / "disk")) for _ in range(3)]
        waiting = [line_with("waiting for", other) for other in others]
        go_on.set()
        said = [process.communicate(timeout=30)[0] for process in (first, *others)]
    assert len(server.asked) == 1
    assert [text.splitlines()[-1] for text in said] == ["fresh", "found", "found", "found"]
    assert all(f"`vmnet image pull disk.qcow2` (pid {first.pid}, since " in one for one in waiting)
    assert [path.name for path in tmp_path.iterdir()] == ["disk"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL, signal.SIGTERM])
def test_an_interrupted_download_is_gone_on_with(tmp_path: Path, number: signal.Signals) -> None:
    go_on = threading.Event()
    with serving(halfway(go_on)) as server:
        with fetcher(server.url(), tmp_path / "disk") as process:
            line_with("at 300000", process)
            process.send_signal(number)
            process.communicate(timeout=10)
            assert process.returncode != 0
        go_on.set()
        assert (tmp_path / "disk.part").stat().st_size == 300_000
        server.script = whole(BODY)
        got = fetch(Remote((sources.address(server.url()),), SHA256), tmp_path / "disk")
    assert server.asked[-1].headers["range"] == "bytes=300000-"
    assert got.digests == (SHA256,)
    assert {path.name for path in tmp_path.iterdir()} == {"disk"}


def test_who_was_killed_before_the_last_step_asks_nobody_again(tmp_path: Path) -> None:
    with serving(lambda talk: talk.send(head(Content_Length=len(BODY), ETag='"1"'), BODY[:-1])) as (
        server
    ):
        source = Remote((sources.address(server.url()),), SHA256)
        with pytest.raises(VmnetError):
            fetch(source, tmp_path / "disk", limits=Limits(tries=1))
        with (tmp_path / "disk.part").open("ab") as part:
            part.write(BODY[-1:])
        got = fetch(source, tmp_path / "disk")
    assert got.digests == (SHA256,)
    assert len(server.asked) == 1


def test_the_lock_is_held_until_the_caller_has_done_something_with_the_file(
    tmp_path: Path,
) -> None:
    with serving(whole(BODY)) as server:
        source = Remote((sources.address(server.url()),), SHA256)
        with ExitStack() as stack:
            with fetching(source, tmp_path / "disk") as got:
                other = stack.enter_context(fetcher(server.url(), tmp_path / "disk"))
                line_with("waiting for", other)
                assert got.path.read_bytes() == BODY
            assert other.communicate(timeout=30)[0] == "found\n"


def test_who_has_waited_looks_where_the_first_has_put_it(tmp_path: Path) -> None:
    (tmp_path / "store").write_bytes(BODY)
    with serving(whole(BODY)) as server:
        source = Remote((sources.address(server.url()),), SHA256)
        with fetching(source, tmp_path / "disk", there=lambda: tmp_path / "store") as got:
            assert (got.path, got.digests, got.fresh) == (tmp_path / "store", (SHA256,), False)
    assert server.asked == []


def test_a_disk_that_fills_up_is_told_and_given_back(tmp_path: Path) -> None:
    def growing(talk: Talk) -> None:
        talk.send(head(Transfer_Encoding="chunked"))
        while not talk.stopped.is_set():
            talk.send("10000\r\n", bytes(65536), "\r\n")

    small = tmp_path / "small"
    small.mkdir(mode=0o700)
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", small], check=True, timeout=10
    )
    try:
        with serving(growing) as server:
            source = Remote((sources.address(server.url()),), SHA256)
            with pytest.raises(VmnetError) as caught:
                fetch(source, small / "disk", limits=QUICK)
        assert caught.value.what == f"the disk of {small} is full: 0 MiB are free"
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", small], check=True, timeout=10)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    source = Remote((sources.address("https://images.example/disk"),), SHA256)
    with pytest.raises(VmnetError) as caught:
        fetch(source, tmp_path / "file" / "disk", limits=QUICK)
    assert caught.value.what == f"cannot write {tmp_path}/file: File exists"


def proxy(hosts: dict[str, int]) -> Script:
    """A proxy that knows where these hosts are, and relays."""

    def script(talk: Talk) -> None:
        method, target, _ = talk.asked.line.split(" ")
        assert method == "CONNECT"
        with socket.create_connection(("127.0.0.1", hosts[target.partition(":")[0]])) as there:
            talk.send("HTTP/1.1 200 Connected\r\n\r\n")
            ends = {talk.connection: there, there: talk.connection}
            while True:
                for end in select.select(list(ends), [], [], 30)[0]:
                    data = end.recv(65536)
                    if not data:
                        return
                    ends[end].sendall(data)

    return script


def through_proxy(
    monkeypatch: pytest.MonkeyPatch, script: Script, into: Path
) -> tuple[list[Asked], list[Asked]]:
    """Download from images.example, which only the proxy can find; give what both were asked."""
    with (
        serving(script) as server,
        serving(proxy({"images.example": server.port}), tls=False) as between,
    ):
        monkeypatch.setenv("https_proxy", f"http://me:s3cret@127.0.0.1:{between.port}")
        try:
            url = sources.address(f"https://images.example:{server.port}/disk")
            fetch(Remote((url,), SHA256), into, limits=QUICK)
        finally:
            monkeypatch.delenv("https_proxy")
    return between.asked, server.asked


def test_the_proxy_of_the_environment_finds_the_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    between, server = through_proxy(monkeypatch, whole(BODY), tmp_path / "disk")
    assert between[0].line.startswith("CONNECT images.example:")
    assert between[0].headers["proxy-authorization"] == "Basic bWU6czNjcmV0"
    assert "proxy-authorization" not in server[0].headers


@pytest.mark.parametrize("inside", ["169.254.169.254", "localhost", "10.0.0.1", "[::1]"])
def test_a_proxy_is_not_asked_for_our_own_networks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: str
) -> None:
    with pytest.raises(VmnetError) as caught:
        through_proxy(monkeypatch, redirecting(f"https://{inside}/"), tmp_path / "disk")
    assert "is where a redirect led" in caught.value.what
    assert "s3cret" not in caught.value.what


def test_no_proxy_is_asked_for_hosts_that_need_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving(whole(BODY)) as server:
        source = Remote((sources.address(server.url()),), SHA256)
        assert fetch(source, tmp_path / "disk", limits=QUICK).fresh


@pytest.mark.parametrize("setting", ["http://me:s3cret@127.0.0.1:1", "socks5://127.0.0.1:1"])
def test_a_proxy_that_does_not_work_is_told_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    monkeypatch.setenv("https_proxy", setting)
    source = Remote((sources.address("https://images.example/disk"),), SHA256)
    with pytest.raises(VmnetError) as caught:
        fetch(source, tmp_path / "disk", limits=QUICK)
    assert "the proxy" in caught.value.what
    assert "s3cret" not in caught.value.what
