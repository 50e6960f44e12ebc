"""The container files: valid, without default passwords, hardened, and every service's command runs on PostgreSQL.

`compose-spec.json` is the JSON Schema of the Compose specification, Apache 2.0, as check-jsonschema 0.39 carries it.
"""

import fnmatch
import json
import re
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import jsonschema
import psycopg
import pytest
import yaml

from tests.support.compose import COMPOSE_FILE, ROOT, Native, UnsetError, dockerfile, image_environment, load
from tests.support.stores import Postgres
from tests.telemetry.exposition import Scrape, parse
from tests.telemetry.receiver import Receiver, attributes

REQUIRED = ("TOLLKEEPER_DB_PASSWORD", "TOLLKEEPER_SECRET_KEY", "TOLLKEEPER_ADMIN_KEY")
VARIABLES = {name: secrets.token_hex(32) for name in REQUIRED}
OURS = ("migrate", "relay", "keeper", "dashboard")
PATIENCE_S = 120.0
HELLO = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Say hello"}], "max_tokens": 1}
SERVICES: dict[str, dict[str, Any]] = load(VARIABLES)["services"]


def test_the_file_is_what_the_specification_allows() -> None:
    schema = json.loads((ROOT / "tests/support/compose-spec.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    assert [error.message for error in validator.iter_errors(load(VARIABLES))] == []
    assert [error.message for error in validator.iter_errors({"services": {"a": {"comand": "x"}}})] != []


@pytest.mark.parametrize("name", REQUIRED)
def test_nothing_starts_without_a_secret_of_one_s_own(name: str) -> None:
    for left_out in ({}, {name: ""}):
        given = {key: value for key, value in VARIABLES.items() if key != name} | left_out
        with pytest.raises(UnsetError, match=rf"^{name}: set it in \.env to a random value"):
            load(given)


def test_no_secret_stands_in_the_file() -> None:
    document = yaml.safe_load(COMPOSE_FILE.read_text())
    for service in document["services"].values():
        for name, value in service.get("environment", {}).items():
            if re.search("PASSWORD|KEY|SECRET", name):
                assert re.fullmatch(r"\$\{\w+:[?-][^}]*\}", value), name


def test_each_service_gets_only_the_secrets_it_needs() -> None:
    known = {value: name for name, value in VARIABLES.items()}
    got = {
        name: {known[value] for value in service.get("environment", {}).values() if value in known}
        for name, service in SERVICES.items()
    }
    database, root, admin = REQUIRED
    assert got == {
        "postgres": {database},
        "migrate": {database},
        "relay": {database, root, admin},
        "keeper": {database, root},
        "dashboard": {database, root},
        "collector": set(),
    }


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_locked_in(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert int(service["user"].partition(":")[0]) > 0
    assert re.fullmatch(r"[a-z/-]+:\d+(\.\d+)+(-[a-z]+)?", service["image"])
    assert "privileged" not in service
    for port in service.get("ports", ()):
        assert port.startswith("127.0.0.1:")
    for mount in service.get("tmpfs", ()):
        assert {"noexec", "nosuid", "nodev"} < set(mount.partition(":")[2].split(","))


def test_the_database_is_reached_from_inside_only() -> None:
    document = load(VARIABLES)
    assert SERVICES["postgres"]["networks"] == ["store"]
    assert document["networks"]["store"]["internal"] is True
    assert "ports" not in SERVICES["postgres"]


def test_nothing_of_ours_starts_before_the_store_is_migrated() -> None:
    assert SERVICES["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    for name in ("relay", "keeper", "dashboard"):
        assert SERVICES[name]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}
        assert SERVICES[name]["healthcheck"]["test"]
    assert SERVICES["relay"]["volumes"] == SERVICES["keeper"]["volumes"] == ["relay-data:/var/lib/tollkeeper"]
    assert SERVICES["migrate"]["restart"] == "no"


def test_a_relay_has_time_to_finish() -> None:
    assert int(SERVICES["relay"]["stop_grace_period"].removesuffix("s")) > 30 + 30 + 5


def test_the_collector_listens_where_the_relay_sends() -> None:
    config = yaml.safe_load(load(VARIABLES)["configs"]["collector"]["content"])
    port = config["receivers"]["otlp"]["protocols"]["http"]["endpoint"].rpartition(":")[2]
    endpoint = urlsplit(SERVICES["relay"]["environment"]["TOLLKEEPER_TELEMETRY_OTLP_ENDPOINT"])
    assert (endpoint.hostname, str(endpoint.port)) == ("collector", port)
    for pipeline in config["service"]["pipelines"].values():
        for kind in ("receivers", "processors", "exporters"):
            assert set(pipeline[kind]) <= set(config[kind])
    assert set(config["service"]["pipelines"]) == {"traces", "metrics"}


# The image


def test_bases_are_pinned_and_the_last_word_is_not_root() -> None:
    bases = [text.split()[0] for name, text in dockerfile() if name == "FROM"]
    assert all(re.fullmatch(r"python:\d+\.\d+\.\d+-slim-bookworm", base) for base in bases)
    assert len(set(bases)) == 1
    users = [text for name, text in dockerfile() if name == "USER"]
    assert users == [SERVICES["relay"]["user"]]


def test_every_dependency_is_installed_by_its_hash() -> None:
    installs = [
        command
        for name, text in dockerfile()
        if name == "RUN"
        for command in text.split("&&")
        if "pip install" in command
    ]
    assert len(installs) == 3
    for command in installs:
        words = shlex.split(command)
        assert "--require-hashes" in words or {"--no-deps", "--no-index"} < set(words), command
    for locked in ("runtime.txt", "build.txt"):
        text = (ROOT / "requirements" / locked).read_text()
        assert len(re.findall(r"^[\w\[\].-]+==\S+ \\$", text, re.MULTILINE)) <= text.count("--hash=sha256:")


def sources() -> list[str]:
    """What the Dockerfile copies from the repository."""
    copies = [shlex.split(text) for name, text in dockerfile() if name == "COPY"]
    return [source for words in copies if not words[0].startswith("--") for source in words[:-1]]


def test_only_what_is_copied_enters_the_build() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert rules[0] == "*"
    allowed = {rule[1:] for rule in rules if rule.startswith("!")}
    assert {source.split("/")[0] for source in sources()} == allowed
    ignored = [rule for rule in rules[1:] if not rule.startswith("!")]
    assert any(fnmatch.fnmatch("service/__pycache__", rule) for rule in ignored)


def test_what_is_copied_makes_the_whole_program(tmp_path: Path) -> None:
    for source in sources():
        target = tmp_path / source
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(ROOT / source, target)
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "wheels")],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        timeout=120,
    )
    (wheel,) = (tmp_path / "wheels").glob("*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())
    ours = {
        str(path.relative_to(ROOT))
        for top in ("service", "dashboard", "migrations")
        for path in (ROOT / top).rglob("*.py")
    }
    assert ours <= inside
    assert SERVICES["relay"]["image"] == f"tollkeeper:{wheel.name.split('-')[1]}"


# The services, natively


class Stack:
    """The services of the file on this machine."""

    def __init__(self, native: Native, folder: Path, *, relay: str, dashboard: str) -> None:
        self.native = native
        self.relay = relay
        self.dashboard = dashboard
        self._folder = folder
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def log(self, service: str) -> Path:
        return self._folder / f"{service}.log"

    def start(self, service: str) -> None:
        self.running[service] = self.native.start(service, log=self.log(service))

    def execute(self, service: str, *command: str) -> str:
        """What `docker compose exec SERVICE tollkeeper …` prints."""
        log = self._folder / f"exec-{len(list(self._folder.iterdir()))}.log"
        process = self.native.start(service, *command, log=log)
        assert process.wait(timeout=PATIENCE_S) == 0, log.read_text()
        return log.read_text()

    def await_health(self, service: str) -> None:
        self.until(lambda: self.native.healthy(service, log=self.log(f"{service}-health")), service)

    def until(self, condition: Callable[[], bool], service: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            process = self.running[service]
            assert process.poll() is None, self.log(service).read_text()
            assert time.monotonic() < deadline, self.log(service).read_text()
            time.sleep(0.2)

    def stop(self, service: str) -> int:
        process = self.running.pop(service)
        process.send_signal(signal.SIGTERM)
        return process.wait(timeout=PATIENCE_S)

    def kill(self) -> None:
        """End what a failed test has left."""
        for process in self.running.values():
            process.kill()
            process.wait()


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return str(probe.getsockname()[1])


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as opened:
        yield opened


@pytest.fixture
def stack(postgres: Postgres, receiver: Receiver, tmp_path: Path) -> Iterator[Stack]:
    url = postgres.create(migrated=False)
    parts = psycopg.conninfo.conninfo_to_dict(url)
    with psycopg.connect(url, autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = 'tollkeeper'").fetchone():
            connection.execute("CREATE ROLE tollkeeper LOGIN")
        connection.execute(f'ALTER DATABASE "{parts["dbname"]}" OWNER TO tollkeeper')
    ports = {"4000": free_port(), "8501": free_port()}
    document = load(VARIABLES)
    for name in OURS:
        document["services"][name]["environment"] |= {
            "TOLLKEEPER_PORT": ports["4000"],
            "TOLLKEEPER_DASHBOARD_PORT": ports["8501"],
        }
    volume = tmp_path / "volume"
    volume.mkdir(mode=0o700)
    database = parts["dbname"]
    at_home = "host=postgres user=tollkeeper dbname=tollkeeper"
    addresses = {
        "tollkeeper@postgres:5432/tollkeeper": f"tollkeeper@/{database}?host={{postgres}}",
        at_home: f"host={{postgres}} user=tollkeeper dbname={database}",
        "http://collector:4318": receiver.endpoint,
        "0.0.0.0": "127.0.0.1",  # noqa: S104  (what the image says; nothing but loopback here)
        '"127.0.0.1", 4000': f'"127.0.0.1", {ports["4000"]}',
        '"127.0.0.1", 8501': f'"127.0.0.1", {ports["8501"]}',
    }
    native = Native(document, volume=volume, postgres=Path(str(parts["host"])), addresses=addresses)
    with ExitStack() as leave:
        made = Stack(
            native,
            tmp_path,
            relay=f"http://127.0.0.1:{ports['4000']}",
            dashboard=f"http://127.0.0.1:{ports['8501']}",
        )
        leave.callback(made.kill)
        yield made
    postgres.drop(url)


def scrape(client: httpx.Client, stack: Stack) -> Scrape:
    """What the relay's metrics say."""
    return parse(client.get(f"{stack.relay}/metrics").raise_for_status().text)


@pytest.mark.timeout(600)
def test_every_service_runs_as_the_file_says(stack: Stack, receiver: Receiver, tmp_path: Path) -> None:
    stack.start("migrate")
    assert stack.running.pop("migrate").wait(timeout=PATIENCE_S) == 0, stack.log("migrate").read_text()
    for service in ("relay", "keeper", "dashboard"):
        stack.start(service)
    for service in ("relay", "keeper", "dashboard"):
        stack.await_health(service)
    key = json.loads(stack.execute("relay", "keys", "create", "--name", "first", "--json"))["key"]
    assert "http" in stack.execute("dashboard", "accounts", "create", "--role", "admin", "ada")
    headers = {"authorization": f"Bearer {key}"}
    with httpx.Client(trust_env=False, timeout=60) as client:
        answer = client.post(f"{stack.relay}/v1/chat/completions", json=HELLO, headers=headers)
        assert answer.status_code == 200, answer.text
        assert "sign in" in client.get(stack.dashboard, follow_redirects=True).text.lower()
        stack.until(lambda: scrape(client, stack).value("tollkeeper_requests_total") == 1, "relay")
        assert scrape(client, stack).value("tollkeeper_workers") == 3
        assert scrape(client, stack).value("tollkeeper_keeper_leads") == 1
        admin = {"authorization": f"Bearer {VARIABLES['TOLLKEEPER_ADMIN_KEY']}"}
        listed = client.get(f"{stack.relay}/admin/v1/requests", headers=admin).raise_for_status().json()
        assert len(listed["data"]) == 1
    (span,) = receiver.spans(1)
    assert attributes(span)["tollkeeper.request.id"] == answer.headers["x-request-id"]
    stack.execute("relay", "check")
    for service in ("dashboard", "keeper", "relay"):
        assert stack.stop(service) == 0, stack.log(service).read_text()
    assert list((tmp_path / "volume" / "journal").glob("*")) == []
    for service in OURS:
        assert "Traceback" not in stack.log(service).read_text()
        for secret in (*VARIABLES.values(), key):
            assert secret not in stack.log(service).read_text()


def test_a_service_that_is_not_healthy_is_seen(stack: Stack) -> None:
    for service in ("relay", "keeper", "dashboard"):
        assert not stack.native.healthy(service, log=stack.log(f"{service}-health"))


def test_what_is_not_a_volume_cannot_be_written(stack: Stack, tmp_path: Path) -> None:
    if not stack.native.isolated:
        return  # this system lets nobody make a mount namespace
    script = "touch /mnt/data/x && touch /tmp/x && ! touch /x && ! touch /mnt/x"
    for service, fine in (("relay", True), ("dashboard", False)):
        process = stack.native._popen(service, ["sh", "-c", script], log=tmp_path / "touch.log")
        assert (process.wait(timeout=30) == 0) is fine
    assert image_environment()["TOLLKEEPER_DATA_DIR"] == "/var/lib/tollkeeper"
