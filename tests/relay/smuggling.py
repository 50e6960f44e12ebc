"""Requests that two HTTP parsers could read in two ways, and a few that only look odd.

Reusable: send the bytes on a fresh connection. `IN_HEAD` must never reach the application. `IN_BODY` has a good
head and a broken body, so the application may start, but must never see the end of the body. `SOUND` must be served.
"""

from typing import NamedTuple

LINE = b"POST /v1/chat/completions HTTP/1.1\r\n"
HOST = b"Host: relay.example:4000\r\n"
LENGTH = b"Content-Length: 2\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
END = b"0\r\n\r\n"
HIDDEN = b"0\r\n\r\nGET /admin/v1/keys HTTP/1.1\r\nHost: relay.example\r\n\r\n"


class Case(NamedTuple):
    name: str
    request: bytes


def post(*headers: bytes, body: bytes = b"{}") -> bytes:
    return b"%b%b\r\n%b" % (LINE, b"".join(headers), body)


def chunked(body: bytes) -> bytes:
    return post(HOST, CHUNKED, body=body)


IN_HEAD = [
    Case("length and chunked", post(HOST, b"Content-Length: 60\r\n", CHUNKED, body=HIDDEN)),
    Case("chunked and length", post(HOST, CHUNKED, b"Content-Length: 5\r\n", body=HIDDEN)),
    Case("length and identity", post(HOST, LENGTH, b"Transfer-Encoding: identity\r\n")),
    Case("identity", post(HOST, b"Transfer-Encoding: identity\r\n")),
    Case("gzip", post(HOST, b"Transfer-Encoding: gzip\r\n")),
    Case("gzip, chunked", post(HOST, b"Transfer-Encoding: gzip, chunked\r\n", body=END)),
    Case("chunked, identity", post(HOST, b"Transfer-Encoding: chunked, identity\r\n", body=END)),
    Case("chunked twice", post(HOST, CHUNKED, CHUNKED, body=END)),
    Case("chunked, then identity", post(HOST, CHUNKED, b"Transfer-Encoding: identity\r\n", body=END)),
    Case("identity, then chunked", post(HOST, b"Transfer-Encoding: identity\r\n", CHUNKED, body=END)),
    Case("xchunked", post(HOST, b"Transfer-Encoding: xchunked\r\n", body=END)),
    Case("quoted chunked", post(HOST, b'Transfer-Encoding: "chunked"\r\n', body=END)),
    Case("vertical tab before chunked", post(HOST, b"Transfer-Encoding: \x0bchunked\r\n", body=END)),
    Case("space before the colon of a coding", post(HOST, b"Transfer-Encoding : chunked\r\n", body=END)),
    Case("tab before the colon of a coding", post(HOST, b"Transfer-Encoding\t: chunked\r\n", body=END)),
    Case("folded coding", post(HOST, b"Transfer-Encoding:\r\n chunked\r\n", body=END)),
    Case("chunked in HTTP/1.0", post(HOST, CHUNKED, body=END).replace(b"HTTP/1.1", b"HTTP/1.0")),
    Case("one length twice", post(HOST, LENGTH, LENGTH)),
    Case("two lengths", post(HOST, LENGTH, b"Content-Length: 3\r\n", body=b"{}}")),
    Case("list of lengths", post(HOST, b"Content-Length: 2, 2\r\n")),
    Case("length with plus", post(HOST, b"Content-Length: +2\r\n")),
    Case("negative length", post(HOST, b"Content-Length: -2\r\n")),
    Case("length in hex", post(HOST, b"Content-Length: 0x2\r\n")),
    Case("length with a space within", post(HOST, b"Content-Length: 2 0\r\n")),
    Case("length with an underscore", post(HOST, b"Content-Length: 1_0\r\n", body=b"{}        ")),
    Case("length in another script", post(HOST, "Content-Length: ²\r\n".encode())),
    Case("empty length", post(HOST, b"Content-Length:\r\n", body=b"")),
    Case("length beyond 64 bits", post(HOST, b"Content-Length: 99999999999999999999999\r\n")),
    Case("space before the colon of a length", post(HOST, b"Content-Length : 2\r\n")),
    Case("folded header, space", post(HOST, b"X-A: b\r\n c\r\n", LENGTH)),
    Case("folded header, tab", post(HOST, b"X-A: b\r\n\tc\r\n", LENGTH)),
    Case("folded first header", post(b" " + HOST, LENGTH)),
    Case("LF after a header", post(b"Host: a\n", LENGTH)),
    Case("LF after the request line", post(HOST, LENGTH).replace(b"\r\n", b"\n", 1)),
    Case("LF only", post(HOST, LENGTH).replace(b"\r\n", b"\n")),
    Case("LF at the end of the head", b"%b%b%b\n{}" % (LINE, HOST, LENGTH)),
    Case("CR within a header", post(HOST, b"X-A: b\rX-B: c\r\n", LENGTH)),
    Case("CR CR LF", post(HOST, b"X-A: b\r\r\n", LENGTH)),
    Case("CR only", post(HOST, LENGTH).replace(b"\r\n", b"\r")),
    Case("NUL in a value", post(HOST, b"X-A: b\0c\r\n", LENGTH)),
    Case("control character in a value", post(HOST, b"X-A: b\x01c\r\n", LENGTH)),
    Case("header without a name", post(HOST, b": a\r\n", LENGTH)),
    Case("header without a colon", post(HOST, b"X-A\r\n", LENGTH)),
    Case("space in a name", post(HOST, b"X A: b\r\n", LENGTH)),
    Case("non-ASCII name", post(HOST, b"X-\xe9: b\r\n", LENGTH)),
    Case("no Host", post(LENGTH)),
    Case("two Hosts", post(HOST, b"Host: evil.example\r\n", LENGTH)),
    Case("one Host twice", post(HOST, HOST, LENGTH)),
    Case("empty Host", post(b"Host:\r\n", LENGTH)),
    Case("Host with a space", post(b"Host: a b\r\n", LENGTH)),
    Case("Host with user name", post(b"Host: user@a\r\n", LENGTH)),
    Case("Host with a path", post(b"Host: a/b\r\n", LENGTH)),
    Case("list of Hosts", post(b"Host: a, b\r\n", LENGTH)),
    Case("Host with a wrong port", post(b"Host: a:4000x\r\n", LENGTH)),
    Case("non-ASCII Host", post(b"Host: a\xe9\r\n", LENGTH)),
    Case("HTTP/2.0", b"GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
    Case("HTTP/1.2", b"GET / HTTP/1.2\r\nHost: a\r\n\r\n"),
    Case("HTTP/1.10", b"GET / HTTP/1.10\r\nHost: a\r\n\r\n"),
    Case("HTTP/0.9", b"GET /\r\n"),
    Case("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    Case("lower-case version", b"GET / http/1.1\r\nHost: a\r\n\r\n"),
    Case("tabs in the request line", b"GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n"),
    Case("space in the target", b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"),
    Case("control character in the target", b"GET /a\x01b HTTP/1.1\r\nHost: a\r\n\r\n"),
    Case("non-ASCII target", b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n"),
    Case("CONNECT", b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n"),
    Case("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    Case("huge header", post(HOST, b"X-A: %b\r\n" % (b"a" * 2_000_000), LENGTH)),
    Case("huge target", b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n" % (b"a" * 2_000_000)),
    Case("endless headers", post(HOST, *[b"X-%d: a\r\n" % n for n in range(20_000)], LENGTH)),
    Case("257 headers", post(HOST, *[b"X-%d: a\r\n" % n for n in range(255)], LENGTH)),
    Case("head just too large", post(HOST, b"X-A: %b\r\n" % (b"a" * 65_520), LENGTH)),
]

IN_BODY = [
    Case("chunk size with plus", chunked(b"+2\r\n{}\r\n0\r\n\r\n")),
    Case("chunk size with 0x", chunked(b"0x2\r\n{}\r\n0\r\n\r\n")),
    Case("negative chunk size", chunked(b"-2\r\n{}\r\n0\r\n\r\n")),
    Case("chunk size and space", chunked(b"2 \r\n{}\r\n0\r\n\r\n")),
    Case("chunk size with an underscore", chunked(b"1_0\r\n{}\r\n0\r\n\r\n")),
    Case("chunk size beyond 64 bits", chunked(b"ffffffffffffffffff\r\n{}\r\n0\r\n\r\n")),
    Case("LF in chunks", chunked(b"2\n{}\n0\n\n")),
    Case("LF after a chunk extension", chunked(b"2;a\n{}\r\n0\r\n\r\n")),
    Case("CR in a chunk extension", chunked(b"2;a\rX\r\n{}\r\n0\r\n\r\n")),
    Case("no line end after a chunk", chunked(b"2\r\n{}0\r\n\r\n")),
    Case("chunk longer than its size", chunked(b"2\r\n{}}\r\n0\r\n\r\n")),
    Case("length as a trailer", chunked(b"2\r\n{}\r\n0\r\nContent-Length: 5\r\n\r\n")),
    Case("huge trailer", chunked(b"2\r\n{}\r\n0\r\nX-A: %b\r\n\r\n" % (b"a" * 2_000_000))),
]

SOUND = [
    Case("length", post(HOST, LENGTH)),
    Case("chunked", chunked(b"2\r\n{}\r\n0\r\n\r\n")),
    Case("chunked in capitals", post(HOST, b"TRANSFER-ENCODING: CHUNKED\r\n", body=b"2\r\n{}\r\n0\r\n\r\n")),
    Case("IPv6 Host", post(b"Host: [::1]:4000\r\n", LENGTH)),
    Case("Host with an underscore", post(b"Host: relay_1\r\n", LENGTH)),
    Case("HTTP/1.0 without Host", post(LENGTH).replace(b"HTTP/1.1", b"HTTP/1.0")),
    Case(
        "h2c offered, as Java does",
        post(HOST, b"Connection: Upgrade, HTTP2-Settings\r\n", LENGTH, b"Upgrade: h2c\r\n"),
    ),
    Case("unknown upgrade offered", post(HOST, b"Connection: Upgrade\r\nUpgrade: foo\r\n", LENGTH)),
    Case("trailer", chunked(b"2\r\n{}\r\n0\r\nAuthorization: Bearer evil\r\n\r\n")),
]
