"""Non-stream answers cross byte for byte, whatever they are; so do requests."""

from tests.support.relay import CHAT, Client, Relay
from tests.support.upstream import COMPLETION, Upstream, response


def test_smoke(relay: Relay, client: Client, upstream: Upstream) -> None:
    client.post(CHAT)
    seen = upstream.answer(response(COMPLETION))
    answer = client.answer()
    assert answer.body == COMPLETION
    print(answer, seen, relay.record(client))
    assert 0
