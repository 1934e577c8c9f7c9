"""A person's list of addresses is read as it is, and downloaded as hits of a search are."""

import io
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from crawl_runs import CRAWL_SCRIPT, ROOT, assert_whole
from own_pictures import jpeg, notes_of, reasons_of, rows_of, write_pictures

from core.workspace import Workspace
from scraping.config import CrawlConfig
from scraping.crawl import CrawlSummary, add, crawl
from scraping.forget import forget
from scraping.offline.raw_host import RawHost
from scraping.sources.address_lists import AddressList
from scraping.sources.source_import import Sources

ADDRESSES = ["https://a.example/1.jpg", "https://b.example/2.jpg?x=1,2", "https://c.example/素.jpg"]


def _read(path: Path, column: str = "") -> list[str]:
    return list(AddressList(path, column).addresses())


def _parquet(path: Path, columns: Mapping[str, Sequence[object]]) -> Path:
    pq.write_table(pa.table(dict(columns)), path)
    return path


_CSV = "".join(f'{k},"{a}"\n' for k, a in enumerate(ADDRESSES))
_EXCEL = "".join(f'{a};"b\r\nc"\r\n' for a in ADDRESSES)
_JSON = [json.dumps({"url": a, "n": 1}) for a in ADDRESSES]
TEXTS: dict[str, tuple[str, bytes]] = {
    "lines": ("x.txt", ("# mine\n\n" + "\n".join(ADDRESSES)).encode()),
    "lines of Windows": ("x.txt", ("\ufeff" + "\r\n".join(ADDRESSES) + "\r\n").encode()),
    "csv": ("x.csv", f"id,url\n{_CSV}".encode()),
    "csv of Excel": (
        "x.csv",
        f"sep=;\r\nURL;text\r\n{_EXCEL}".encode("gb18030"),
    ),
    "csv without a header": ("x.csv", "".join(f'"{a}",5\n' for a in ADDRESSES).encode()),
    "csv of one column": ("x.csv", ("picture\n" + "".join(f'"{a}"\n' for a in ADDRESSES)).encode()),
    "tsv": ("x.tsv", ("image_url\ttext\n" + "".join(f"{a}\tb, c\n" for a in ADDRESSES)).encode()),
    "utf-16": ("x.txt", "\n".join(ADDRESSES).encode("utf-16")),
    "json lines": ("x.jsonl", "\n".join(_JSON).encode()),
    "json strings": ("x.ndjson", "\n".join(json.dumps(a) for a in ADDRESSES).encode()),
}  # fmt: skip


def _rows_with_a_stray_quote(text: Callable[[int, str], str]) -> str:
    return "".join(text(row, '"' if row in {3, 7, 8} else "") for row in range(1, 11))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.csv", lambda row, quote: f"https://a.example/{row}.jpg,{quote}title {row}\n"),
        ("x.csv", lambda row, quote: f"{row},https://a.example/{row}.jpg,5 {quote}, wide\r\n"),
        ("x.tsv", lambda row, quote: f'{quote}a {row}\thttps://a.example/{row}.jpg\t"b"\n'),
    ],
)
def test_a_quote_that_is_never_closed_costs_no_other_row(
    tmp_path: Path, name: str, text: Callable[[int, str], str]
) -> None:
    first = text(0, "").replace("https://a.example/0.jpg", "url")
    (tmp_path / name).write_text(first + _rows_with_a_stray_quote(text), newline="")
    addresses = AddressList(tmp_path / name)
    assert [*addresses.addresses()] == [f"https://a.example/{row}.jpg" for row in range(1, 11)]
    assert not addresses.note()


def test_a_caption_that_is_too_long_costs_not_even_its_own_row(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(f'url,text\n{ADDRESSES[0]},"{"x" * 11_000_000}"\n{ADDRESSES[2]},b\n')
    assert _read(path) == [ADDRESSES[0], ADDRESSES[2]]


def test_a_wrong_column_is_named_though_the_first_line_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"href": \n{"href": "https://a.example/1.jpg", "n": 1}\n')
    with pytest.raises(ValueError, match=r"found the columns href, n, needed url"):
        _read(path, "url")


@pytest.mark.parametrize("kind", TEXTS)
def test_every_kind_of_list_gives_its_addresses(tmp_path: Path, kind: str) -> None:
    name, content = TEXTS[kind]
    (tmp_path / name).write_bytes(content)
    assert _read(tmp_path / name) == ADDRESSES


def test_a_parquet_file_gives_its_addresses(tmp_path: Path) -> None:
    path = _parquet(tmp_path / "x.parquet", {"n": [1, 2, 3], "URL": ADDRESSES})
    assert _read(path) == ADDRESSES
    path = _parquet(tmp_path / "x.parquet", {"url": [1, 2, 3], "where": ADDRESSES})
    assert _read(path, "where") == ADDRESSES


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_a_missing_column_is_answered_by_those_there_are(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x.{suffix}"
    row = {"id": "1", "where": "https://a.example/1.jpg"}
    if suffix == "parquet":
        _parquet(path, {name: [value] for name, value in row.items()})
    else:
        path.write_text(json.dumps(row) if suffix == "jsonl" else "id,where\n1,x\n")
    for column, wanted in (("", "url"), ("adress", "adress")):
        with pytest.raises(ValueError, match=f"columns id, where, needed {wanted}; .*--url-column"):
            _read(path, column)
    assert len(_read(path, "where")) == 1


def test_rows_without_an_address_are_counted_with_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    lines = ['{"url": "http://a.example/1"}', "{broken", '{"url": 7}', '{"other": "x"}', "",
             '{"url": ""}', '{"url": "http://a.example/2"}', "[" * 100_000]  # fmt: skip
    path.write_text("\n".join(lines))
    listed = AddressList(path)
    assert list(listed.addresses()) == ["http://a.example/1", "http://a.example/2"]
    assert listed.note() == "5 of 7 rows have no address (rows 2, 3, 4, 6, 8)"


def test_a_cell_as_long_as_a_book_costs_its_row(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(
        "url,text\nhttp://a.example/1,x\n" + "y" * 20_000_000 + ",\nhttp://a.example/2,x\n"
    )
    listed = AddressList(path)
    assert "http://a.example/2" in list(listed.addresses())
    assert listed.num_broken == 1


@pytest.mark.parametrize("content", [b"PAR1 no parquet", b"", b"\0" * 1000])
def test_what_is_no_parquet_says_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.parquet").write_bytes(content)
    with pytest.raises(ValueError, match="found no whole Parquet file"):
        _read(tmp_path / "x.parquet")


def test_a_parquet_file_without_pyarrow_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _parquet(tmp_path / "x.parquet", {"url": ADDRESSES})
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(
        ValueError, match=r"no pyarrow, .* install pyarrow, or save the list as CSV"
    ):
        _read(path)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "workspace"


class _Host:
    """Serves JPEGs by number; ``answers`` overrules paths, ``requests`` counts them."""

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.answers: dict[str, Callable[[], bytes]] = {}
        self.url = ""

    def answer(self, path: str, _headers: Mapping[str, str]) -> bytes:
        self.requests[path] += 1
        if path in self.answers:
            return self.answers[path]()
        if not path.endswith(".jpg"):
            return _response(404)
        return _response(200, jpeg(int(Path(path).stem)))

    def list(self, path: Path, *names: str) -> Path:
        path.write_text("\n".join(f"{self.url}/{name}" for name in names))
        return path


def _response(status: int, body: bytes = b"") -> bytes:
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body


@pytest.fixture
def host() -> Iterator[_Host]:
    served = _Host()
    with RawHost(served.answer) as raw:
        served.url = raw.url
        yield served


def _config(**changes: object) -> CrawlConfig:
    values = {"domain": "bare", "allow_private_hosts": True, "requests_per_s_per_host": 1000,
              "num_tries": 1}  # fmt: skip
    return CrawlConfig.model_validate(values | changes)


def _add(home: Path, *paths: Path, **changes: object) -> CrawlSummary:
    return add(_config(**changes), Sources.of_names(map(str, paths), ""), Workspace(home))


def test_addresses_of_a_list_become_originals(host: _Host, tmp_path: Path, home: Path) -> None:
    names = [f"{number}.jpg" for number in range(5)]
    summary = _add(home, host.list(tmp_path / "mine.txt", *names, "none.png", "0.jpg"))
    assert (summary.num_ok, summary.num_hits, summary.num_added) == (5, 6, 5)
    assert_whole(home, summary)
    assert reasons_of(summary) == {f"{host.url}/none.png": "http-404"}
    row = next(row for row in rows_of(summary) if row.status == "ok")
    assert (row.phrase, row.served_by) == ("list: mine.txt", "list")
    assert host.requests["/0.jpg"] == 1


def test_a_list_is_fetched_whole_whatever_num_images_says(
    host: _Host, tmp_path: Path, home: Path
) -> None:
    path = host.list(tmp_path / "mine.txt", *(f"{number}.jpg" for number in range(12)))
    summary = crawl(_config(lists=(str(path),), num_images=2), Workspace(home))
    assert (summary.num_ok, summary.partial) == (12, False)


def test_robots_of_a_listed_host_are_obeyed(host: _Host, tmp_path: Path, home: Path) -> None:
    host.answers["/robots.txt"] = lambda: _response(200, b"User-agent: *\nDisallow: /private")
    summary = _add(home, host.list(tmp_path / "mine.txt", "1.jpg", "private/2.jpg"))
    assert reasons_of(summary) == {f"{host.url}/private/2.jpg": "robots"}
    assert host.requests["/private/2.jpg"] == 0


def test_private_hosts_of_a_list_are_refused(host: _Host, tmp_path: Path, home: Path) -> None:
    path = host.list(tmp_path / "mine.txt", "1.jpg")
    with pytest.raises(Exception, match="all 1 hits were refused, as private-address"):
        _add(home, path, allow_private_hosts=False)
    assert not host.requests


def test_what_failed_alone_is_fetched_again(host: _Host, tmp_path: Path, home: Path) -> None:
    host.answers["/2.jpg"] = lambda: _response(503)
    path = host.list(tmp_path / "mine.txt", *(f"{number}.jpg" for number in range(4)))
    first = _add(home, path)
    assert (first.num_ok, first.partial, first.num_waiting) == (3, True, 1)
    del host.answers["/2.jpg"]
    host.requests.clear()
    second = _add(home, path)
    assert (second.num_ok, second.partial, second.num_added) == (4, False, 1)
    assert {path for path in host.requests if path != "/robots.txt"} == {"/2.jpg"}


def test_the_words_of_a_list_are_rows_with_reasons(host: _Host, tmp_path: Path, home: Path) -> None:
    (tmp_path / "mine.txt").write_text(
        f"{host.url}/1.jpg\nno address\nftp://a.example/1\nhttp://[\n"
    )
    summary = _add(home, tmp_path / "mine.txt")
    assert summary.num_ok == 1
    assert set(reasons_of(summary)) == {"no address", "ftp://a.example/1", "http://["}
    assert set(reasons_of(summary).values()) <= {"not-http", "bad-address"}


def test_a_forgotten_address_stays_away(host: _Host, tmp_path: Path, home: Path) -> None:
    path = host.list(tmp_path / "mine.txt", "1.jpg", "2.jpg")
    _add(home, path)
    forget(f"{host.url}/1.jpg", Workspace(home))
    host.requests.clear()
    (tmp_path / "faces").mkdir()
    (tmp_path / "faces" / "same.jpg").write_bytes(jpeg(1))
    summary = _add(home, path, tmp_path / "faces")
    assert summary.num_ok == 1
    assert set(reasons_of(summary).values()) == {"forgotten"}
    assert not host.requests


def test_a_refresh_fetches_what_is_new_in_a_list(host: _Host, tmp_path: Path, home: Path) -> None:
    path = host.list(tmp_path / "mine.txt", "1.jpg", "2.jpg")
    config = _config(lists=(str(path),), refresh_after_h=0.0)
    crawl(config, Workspace(home))
    host.list(path, "2.jpg", "3.jpg")
    summary = crawl(config, Workspace(home))
    assert (summary.num_ok, summary.num_added) == (3, 1)
    assert host.requests["/2.jpg"] == 1
    path.unlink()
    gone = crawl(config, Workspace(home))
    assert (gone.num_ok, gone.partial) == (3, True)
    assert "missing: found no" in notes_of(gone)


def test_folders_lists_and_added_pictures_are_one_crawl(
    host: _Host, tmp_path: Path, home: Path
) -> None:
    path = host.list(tmp_path / "mine.txt", "1.jpg", "50.jpg")
    folder = write_pictures(tmp_path / "faces", 3)
    config = _config(lists=(str(path),), folders=(str(folder),))
    summary = crawl(config, Workspace(home))
    assert summary.num_ok == 4  # 1.jpg is in both
    extra = write_pictures(tmp_path / "extra", 2, first=30)
    summary = add(config, Sources((str(extra),)), Workspace(home))
    assert (summary.num_ok, summary.num_added) == (6, 2)
    assert {row["phrase"] for row in summary.phrases} == {
        "folder: faces", "folder: extra", "list: mine.txt",
    }  # fmt: skip


def test_a_list_of_nothing_says_so(tmp_path: Path, home: Path) -> None:
    (tmp_path / "mine.csv").write_text("url\n\n\n")
    with pytest.raises(ValueError, match="found 0 rows and no address; needed at least one"):
        _add(home, tmp_path / "mine.csv")


@pytest.mark.parametrize("text", ["{a}\n{b}\n", '{{"url": "{a}"}}\n{{"url": "{b}"}}\n'])
def test_standard_input_is_a_list(
    host: _Host, home: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    content = text.format(a=f"{host.url}/1.jpg", b=f"{host.url}/2.jpg")
    monkeypatch.setattr("sys.stdin", io.StringIO(content))
    summary = add(_config(), Sources.of_names(["-"], ""), Workspace(home))
    assert summary.num_ok == 2
    assert {row["phrase"] for row in summary.phrases} == {"list: standard input"}


@pytest.mark.slow
def test_a_killed_download_of_a_list_goes_on(host: _Host, tmp_path: Path, home: Path) -> None:
    num = 200
    path = host.list(tmp_path / "mine.txt", *(f"{number}.jpg" for number in range(num)))
    slow = _config(lists=(str(path),), requests_per_s_per_host=40)
    command = [sys.executable, "-c", CRAWL_SCRIPT, slow.model_dump_json(), str(home)]
    process = subprocess.Popen(command, cwd=ROOT)
    while len(list(home.glob("originals/*/*.jpg"))) < 20:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    whole = _config(lists=(str(path),), num_tries=3)
    summary = crawl(whole, Workspace(home))
    if summary.partial:  # a busy machine refused a connection
        summary = crawl(whole, Workspace(home))
    assert (summary.num_ok, summary.partial) == (num, False)
    assert_whole(home, summary)
    assert sum(1 for count in host.requests.values() if count > 1) < num // 2
