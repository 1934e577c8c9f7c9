"""Any bytes, as the answer of a host or an engine, give a documented outcome and nothing else."""

import gzip

from hypothesis import given, settings
from hypothesis import strategies as st
from raw_answers import JPEG, JSON, downloaded, search_client

from core.errors import BlockedError, ResponseFormatError, TransientError
from scraping.content_encoding import TooLongError, decode_body
from scraping.offline.raw_host import RawHost
from scraping.search.engine import ResultPage

_line = st.binary(max_size=40) | st.sampled_from(
    [
        b"Content-Length: 506", b"Content-Length: 1", b"Content-Length: -1", b"Content-Length: x",
        b"Transfer-Encoding: chunked", b"Content-Encoding: gzip", b"Content-Encoding: deflate",
        b"Location: /y", b"Location: http://[", b"Retry-After: \xd9\xa3", b"Retry-After: 1e999",
        b"X-Robots-Tag: noai", b"HTTP/1.1 200 OK", b"Connection: close", b"no colon", b"",
        b'Alt-Svc: h3=":443"', b"Set-Cookie: a=b; Domain=x",
    ]
)  # fmt: skip
_status_line = st.binary(max_size=30) | st.builds(
    lambda version, status, end: b"HTTP/" + version + b" " + status + end,
    st.sampled_from([b"1.1", b"1.0", b"2", b"0.9", b"1.2", b"x"]) | st.binary(max_size=4),
    st.integers(0, 999).map(lambda status: b"%03d" % status) | st.binary(max_size=5),
    st.sampled_from([b"", b" OK", b"\r", b"\0"]),
)
_body = st.binary(max_size=300) | st.sampled_from(
    [JPEG, JPEG[:100], b"1fa\r\n" + JPEG + b"\r\n0\r\n\r\n", b"<html>", b"\x1f\x8b\x08" + bytes(40)]
)
answers = st.binary(max_size=400) | st.builds(
    lambda status, lines, end, body: end.join([status, *lines]) + end + end + body,
    _status_line,
    st.lists(_line, max_size=6),
    st.sampled_from([b"\r\n", b"\n"]),
    _body,
)
"""Everything that a host sends: any bytes, and bytes that resemble HTTP."""


@settings(max_examples=100)
@given(answers, st.booleans())
def test_any_bytes_of_a_host_are_an_outcome(answer: bytes, respects_opt_out: bool) -> None:
    changes = {"respect_opt_out": respects_opt_out, "total_timeout_s": 0.5, "max_redirects": 2}
    assert downloaded(answer, **changes)


_engine_head = st.sampled_from(
    [b"HTTP/1.1 200 OK", b"HTTP/1.0 200", b"HTTP/1.1 302 Found", b"HTTP/1.1 500 x", b"HTTP/1.1 2"]
) | st.binary(max_size=20)
_engine_header = st.sampled_from(
    [b"Content-Encoding: gzip", b"Content-Encoding: deflate", b"Location: http://[",
     b"Content-Length: 3", b"Content-Length: x", b"Transfer-Encoding: chunked", b"no colon",
     b"Retry-After: x", b"Set-Cookie: \xff=\xfe; expires=never"]
) | st.binary(max_size=30)  # fmt: skip
_content = st.binary(max_size=200) | st.sampled_from(
    [JSON, JSON[:40], b"{}", b"<html>", b'{"antiFlag":1}', b'{"data":{"images":[{}]}}', b"[" * 200]
)


@settings(max_examples=60)
@given(
    st.binary(max_size=300)
    | st.builds(
        lambda head, lines, body: b"\r\n".join([head, *lines, b"", body]),
        _engine_head, st.lists(_engine_header, max_size=4), _content,
    )
)  # fmt: skip
def test_any_bytes_of_an_engine_are_a_page_or_one_of_the_errors(answer: bytes) -> None:
    with RawHost(lambda _path, _headers: answer) as host:
        try:
            page = search_client(host, total_timeout_s=0.5).search("x", 0)
        except (BlockedError, TransientError, ResponseFormatError):
            return
    assert isinstance(page, ResultPage)


@settings(max_examples=300)
@given(st.binary(max_size=400), st.sampled_from(["gzip", "deflate", "gzip, deflate", "br", ",,"]))
def test_any_bytes_have_their_encodings_undone_within_the_limit(body: bytes, names: str) -> None:
    for candidate in (body, gzip.compress(body)):
        try:
            assert len(decode_body(candidate, names, 300)) <= max(300, len(candidate))
        except TooLongError:
            assert len(body) > 300
