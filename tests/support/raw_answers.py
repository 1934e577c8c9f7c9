"""Downloads and searches whose host answers with bytes of the test's choice."""

import asyncio
import json

from scraping.config import CrawlConfig
from scraping.download.fetcher import Fetcher, PictureFile
from scraping.download.limits import DownloadLimits
from scraping.failure_reasons import FailedError, Reason, RejectedError
from scraping.offline.raw_host import RawHost
from scraping.search.client import SearchClient
from scraping.search.engines import build_engines

JPEG = b"\xff\xd8\xff\xe0" + bytes(500) + b"\xff\xd9"
JSON = json.dumps({"listNum": 1, "data": [{"di": "1", "objURL": "http://h/1.jpg"}, {}]}).encode()


def download_config(**changes: object) -> CrawlConfig:
    values = {
        "domain": "any",
        "phrases": ("x",),
        "allow_private_hosts": True,
        "requests_per_s_per_host": 100_000,
        "max_megabytes": 0.1,
        "total_timeout_s": 2,
        "read_timeout_s": 1,
        "num_tries": 1,
        "respect_opt_out": False,
    }
    return CrawlConfig.model_validate(values | changes)


async def download(url: str, referer: str = "", **changes: object) -> PictureFile | str:
    """The picture, or the error and its reason, "" for an unknown one; other errors are raised."""
    async with Fetcher(DownloadLimits.from_config(download_config(**changes))) as fetcher:
        try:
            return await fetcher.fetch(url, referer)
        except (RejectedError, FailedError) as error:
            is_documented = error.reason in set(Reason) or error.reason.startswith("http-")
            return f"{type(error).__name__} {error.reason}" if is_documented else ""


def downloaded(answer: bytes, **changes: object) -> PictureFile | str:
    """What ``download`` makes of a host that sends ``answer`` to every request."""
    with RawHost(lambda _path, _headers: answer) as host:
        return asyncio.run(download(f"{host.url}/x.jpg", **changes))


def search_client(host: RawHost, **changes: object) -> SearchClient:
    values = {
        "engine_url": host.url, "domain": "any", "phrases": ("x",), "num_tries": 1,
        "search_interval_s": 0, "max_cool_downs": 0, "total_timeout_s": 2,
    }  # fmt: skip
    config = CrawlConfig.model_validate(values | changes)
    (engine,) = build_engines(config)
    return SearchClient(config, engine, sleep=lambda _: None)
