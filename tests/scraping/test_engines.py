"""Several engines in one crawl: whose turn, whose refusal, whose licence; against a server that
speaks both Baidu's format and Openverse's."""

import json
import sqlite3
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from crawl_runs import assert_whole, crawl_config, start_crawl
from pydantic import ValidationError
from raw_answers import search_client

from core.config_identity import identity
from core.errors import QuotaError, TransientError
from core.tables import Original, read_rows
from core.workspace import Workspace
from scraping.config import CrawlConfig
from scraping.crawl import CrawlSummary, crawl, crawl_name
from scraping.forget import forget
from scraping.offline import openverse_answers
from scraping.offline.corpus import Corpus, portrait_corpus
from scraping.offline.raw_host import RawHost
from scraping.offline.server import OfflineEngine, Refusal

PHRASE = "素颜 照片"
OPENVERSE = f"openverse: {PHRASE}"


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    """Twenty-five pictures, all of which are served: two pages of Openverse."""
    whole = portrait_corpus(num_good=25)
    items = tuple(replace(item, behaviour="serve") for item in whole.items["bare"][:25])
    return Corpus({"bare": items}, whole.words)


def _config(engine: OfflineEngine, *names: str, **changes: object) -> CrawlConfig:
    return crawl_config(engine, engines=names, phrases=(PHRASE,), **changes)


def _stops(summary: CrawlSummary) -> dict[str, str]:
    return {row["phrase"]: str(row["stopped_because"]).partition(":")[0] for row in summary.phrases}


def test_pictures_of_openverse_carry_licence_author_and_attribution(
    corpus: Corpus, tmp_path: Path
) -> None:
    with OfflineEngine(corpus) as engine:
        summary = crawl(_config(engine, "openverse"), Workspace(tmp_path))
        assert engine.num_searches == 2
    rows = [row for row in read_rows(summary.listing, Original) if row.status == "ok"]
    assert summary.num_ok == len(rows) == 25
    assert _stops(summary) == {OPENVERSE: "exhausted"}
    assert_whole(tmp_path, summary)
    assert {row.served_by for row in rows} == {"url"}
    assert {row.license for row in rows} >= {"CC BY 2.0", "CC0 1.0"}
    for row in rows:
        assert row.license_url.startswith("https://creativecommons.org/")
        assert row.license in row.attribution
        assert not row.creator or f"by {row.creator}" in row.attribution
        assert row.page_url.startswith("https://drawings.example/")
    assert any(row.creator for row in rows)


def test_two_engines_search_every_phrase_and_a_picture_of_both_is_one_original(
    corpus: Corpus, tmp_path: Path
) -> None:
    with OfflineEngine(corpus) as engine:
        summary = crawl(_config(engine, "baidu", "openverse"), Workspace(tmp_path))
        downloads = engine.downloads.copy()
    rows = read_rows(summary.listing, Original)
    assert _stops(summary) == {PHRASE: "exhausted", OPENVERSE: "exhausted"}
    assert summary.num_ok == 25
    assert summary.num_hits == 50
    assert set(downloads.values()) == {1}
    assert {bool(row.license) for row in rows if row.phrase == PHRASE} == {False}
    assert {bool(row.license) for row in rows if row.phrase == OPENVERSE} == {True}


@pytest.mark.parametrize("refusal", ["anti-bot", "captcha", "portal", "empty-pages"])
@pytest.mark.parametrize("block_after", [0, 1])
def test_a_refusal_of_openverse_leaves_the_crawl_partial(
    corpus: Corpus, tmp_path: Path, refusal: Refusal, block_after: int
) -> None:
    with OfflineEngine(corpus, block_after=block_after, refusal=refusal) as engine:
        config = _config(engine, "openverse")
        refused = crawl(config, Workspace(tmp_path))
    port = urlsplit(config.engine_url).port
    assert port is not None
    with OfflineEngine(corpus, port=port) as engine:
        assert engine.url == config.engine_url
        whole = crawl(config, Workspace(tmp_path))
    assert (refused.partial, _stops(refused)) == (True, {OPENVERSE: "blocked"})
    assert refused.num_hits == 20 * block_after
    assert (whole.partial, _stops(whole)) == (False, {OPENVERSE: "exhausted"})
    assert whole.num_hits == 25


def test_a_pause_that_is_asked_for_is_waited_out(corpus: Corpus, tmp_path: Path) -> None:
    with OfflineEngine(
        corpus, block_after=1, refusal="throttled", num_refusals=1, retry_after_s=0
    ) as engine:
        summary = crawl(_config(engine, "openverse"), Workspace(tmp_path))
        assert engine.num_searches == 3
    assert (summary.partial, _stops(summary)) == (False, {OPENVERSE: "exhausted"})


def test_a_used_up_quota_is_asked_once_and_the_other_engine_goes_on(
    corpus: Corpus, tmp_path: Path
) -> None:
    class UsedUp(OfflineEngine):
        """Baidu answers; Openverse's quota is used up."""

        async def _images(self, *arguments: object) -> object:  # type: ignore[override]
            self._block_after = 0
            response = await super()._images(*arguments)  # type: ignore[arg-type]
            self._block_after = None
            asked.append(arguments)
            return response

    asked: list[object] = []
    phrases = tuple(f"素颜 {number}" for number in range(4))
    with UsedUp(corpus, refusal="throttled", retry_after_s=80_000) as engine:
        config = crawl_config(engine, engines=("baidu", "openverse"), phrases=phrases)
        summary = crawl(config, Workspace(tmp_path))
    assert len(asked) == 1
    assert summary.num_ok == 25
    assert summary.partial
    stops = {row["phrase"]: str(row["stopped_because"]) for row in summary.phrases}
    refused = [stop for phrase, stop in stops.items() if phrase.startswith("openverse: ")]
    assert sum("its quota is used up" in stop for stop in refused) == 1
    assert sum("not asked" in stop for stop in refused) == 3
    others = [stop for phrase, stop in stops.items() if phrase in phrases]
    assert not any(stop.startswith("blocked") for stop in others)


def test_maintenance_of_the_only_engine_is_an_error_that_names_it(
    corpus: Corpus, tmp_path: Path
) -> None:
    with (
        OfflineEngine(corpus, block_after=0, refusal="maintenance") as engine,
        pytest.raises(TransientError, match=rf"{engine.url} answered none of 1 searches.*503"),
    ):
        crawl(_config(engine, "openverse", num_tries=1), Workspace(tmp_path))


def test_openverse_is_asked_with_its_own_name_without_a_cookie_for_twenty_hits() -> None:
    requests: list[tuple[str, dict[str, str]]] = []

    def answer(path: str, headers: object) -> bytes:
        requests.append((path, {k.lower(): v for k, v in dict(headers).items()}))  # type: ignore[call-overload]
        body = json.dumps({"result_count": 0, "page_count": 0, "results": []}).encode()
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)

    with RawHost(answer) as host:
        page = search_client(host, engines=("openverse",)).search("lake", 0)
    ((path, headers),) = requests
    assert page.hits == ()
    assert parse_qs(urlsplit(path).query)["page_size"] == ["20"]
    assert headers["user-agent"].startswith("Suyan")
    assert "cookie" not in headers


def test_a_quota_of_baidu_is_not_waited_out_either(corpus: Corpus) -> None:
    def answer(_path: str, _headers: object) -> bytes:
        return b"HTTP/1.1 429 Slow\r\nRetry-After: 7200\r\nContent-Length: 0\r\n\r\n"

    with RawHost(answer) as host, pytest.raises(QuotaError, match="2 h 00 min"):
        search_client(host, max_cool_downs=2).search("x", 0)


@pytest.mark.slow
def test_a_killed_crawl_of_two_engines_goes_on_and_keeps_its_licences(
    corpus: Corpus, tmp_path: Path
) -> None:
    with OfflineEngine(corpus) as engine:
        config = _config(engine, "baidu", "openverse", requests_per_s_per_host=10)
        with start_crawl(config, tmp_path) as process:
            while engine.num_files < 8:
                assert process.poll() is None
            process.kill()
        summary = crawl(config, Workspace(tmp_path))
    assert_whole(tmp_path, summary)
    assert summary.num_ok == 25
    rows = read_rows(summary.listing, Original)
    assert sum(row.license != "" for row in rows) == 25


def test_a_licence_that_changed_is_stated_as_it_is_now(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with OfflineEngine(corpus) as engine:
        config = _config(engine, "openverse")
        crawl(config, Workspace(tmp_path))
        licence = ("by", "9.0", "CC BY 9.0", "https://creativecommons.org/licenses/by/9.0/")
        monkeypatch.setattr(openverse_answers, "_LICENSES", (licence,))
        refreshed = config.model_copy(update={"refresh_after_h": 0.0})
        summary = crawl(refreshed, Workspace(tmp_path))
    assert {row.license for row in read_rows(summary.listing, Original)} == {"CC BY 9.0"}


def test_the_author_of_a_forgotten_picture_is_forgotten_too_and_stays_so(
    corpus: Corpus, tmp_path: Path
) -> None:
    workspace = Workspace(tmp_path)
    with OfflineEngine(corpus) as engine:
        config = _config(engine, "openverse")
        rows = read_rows(crawl(config, workspace).listing, Original)
        row = next(row for row in rows if row.status == "ok" and row.creator)
        forget(row.sha256, workspace)
        refreshed = config.model_copy(update={"refresh_after_h": 0.0})
        listings = [read_rows(workspace.crawl(crawl_name(config)).listing, Original)]
        listings.append(read_rows(crawl(refreshed, workspace).listing, Original))
    for listing in listings:
        (rejected,) = (each for each in listing if each.url == row.url)
        assert rejected.reason == "forgotten"
        assert (rejected.creator, rejected.attribution, rejected.license) == ("", "", "")
        assert sum(each.license != "" for each in listing) == 24


def test_the_default_engine_is_baidu_and_crawls_keep_their_names() -> None:
    config = CrawlConfig(domain="bare", phrases=(PHRASE,))
    assert config.engines == ("baidu",)
    assert "engines" not in identity(config)
    both = CrawlConfig(domain="bare", phrases=(PHRASE,), engines=("baidu", "openverse"))
    assert crawl_name(both) != crawl_name(config)


def test_a_crawl_of_commercial_licences_has_no_other_picture(
    corpus: Corpus, tmp_path: Path
) -> None:
    with OfflineEngine(corpus) as engine:
        config = _config(engine, "openverse", licenses=("commercial",))
        rows = read_rows(crawl(config, Workspace(tmp_path)).listing, Original)
        assert "licenses" not in identity(_config(engine, "openverse"))
    found = {row.license for row in rows}
    assert {"CC BY 2.0", "CC0 1.0"} <= found
    assert not [name for name in found if "NC" in name]


@pytest.mark.remedy(", which states no licence; needed engines: [openverse]")
def test_licences_are_refused_with_an_engine_that_states_none() -> None:
    values = {"domain": "bare", "phrases": ("x",), "licenses": ["commercial"]}
    for engines in (["baidu"], ["baidu", "openverse"]):
        with pytest.raises(ValidationError, match=r"needed engines: \[openverse\]"):
            CrawlConfig.model_validate({**values, "engines": engines})
    CrawlConfig.model_validate({**values, "engines": ["openverse"]})


@pytest.mark.parametrize("engines", [(), ("bing",), ("openverse", "openverse")])
def test_engines_are_known_and_each_is_named_once(engines: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError, match="engines"):
        CrawlConfig.model_validate({"domain": "bare", "phrases": ("x",), "engines": engines})


def test_baidus_hits_take_no_row_of_credits(corpus: Corpus, tmp_path: Path) -> None:
    with OfflineEngine(corpus) as engine:
        crawl(_config(engine, "baidu"), Workspace(tmp_path))
    with sqlite3.connect(tmp_path / "catalogue.sqlite") as catalogue:
        assert catalogue.execute("SELECT count(*) FROM hits").fetchone()[0] > 0
        assert catalogue.execute("SELECT count(*) FROM credits").fetchone() == (0,)
