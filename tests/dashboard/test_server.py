"""The process: it says in one line what cannot work, answers with security headers, and ends when it is told to."""

import os
import signal
import socket
import subprocess
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from dashboard import server
from dashboard.door import COOKIE
from dashboard.gate import LINK
from dashboard.headers import HEADERS
from service.audit.actor import Actor
from service.errors import ConfigurationError, StoreSchemaError, StoreUnavailableError
from service.store.engine import Store
from tests.support.dashboards import command, door, environment, running, signed_in
from tests.support.dashboards import server as server_of

UPGRADE = {
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def refused(store_url: str, *, port: int = 0) -> str:
    """The one line that a dashboard says which cannot start."""
    ended = subprocess.run(
        command(store_url, port=port),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment(),
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    (line,) = ended.stderr.splitlines()
    return line


def test_a_port_in_use_is_one_line_and_status_2(sqlite_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = refused(sqlite_url, port=port)
    assert line == (
        f"tollkeeper: the dashboard cannot listen on 127.0.0.1:{port}: Address already in use; "
        "choose another port with --dashboard-port"
    )


def test_a_store_that_does_not_exist_is_one_line_and_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "missing.db"
    assert "does not exist; start Tollkeeper with `tollkeeper up`" in refused(f"sqlite:///{path}")
    assert not path.exists()


def test_an_empty_store_says_how_to_mend_it(empty_store: Store) -> None:
    with empty_store.write():
        pass
    with pytest.raises(StoreSchemaError, match=r"is empty or of another version.*run: tollkeeper migrate"):
        server.open_store(empty_store.url.render_as_string(hide_password=False))


def test_a_store_that_is_no_database_cannot_be_opened(tmp_path: Path) -> None:
    path = tmp_path / "text.db"
    path.write_text("not a database, but long enough to have a header of a hundred bytes" * 10)
    with pytest.raises(StoreSchemaError):
        server.open_store(f"sqlite:///{path}")


def test_a_server_that_is_away_is_said() -> None:
    with pytest.raises(StoreUnavailableError):
        server.open_store("postgresql://nobody@127.0.0.1:1/nothing")
    with pytest.raises(ConfigurationError):
        server.open_store("oracle://nobody@127.0.0.1/nothing")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_status_0(sqlite_url: str, number: int) -> None:
    with running(sqlite_url) as dashboard:
        assert httpx.get(f"{dashboard.url}/_stcore/health").text == "ok"
        assert dashboard.stop(number) == 0


def test_every_answer_has_the_security_headers_and_hides_the_server(sqlite_url: str) -> None:
    with running(sqlite_url) as dashboard:
        for path in ("/", "/requests", "/_stcore/health", "/_stcore/host-config", "/no-such-thing"):
            answer = httpx.get(dashboard.url + path, cookies=dashboard.cookies)
            assert {name.decode(): value.decode() for name, value in HEADERS}.items() <= dict(
                answer.headers
            ).items()
            assert "server" not in answer.headers
        config = httpx.get(f"{dashboard.url}/_stcore/host-config", cookies=dashboard.cookies).json()
        assert config["allowedOrigins"] == []


def test_behind_a_proxy_it_answers_under_its_public_name(sqlite_url: str) -> None:
    """What a proxy with TLS passes on to the loopback address: its own name, and the origin of the page."""
    site = {"host": "costs.example", "origin": "https://costs.example"}
    cookies = {COOKIE: signed_in(sqlite_url)}
    with closing(Store(sqlite_url)) as store, store.write() as tx:
        made = door(store).accounts.create(tx, name="Ada", role="viewer", by=Actor.system("test"))
    with server_of(sqlite_url, TOLLKEEPER_ALERTS_DASHBOARD_URL="https://costs.example") as (_process, url):
        link = f"{url}{LINK}{made.link.token}"
        answer = httpx.post(link, headers=site, data={"password": "correct horse battery"})
        assert (answer.status_code, "Secure" in answer.headers["set-cookie"]) == (303, True)
        for headers, status in ((site, 101), ({**site, "host": "evil.example"}, 403)):
            stream = httpx.get(f"{url}/_stcore/stream", headers={**UPGRADE, **headers}, cookies=cookies)
            assert stream.status_code == status
        assert httpx.get(url, headers={"host": "evil.example"}).status_code == 421
        assert httpx.get(url, headers={"host": "costs.example"}, cookies=cookies).status_code == 200


def test_another_host_name_gets_no_session(sqlite_url: str) -> None:
    """DNS rebinding: a page of another name that resolves to 127.0.0.1 must not read the books."""
    with running(sqlite_url) as dashboard:
        for host, cookies in (("evil.example", dashboard.cookies), (None, {})):
            headers = UPGRADE if host is None else {**UPGRADE, "host": host}
            answer = httpx.get(f"{dashboard.url}/_stcore/stream", headers=headers, cookies=cookies)
            assert answer.status_code == 403
        page = httpx.get(dashboard.url, headers={"host": "evil.example"}, cookies=dashboard.cookies)
        assert page.status_code == 421


def test_it_steps_back_where_cpu_is_short(sqlite_url: str) -> None:
    with running(sqlite_url) as found:
        ours = os.getpriority(os.PRIO_PROCESS, 0)
        threads = Path(f"/proc/{found.process.pid}/task").iterdir()
        shown = {os.getpriority(os.PRIO_PROCESS, int(thread.name)) for thread in threads}
    assert shown == {min(19, ours + server.NICENESS)}
