"""A whole installation on one machine for benchmarks: provider, relay, keeper and dashboard on a given SQLite file.

Started as its user does, by `tollkeeper up`; somebody has an account and somebody a key. Ended by process id.
"""

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import gauge, targets

PASSWORD = "correct horse battery staple"  # noqa: S105  (of an account that lives as long as the run)
STOP_S = 60
CONF = """
[store]
url = "sqlite:///{database}"
[relay]
port = {relay}
data_dir = "{folder}/data"
[dashboard]
port = {dashboard}
[[upstreams]]
name = "bench"
base_url = "http://127.0.0.1:{provider}/v1"
api_key = "env:BENCH_UPSTREAM_KEY"
provider = "openai"
models = ["*"]
"""


@dataclass
class Installation:
    """Where it is, who may use it, and the processes: `up` with its children, and the provider."""

    relay_port: int
    dashboard_url: str
    key: str
    account: str
    link: str
    """Where that account sets its password, once."""
    up: subprocess.Popen[str]

    @property
    def dashboard_pid(self) -> int:
        """The process of the dashboard, which the supervisor started."""
        return next(pid for pid in gauge.family(self.up.pid) if "dashboard" in gauge.command(pid))

    @property
    def relay_pids(self) -> list[int]:
        """The relay's workers."""
        return [pid for pid in gauge.family(self.up.pid) if "serve" in gauge.command(pid)]


@contextmanager
def running(database: Path, folder: Path) -> Iterator[Installation]:
    """Everything, from when it is ready; *folder* holds what is not the store."""
    provider = targets.provider()
    ports = {"relay": targets.free_port(), "dashboard": targets.free_port()}
    conf = folder / "tollkeeper.toml"
    conf.write_text(CONF.format(database=database, folder=folder, provider=provider.port, **ports))
    try:
        name = f"bench {os.urandom(4).hex()}"
        key = _told(folder, "keys", "create", "--name", name)["key"]
        made = _told(folder, "accounts", "create", name, "--role", "admin")
        with (folder / "up.log").open("w", encoding="utf-8") as log:
            up = subprocess.Popen(
                [str(targets.COMMAND), "up", "--config", str(conf)],
                env=_environment(),
                cwd=folder,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        try:
            _await(up, folder)
            url = f"http://127.0.0.1:{ports['dashboard']}"
            yield Installation(ports["relay"], url, key, name, made["link"], up)
        finally:
            up.send_signal(signal.SIGINT)
            up.communicate(timeout=STOP_S)
    finally:
        targets.stop(provider)


def _environment() -> dict[str, str]:
    """No settings of the machine's own; one root secret, so that a kept file can be used again."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TOLLKEEPER_")}
    environment["BENCH_UPSTREAM_KEY"] = "sk-bench-7d1f0c5a9e3b4826"
    environment |= {"TOLLKEEPER_SECRET_KEY": "the-root-secret-of-a-benchmark-0001"}
    return environment


def _told(folder: Path, *arguments: str) -> dict[str, str]:
    """What a command says in JSON."""
    command = [str(targets.COMMAND), *arguments, "--json", "--config", str(folder / "tollkeeper.toml")]
    done = subprocess.run(
        command, env=_environment(), cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)}: {(done.stderr or done.stdout).strip()[-400:]}")
    found: dict[str, str] = json.loads(done.stdout)
    return found


def _await(up: subprocess.Popen[str], folder: Path) -> None:
    assert up.stdout is not None
    for line in up.stdout:
        if re.search(r"Ctrl-C stops", line):
            return
    raise RuntimeError(f"`tollkeeper up` ended with {up.wait()}; see {folder / 'up.log'}")
