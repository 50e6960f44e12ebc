"""What is measured: how each server is started in front of the benchmark's provider, and stopped again."""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMMAND = Path(sys.executable).with_name("tollkeeper")
START_TIMEOUT_S = 60.0

NGINX_CONF = """
worker_processes 1;
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  keepalive_requests 1000000;
  upstream provider {{ server 127.0.0.1:{upstream}; keepalive 512; keepalive_requests 1000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=2048;
    location / {{
      proxy_pass http://provider;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
    }}
  }}
}}
"""

RELAY_CONF = """
[store]
url = "sqlite:///{folder}/bench.db"
[relay]
host = "127.0.0.1"
port = {port}
data_dir = "{folder}/data"
[[upstreams]]
name = "bench"
base_url = "http://127.0.0.1:{upstream}/v1"
api_key = "env:BENCH_UPSTREAM_KEY"
provider = "openai"
models = ["*"]
"""


@dataclass
class Target:
    """A server that answers chat completions; *process* is None for the provider itself, which is not measured."""

    name: str
    port: int
    key: str = "bench"
    process: subprocess.Popen[bytes] | None = None


class SkippedError(Exception):
    """A target that cannot be measured here, and why."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def started(target: Target) -> Target:
    """Wait until *target* accepts connections."""
    async with asyncio.timeout(START_TIMEOUT_S):
        while True:
            if target.process is not None and target.process.poll() is not None:
                raise SkippedError(f"{target.name} ended with code {target.process.returncode}")
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", target.port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return target


def stop(target: Target) -> None:
    """End the process that we started."""
    if target.process is not None and target.process.poll() is None:
        target.process.send_signal(signal.SIGTERM)
        try:
            target.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            target.process.kill()
            target.process.wait()


def _python(module: str, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", module, *arguments], cwd=ROOT)


def provider() -> Target:
    port = free_port()
    return Target("direct", port, process=_python("benchmarks.provider", "--port", str(port)))


def nginx(folder: Path, *, upstream: int) -> Target:
    binary = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if binary is None:
        raise SkippedError("nginx is not installed")
    port = free_port()
    conf = folder / "nginx.conf"
    conf.write_text(NGINX_CONF.format(folder=folder, port=port, upstream=upstream), encoding="utf-8")
    return Target("nginx", port, process=subprocess.Popen([binary, "-p", str(folder), "-c", str(conf)]))


def forwarder(*, upstream: int, transport: str) -> Target:
    port = free_port()
    url = f"http://127.0.0.1:{upstream}"
    process = _python(
        "benchmarks.forwarder", "--port", str(port), "--upstream", url, "--transport", transport
    )
    name = "bare forwarder" if transport == "default" else f"bare forwarder, {transport}"
    return Target(name, port, process=process)


def _create_key(conf: Path, *, environment: dict[str, str], budget: str) -> str:
    arguments = [str(COMMAND), "keys", "create", "--name", "bench", "--json", "--config", str(conf)]
    arguments += ["--budget", budget] if budget else []
    made = subprocess.run(
        arguments, env=environment, cwd=conf.parent, capture_output=True, text=True, check=False
    )
    if made.returncode:
        raise SkippedError(f"`keys create` failed: {(made.stderr or made.stdout).strip()[-400:]}")
    key: str = json.loads(made.stdout)["key"]
    return key


def relay(folder: Path, *, upstream: int, budget: str) -> Target:
    """The relay with everything on; a hard budget too, unless *budget* is empty."""
    if not COMMAND.exists():
        raise SkippedError(f"{COMMAND} does not exist")
    return _relay("relay", [str(COMMAND), "serve"], folder / "relay", upstream=upstream, budget=budget)


def unaccounted(folder: Path, *, upstream: int) -> Target:
    """The relay's own stack without the books: `benchmarks.unaccounted`."""
    command = [sys.executable, "-m", "benchmarks.unaccounted"]
    return _relay("relay without books", command, folder / "unaccounted", upstream=upstream, budget="")


def _relay(name: str, command: list[str], folder: Path, *, upstream: int, budget: str) -> Target:
    folder.mkdir()
    port = free_port()
    conf = folder / "tollkeeper.toml"
    conf.write_text(RELAY_CONF.format(folder=folder, port=port, upstream=upstream), encoding="utf-8")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("TOLLKEEPER_")}
    environment["BENCH_UPSTREAM_KEY"] = "sk-bench-7d1f0c5a9e3b4826"
    environment["PYTHONPATH"] = str(ROOT)
    key = _create_key(conf, environment=environment, budget=budget)
    with (folder / "relay.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--config", str(conf), "--port", str(port)],
            env=environment,
            cwd=folder,
            stdout=log,
            stderr=log,
        )
    return Target(name, port, key=key, process=process)
