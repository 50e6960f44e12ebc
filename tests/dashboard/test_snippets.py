"""Snippets: each holds the real base URL and a model, and nothing is left to be filled in but the key."""

import ast

from dashboard.snippets import KEY, MODEL, snippets

BASE_URL = "http://127.0.0.1:4123/v1"


def test_every_client_gets_the_base_url_and_the_key() -> None:
    found = snippets(BASE_URL)
    assert [sample.client for sample in found] == ["curl", "Python", "Node", "LangChain", "Any OpenAI client"]
    for sample in found:
        assert BASE_URL in sample.code
        assert sample.code.count(KEY) == 1
        assert "<" not in sample.code
        assert MODEL in sample.code or sample.client == "Any OpenAI client"


def test_python_is_python() -> None:
    for sample in snippets(BASE_URL):
        if sample.language == "python":
            ast.parse(sample.code)
