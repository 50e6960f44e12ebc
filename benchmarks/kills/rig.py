"""The rig of the kill tests: a simulated upstream that logs what reaches it, a store, and a relay that is killed.

Everything runs in processes of its own, on free ports of this machine and in one folder. The upstream's log is the
truth: a line is in it before the answer begins.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Self

from service.ledger.segments import SUFFIX, owner_of

ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 60.0
ADOPT_TIMEOUT_S = 60.0
POLL_S = 0.02
BUDGET_USD = "1000"
"""A hard budget over all requests, so that leases are held whenever a relay is killed; enough for all of them."""

_READY = re.compile(
    rb'"url": "http://127\.0\.0\.1:(\d+)".*"event": "relay_ready"|  Relay +http://127\.0\.0\.1:(\d+)/v1\n'
)
"""One relay process says it in its log, the supervisor of several on its output."""
_CONFIG = """
[store]
url = "{store_url}"
[relay]
port = 0
data_dir = "{data_dir}"
{relay}
[budgets]
unpriced = "allow"
[[upstreams]]
name = "simulator"
base_url = "http://127.0.0.1:{port}/v1"
api_key = "env:KILLS_UPSTREAM_KEY"
{upstream}
"""


class Rig:
    """Start with `with`; the relay is not running yet. *relay* and *upstream* are lines of its configuration.

    Without *budget* a store that is away before the first request keeps no request from the journal.
    """

    def __init__(
        self,
        folder: Path,
        *,
        store_url: str | None = None,
        data_dir: Path | None = None,
        relay: str = "",
        upstream: str = "",
        budget: bool = True,
    ) -> None:
        self.folder = folder
        self.store_url = store_url or f"sqlite:///{folder / 'tollkeeper.db'}"
        self.data_dir = data_dir or folder / "data"
        self.log = folder / "upstream.jsonl"
        self.port = 0
        self.key = ""
        self._relay_lines = relay
        self._budget = budget
        self._upstream_lines = upstream
        self._output = folder / "relay.log"
        self._simulator: subprocess.Popen[bytes] | None = None
        self._relay: subprocess.Popen[bytes] | None = None
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("TOLLKEEPER_")},
            "PYTHONPATH": str(ROOT),
            "KILLS_UPSTREAM_KEY": "sk-simulated-4f8a1c9e2b7d6035",
            "TOLLKEEPER_SECRET_KEY": "kills-5b1e8d0c7a2f4936a1c4e7d9b2f8056d",
        }

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        simulator = [sys.executable, "-m", "service.simulator", "--log", str(self.log), "--tokens-per-s", "0"]
        self._simulator = subprocess.Popen(
            simulator, stdout=subprocess.PIPE, env=self._environment, cwd=self.folder
        )
        assert self._simulator.stdout is not None
        upstream_port = json.loads(self._simulator.stdout.readline())["port"]
        self.config.write_text(
            _CONFIG.format(
                store_url=self.store_url,
                data_dir=self.data_dir,
                relay=self._relay_lines,
                port=upstream_port,
                upstream=self._upstream_lines,
            ),
            encoding="utf-8",
        )
        if not self.store_url.startswith("sqlite:"):
            self.run("migrate")
        self.key = json.loads(self.run("keys", "create", "--name", "kills", "--json"))["key"]
        if self._budget:
            self.run("budgets", "create", "--global", "--limit", BUDGET_USD, "--window", "total", "--json")
        return self

    def __exit__(self, *_: object) -> None:
        for process in (self._relay, self._simulator):
            if process is not None:
                process.kill()
                process.communicate()

    @property
    def config(self) -> Path:
        """The relay's configuration file."""
        return self.folder / "tollkeeper.toml"

    @property
    def pid(self) -> int:
        """The running relay's process."""
        assert self._relay is not None
        return self._relay.pid

    @property
    def journal(self) -> Path:
        """The directory of the journal."""
        return self.data_dir / "journal"

    @property
    def journals(self) -> list[Path]:
        """The journal's segments, of whatever process."""
        return sorted(self.journal.glob(f"*{SUFFIX}"))

    def start(self, *prefix: str) -> bool:
        """Start the relay, behind a *prefix* command if given; False where it died before it was ready."""
        offset = self._output.stat().st_size if self._output.exists() else 0
        command = [*prefix, sys.executable, "-m", "service.cli", "serve", "--config", str(self.config)]
        with self._output.open("ab") as output:
            self._relay = subprocess.Popen(
                command,
                stdout=output,
                stderr=output,
                env=self._environment,
                cwd=self.folder,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        with self._output.open("rb") as log:
            log.seek(offset)
            while time.monotonic() < deadline:
                found = _READY.search(_rest(log, offset))
                if found is not None:
                    self.port = int(found[1] or found[2])
                    return True
                if self._relay.poll() is not None:
                    return False
                time.sleep(POLL_S)
        raise TimeoutError(f"the relay was not ready within {START_TIMEOUT_S:g} s; see {self._output}")

    def kill(self) -> None:
        """`kill -9`."""
        assert self._relay is not None
        self._relay.kill()
        self._relay.wait()

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the relay."""
        os.kill(self.pid, number)

    def died(self, timeout_s: float = 0.0) -> bool:
        """Whether the relay has ended, within so many seconds."""
        assert self._relay is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._relay.wait(timeout_s)
        return self._relay.poll() is not None

    @property
    def killed(self) -> bool:
        """Whether the relay has died of SIGKILL."""
        assert self._relay is not None
        return self._relay.returncode == -signal.SIGKILL

    def stop(self) -> int:
        """SIGTERM, and wait for the end; returns the exit status."""
        assert self._relay is not None
        self._relay.send_signal(signal.SIGTERM)
        return self._relay.wait(STOP_TIMEOUT_S)

    def settle(self) -> None:
        """Start once more, let it adopt what the dead have left, and stop: all there is, is in the store then."""
        if not self.start():
            raise RuntimeError(f"the relay does not start any more; see {self._output}")
        self.await_adoption()
        status = self.stop()
        if status != 0 or self.journals:
            raise RuntimeError(
                f"the relay ended with status {status} and left {self.journals}; see {self._output}"
            )

    def await_adoption(self) -> None:
        """Wait until the journal holds nothing of the dead."""
        own = f"-{self.pid}-"
        deadline = time.monotonic() + ADOPT_TIMEOUT_S
        while any(own not in owner_of(path) for path in self.journals):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.journals} were not adopted; see {self._output}")
            time.sleep(POLL_S)

    def output(self) -> str:
        """What the relays have logged."""
        return self._output.read_text(encoding="utf-8") if self._output.exists() else ""

    def run(self, *arguments: str) -> str:
        """Run a `tollkeeper` command of this installation; what it printed."""
        command = [sys.executable, "-m", "service.cli", *arguments, "--config", str(self.config)]
        done = subprocess.run(
            command, env=self._environment, cwd=self.folder, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"tollkeeper {arguments[0]}: {done.stderr or done.stdout}")
        return done.stdout


def _rest(log: IO[bytes], offset: int) -> bytes:
    log.seek(offset)
    return log.read()


@contextlib.contextmanager
def small_disk(mount_point: Path, *, size: str) -> Iterator[Path]:
    """A disk of *size* (as `mount` takes it); PermissionError where mounting is not allowed."""
    mount_point.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(mount_point)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        raise PermissionError(mounted.stderr.strip())
    try:
        yield mount_point
    finally:
        subprocess.run(["umount", "--lazy", str(mount_point)], check=True)
