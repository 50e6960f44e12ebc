"""`GET /v1/models`: what the upstreams offer, and no more than the key may use."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from service.app import system_clock
from service.relay.models import FRESH_S, LARGEST_LIST
from tests.relay.conftest import MakeRelay, MakeWorld
from tests.support.relay import Relay
from tests.support.relay import upstream as configured
from tests.support.upstream import Upstream, response


@dataclass
class Scene:
    """A relay with two upstreams, and its monotonic clock."""

    relay: Relay
    open: Upstream
    named: Upstream
    later: list[float]


UPSTREAMS: dict[str, dict[str, Any]] = {
    "open": {"models": ("gpt-*", "org/*")},
    "named": {"models": ("gpt-4o", "llama-3", "claude-*"), "priority": 1},
}


@pytest.fixture
def scene(make_relay: MakeRelay, make_upstream: Callable[[], Upstream]) -> Scene:
    """Nobody has been asked yet."""
    later = [0.0]
    machine = system_clock()
    clock = msgspec.structs.replace(machine, monotonic=lambda: machine.monotonic() + later[0])
    peers = {name: make_upstream() for name in UPSTREAMS}
    settings = [configured(name, peers[name].url, **fields) for name, fields in UPSTREAMS.items()]
    return Scene(make_relay(*settings, clock=clock), peers["open"], peers["named"], later)


def listing(*names: str) -> bytes:
    return response(
        json.dumps({"object": "list", "data": [{"id": name, "owned_by": "them"} for name in names]}).encode()
    )


AWAY = response(b"no", status=b"500 No")
UNREADABLE = {
    "an error": AWAY,
    "no JSON": response(b"<html>"),
    "a bare list": response(b'[{"id":"gpt-4o"}]'),
    "no data": response(b'{"object":"list"}'),
    "not UTF-8": response(b'{"data":[{"id":"\xff"}]}'),
    "too deep": response(b'{"data":[{"id":"gpt-4o","x":%b%b}]}' % (b"[" * 5000, b"]" * 5000)),
    "too long": response(b'{"data":[],"x":"%b"}' % (b" " * 4 * LARGEST_LIST)),
    "cut": response(b'{"data":[]}', length=1000),
    "a redirect": response(b"", b"location: http://evil.example/", status=b"302 Found"),
    "nothing": b"",
}


def models(scene: Scene, first: bytes, second: bytes, *, key: str = "") -> list[dict[str, Any]]:
    """What the relay lists when its upstreams say *first* and *second*."""
    with scene.relay.client(key) as client:
        client.send(client.head(method=b"GET", path=b"/v1/models"))
        one, two = scene.open.accept(), scene.named.accept()
        asked = (one.request(), two.request())
        for peer, said in ((one, first), (two, second)):
            with peer.sending(said, fails=len(said) > LARGEST_LIST and peer is one):
                pass
        answer = client.answer()
    assert [each.line for each in asked] == [b"GET /v1/models HTTP/1.1"] * 2
    assert [each.values(b"authorization") for each in asked] == [
        [b"Bearer sk-of-open"],
        [b"Bearer sk-of-named"],
    ]
    assert answer.status == 200
    assert answer.header(b"content-type") == b"application/json"
    document = json.loads(answer.body)
    assert (set(document), document["object"]) == ({"object", "data"}, "list")
    found: list[dict[str, Any]] = document["data"]
    return found


def names(found: list[dict[str, Any]]) -> list[str]:
    return [each["id"] for each in found]


def test_the_lists_of_all_upstreams_within_their_patterns(scene: Scene) -> None:
    found = models(
        scene, listing("gpt-4o", "gpt-5", "whisper", "org/a/b"), listing("gpt-4o", "claude-x", "llama-2")
    )
    assert names(found) == ["claude-x", "gpt-4o", "gpt-5", "org/a/b"]
    assert found[1] == {"id": "gpt-4o", "owned_by": "them"}


def test_only_what_the_key_may_use(scene: Scene) -> None:
    key = scene.relay.new_key(models=["gpt-4*", "org/*"])
    assert names(models(scene, listing("gpt-4o", "gpt-5", "org/a"), listing("claude-x"), key=key)) == [
        "gpt-4o",
        "org/a",
    ]


@pytest.mark.parametrize("said", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_an_upstream_that_gives_no_list_is_represented_by_its_configuration(
    scene: Scene, said: bytes
) -> None:
    found = models(scene, said, AWAY)
    assert names(found) == ["gpt-4o", "llama-3"]
    assert found[0] == {"id": "gpt-4o", "object": "model", "created": 0, "owned_by": "named"}


def test_odd_entries_are_left_out(scene: Scene) -> None:
    odd = response(b'{"data":[{"id":1},{"name":"gpt-x"},{"id":null},{"id":"gpt-5","x":[]}]}')
    assert names(models(scene, odd, AWAY)) == ["gpt-4o", "gpt-5", "llama-3"]


def test_a_list_is_kept_for_a_minute_and_longer_where_there_is_no_other(scene: Scene) -> None:
    expected = ["gpt-5", "llama-3"]
    assert names(models(scene, listing("gpt-5"), listing("llama-3"))) == expected
    with scene.relay.client() as client:
        assert names(json.loads(client.get(b"/v1/models").body)["data"]) == expected
    scene.later[0] += FRESH_S
    assert names(models(scene, AWAY, AWAY)) == expected
    scene.later[0] += FRESH_S
    assert names(models(scene, listing("gpt-6"), listing())) == ["gpt-6"]


# One model


@pytest.fixture(scope="module")
def listed(make_world: MakeWorld) -> Scene:
    """The upstreams have been asked already."""
    relay, peers = make_world(UPSTREAMS)
    scene = Scene(relay, peers["open"], peers["named"], [])
    models(scene, listing("gpt-4o", "org/a/b", "org/ü c"), listing("claude-x"))
    return scene


@pytest.mark.parametrize(
    ("path", "name", "owner"),
    [
        (b"gpt-4o", "gpt-4o", "them"),
        (b"gpt-4o/", "gpt-4o", "them"),
        (b"gpt-4o?x=y", "gpt-4o", "them"),
        (b"org/a/b", "org/a/b", "them"),
        (b"org%2Fa%2fb", "org/a/b", "them"),
        (b"org%2F%C3%BC%20c", "org/ü c", "them"),
        (b"claude-x", "claude-x", "them"),
        (b"llama-3", "llama-3", "named"),
        (b"gpt-nobody-lists-it", "gpt-nobody-lists-it", "open"),
    ],
)
def test_one_model(listed: Scene, path: bytes, name: str, owner: str) -> None:
    with listed.relay.client() as client:
        answer = client.get(b"/v1/models/" + path)
    assert answer.status == 200
    model = json.loads(answer.body)
    assert (model["id"], model["owned_by"]) == (name, owner)


@pytest.mark.parametrize("path", [b"llama-4", b"whisper", b"GPT-4O", b"%00", b"..%2f..%2fadmin", b"a" * 3000])
def test_a_model_that_nobody_serves(listed: Scene, path: bytes) -> None:
    with listed.relay.client() as client:
        answer = client.get(b"/v1/models/" + path)
    assert answer.status == 404
    assert (answer.error["type"], answer.error["code"]) == ("invalid_request_error", "model_not_found")
    assert answer.header(b"x-request-id") is not None
    assert len(answer.body) < 400


def test_a_model_that_the_key_may_not_use_looks_like_none(listed: Scene) -> None:
    with listed.relay.client(listed.relay.new_key(models=["claude-*"])) as client:
        assert client.get(b"/v1/models/claude-x").status == 200
        hidden, absent = client.get(b"/v1/models/gpt-4o"), client.get(b"/v1/models/gpt-4x")
    assert hidden.status == absent.status == 404
    assert hidden.body.replace(b"gpt-4o", b"gpt-4x") == absent.body


def test_a_name_beside_the_route_is_no_model(listed: Scene) -> None:
    with listed.relay.client() as client:
        assert client.get(b"/v1/modelsgpt-4o").status == 404


@pytest.mark.parametrize("path", [b"/v1/models", b"/v1/models/gpt-4o"])
def test_the_head_alone(listed: Scene, path: bytes) -> None:
    with listed.relay.client() as client:
        whole, head = client.get(path), client.get(path, method=b"HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.header(b"content-length") == b"%d" % len(whole.body)


@pytest.mark.parametrize("path", [b"/v1/models", b"/v1/models/gpt-4o"])
def test_a_wrong_key_is_refused_and_recorded(scene: Scene, path: bytes) -> None:
    with scene.relay.client("wrong") as client:
        answer = client.get(path)
        record = scene.relay.record(client)
    assert (answer.status, answer.error["code"]) == (401, "invalid_api_key")
    assert (record["outcome"], record["http_status"]) == ("rejected_auth", 401)
    assert scene.open.nobody_came()
