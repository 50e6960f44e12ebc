"""docker-compose.yml as Compose reads it, and its services run as what they are: commands with an environment.

There is no container engine here. A service's command (the image's entry point before it) gets the environment of the
image and of the file; what only containers have is replaced, and nothing else: addresses of other services, ports that
may be taken, the place of the volume. Where the system allows, each runs in a mount namespace in which everything but
its volume and its tmpfs is read-only, as the file says.
"""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
COMPOSE_FILE = ROOT / "docker-compose.yml"
DOCKERFILE = ROOT / "Dockerfile"
VOLUME = "/var/lib/tollkeeper"
_VARIABLE = re.compile(r"\$\{(\w+)(?::([?-])([^}]*))?\}")
_ISOLATION = """
set -e
mount -t tmpfs -o mode=0755 tmpfs /mnt
mkdir /mnt/data /mnt/postgres /mnt/project
mount --bind "$1" /mnt/postgres
[ -z "$2" ] || mount --bind "$2" /mnt/data
[ -z "$4" ] || mount --bind "$4" /mnt/project
mount -o remount,ro /mnt
mount -t tmpfs -o "$3" tmpfs /tmp
[ -z "$4" ] || { mkdir -p "$4"; mount --bind /mnt/project "$4"; }
mount -o remount,bind,ro /
cd /mnt/data
shift 4
exec "$@"
"""


class UnsetError(Exception):
    """A variable that the file requires is not set."""


def load(variables: Mapping[str, str]) -> dict[str, Any]:
    """The file with *variables* put in; raises UnsetError as Compose refuses to start."""
    document: dict[str, Any] = interpolated(yaml.safe_load(COMPOSE_FILE.read_text()), variables)
    return document


def interpolated(value: Any, variables: Mapping[str, str]) -> Any:
    """`${NAME}`, `${NAME:-default}` and `${NAME:?message}`, as the Compose specification defines them."""
    match value:
        case str():
            return _VARIABLE.sub(lambda found: _replacement(found, variables), value)
        case dict():
            return {key: interpolated(inner, variables) for key, inner in value.items()}
        case list():
            return [interpolated(inner, variables) for inner in value]
        case _:
            return value


def _replacement(found: re.Match[str], variables: Mapping[str, str]) -> str:
    name, kind, text = found.groups()
    given = variables.get(name, "")
    if not given and kind == "?":
        raise UnsetError(f"{name}: {text}")
    return given or (text if kind == "-" else "")


def dockerfile() -> list[tuple[str, str]]:
    """Instruction and arguments, line by line; continued lines are one."""
    text = re.sub(r"\\\n", " ", DOCKERFILE.read_text())
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split(None, 1)[0], line.split(None, 1)[1].strip()) for line in lines]


def image_environment() -> dict[str, str]:
    """ENV of the image's last stage."""
    instructions = dockerfile()
    last = max(at for at, (name, _) in enumerate(instructions) if name == "FROM")
    words = [shlex.split(text) for name, text in instructions[last:] if name == "ENV"]
    return dict(pair.split("=", 1) for line in words for pair in line)


def entry_point() -> list[str]:
    """ENTRYPOINT of the image, from this environment."""
    ((_, text),) = [one for one in dockerfile() if one[0] == "ENTRYPOINT"]
    program, *arguments = json.loads(text)
    return [str(Path(sys.executable).with_name(program)), *arguments]


class Native:
    """Runs services of the file on this machine. *addresses* replaces what only containers can reach."""

    def __init__(
        self, document: dict[str, Any], *, volume: Path, postgres: Path, addresses: Mapping[str, str]
    ) -> None:
        self._services = document["services"]
        self._volume = volume
        self._postgres = postgres
        self._addresses = dict(addresses)
        self.isolated = (
            subprocess.run([*_unshare(), "true"], check=False, capture_output=True).returncode == 0
        )
        folder = "/mnt/postgres" if self.isolated else str(postgres)
        self._addresses = {old: new.replace("{postgres}", folder) for old, new in addresses.items()}

    def start(self, service: str, *command: str, log: Path) -> subprocess.Popen[bytes]:
        """The service's own command, or another one in its place, as `docker compose exec` would run it."""
        arguments = [*entry_point(), *(command or self._services[service]["command"])]
        return self._popen(service, arguments, log=log)

    def healthy(self, service: str, *, log: Path) -> bool:
        """Run the service's health check once."""
        kind, program, *arguments = self._services[service]["healthcheck"]["test"]
        assert (kind, program) == ("CMD", "python")
        process = self._popen(service, [sys.executable, *map(self._localized, arguments)], log=log)
        return process.wait(timeout=60) == 0

    def _popen(self, service: str, arguments: list[str], *, log: Path) -> subprocess.Popen[bytes]:
        volumes = [entry.partition(":")[2] for entry in self._services[service].get("volumes", ())]
        data = str(self._volume) if VOLUME in volumes else ""
        if self.isolated:
            options = self._services[service]["tmpfs"][0].partition(":")[2]
            script = [*_unshare(), "sh", "-c", _ISOLATION, "sh", str(self._postgres), data, options]
            script.append(str(ROOT) if ROOT.is_relative_to("/tmp") else "")  # noqa: S108  (the new /tmp hides it)
            arguments = [*script, *arguments]
        with log.open("ab") as output:
            return subprocess.Popen(
                arguments,
                env=self._environment(service, data="/mnt/data" if self.isolated else data),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def _environment(self, service: str, *, data: str) -> dict[str, str]:
        given = image_environment() | self._services[service]["environment"]
        localized = {name: self._localized(value) for name, value in given.items()}
        here = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "TOLLKEEPER_DATA_DIR": data or "/mnt",
        }
        return localized | here | {"PYTHONPATH": str(ROOT)}

    def _localized(self, text: str) -> str:
        for old, new in self._addresses.items():
            text = text.replace(old, new)
        return text


def _unshare() -> list[str]:
    rights = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", *rights, "--mount", "--propagation", "private"]
