"""The search engines of a crawl, and the searches that it makes at them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from scraping.config import CrawlConfig, EngineName
from scraping.search.baidu import Baidu
from scraping.search.engine import SearchEngine
from scraping.search.openverse import Openverse

_ENGINES: Mapping[EngineName, Callable[[CrawlConfig], SearchEngine]] = MappingProxyType(
    {"baidu": Baidu, "openverse": Openverse}
)


@dataclass(frozen=True)
class Search:
    """A phrase at an engine; ``label`` is what tables, listings and cursors call it."""

    engine: SearchEngine
    phrase: str

    @property
    def label(self) -> str:
        """The phrase, with the engine's name before it unless that is Baidu."""
        return f"{self.engine.label}{self.phrase}"


def build_engines(config: CrawlConfig) -> tuple[SearchEngine, ...]:
    """The engines that the crawl asks, in the order of its configuration."""
    return tuple(_ENGINES[name](config) for name in config.engines)


def engine_urls(config: CrawlConfig) -> tuple[str, ...]:
    """The addresses of the crawl's engines, each once."""
    return tuple(dict.fromkeys(engine.url for engine in build_engines(config)))


def build_searches(config: CrawlConfig) -> tuple[Search, ...]:
    """Every search of the crawl: each phrase at each engine, phrase by phrase."""
    engines = build_engines(config)
    return tuple(Search(engine, phrase) for phrase in config.searches for engine in engines)
