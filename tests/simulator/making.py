"""Requests and answers for the tests of the simulated upstream."""

from random import Random
from typing import Any

from service.simulator.answering import AnswerSource
from service.simulator.answers import Answer
from service.simulator.models import CATALOGUE
from service.simulator.request import ChatRequest, read_request

NOW = 1_795_000_000


def request_for(text: str = "Explain ledgers.", **members: Any) -> ChatRequest:
    """A valid request whose user says *text*."""
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}], **members}
    return read_request(body)


def source() -> AnswerSource:
    """An answer source with a fixed clock and its own series of ids."""
    rng = Random(0)
    return AnswerSource(now=lambda: NOW, unique=lambda: f"{rng.getrandbits(128):032x}")


def answer_to(request: ChatRequest) -> Answer:
    """The answer to *request* by a fresh source."""
    return source().answer(request, card=CATALOGUE[request.model], account="tests")
