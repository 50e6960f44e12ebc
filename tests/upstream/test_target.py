import pytest

from service.upstream.target import Origin, header_block, target


@pytest.mark.parametrize(
    ("url", "origin", "lines"),
    [
        (
            "https://api.openai.com/v1/x",
            ("https", "api.openai.com", 443),
            b"POST /v1/x HTTP/1.1\r\nhost: api.openai.com\r\n",
        ),
        (
            "http://vllm:8000/v1?a=b%20c",
            ("http", "vllm", 8000),
            b"POST /v1?a=b%20c HTTP/1.1\r\nhost: vllm:8000\r\n",
        ),
        ("http://[::1]:9/", ("http", "::1", 9), b"POST / HTTP/1.1\r\nhost: [::1]:9\r\n"),
        ("http://HOST.example", ("http", "host.example", 80), b"POST / HTTP/1.1\r\nhost: HOST.example\r\n"),
        ("http://a/x#part", ("http", "a", 80), b"POST /x HTTP/1.1\r\nhost: a\r\n"),
    ],
)
def test_a_url_becomes_an_origin_and_the_first_lines(
    url: str, origin: tuple[str, str, int], lines: bytes
) -> None:
    assert target("POST", url) == (Origin(*origin), lines)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a/",
        "/v1",
        "http:///v1",
        "http://user:secret@a/",
        "http://a/b c",
        "http://a/\x7f",
        "http://a/é",
        "http://bücher.example/",
        "http://a:70000/",
    ],
)
def test_other_urls_are_refused_without_their_secrets(url: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        target("POST", url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://a/x\r\nevil: 1", "http://a\r\n/", "http://a/\tx"])
def test_a_line_break_in_a_url_adds_no_line(url: str) -> None:
    """`urlsplit` drops CR, LF and tab; whichever of us sees them first, they never reach the wire."""
    with pytest.raises(ValueError, match="white space"):
        target("POST", url)


@pytest.mark.parametrize("method", ["CONNECT", "HEAD", "post", "POST /evil HTTP/1.1\r\n", ""])
def test_other_methods_are_refused(method: str) -> None:
    with pytest.raises(ValueError, match="does not send"):
        target(method, "http://a/")


def test_headers_go_out_as_they_are() -> None:
    headers = [(b"X-A", b"1"), (b"x-a", b"caf\xe9"), (b"x-b", b"")]
    assert header_block(headers) == b"X-A: 1\r\nx-a: caf\xe9\r\nx-b: \r\n"
    assert header_block([]) == b""


@pytest.mark.parametrize(
    "header",
    [
        (b"Host", b"a"),
        (b"content-length", b"1"),
        (b"TRANSFER-ENCODING", b"chunked"),
        (b"connection", b"close"),
        (b"Upgrade", b"h2c"),
        (b"expect", b"100-continue"),
        (b"x-a", b"1\r\nevil: 1"),
        (b"x-a", b"1\n"),
        (b"x-a", b"1\r"),
        (b"x-a\r\nevil", b"1"),
        (b"x-a", b"\0"),
    ],
    ids=repr,
)
def test_headers_that_frame_or_break_the_message_are_refused(header: tuple[bytes, bytes]) -> None:
    with pytest.raises(ValueError, match="header"):
        header_block([(b"x-ok", b"1"), header])


def test_an_origin_reads_as_a_url() -> None:
    assert str(Origin("https", "api.openai.com", 443)) == "https://api.openai.com:443"
    assert str(Origin("http", "::1", 9)) == "http://[::1]:9"
