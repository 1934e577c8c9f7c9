"""The reading of a crawl's own sources: folders and archives of pictures, lists of addresses."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from core.files import printable_name
from core.image_formats import FORMATS
from core.language.messages import localised
from core.progress import Progress
from core.workspace import Workspace
from scraping.catalogue import file_hits
from scraping.catalogue.entities import LIST_ENGINE, Stop, StopReason
from scraping.catalogue.repository import Catalogue
from scraping.config import CrawlConfig
from scraping.search.engine import Hit
from scraping.sources.address_lists import LIST_SUFFIXES, STANDARD_INPUT, AddressList
from scraping.sources.file_import import FileImport, FileSource
from scraping.sources.local_files import ARCHIVE_SUFFIXES, FolderScan, is_archive

_logger = logging.getLogger(__name__)
_ROWS_PER_PAGE = 500
_MAX_KEY_CHARS = 500
_STDIN_NAME = "standard input"
_LIST_FIELD = "list"  # of an address, in place of a field of a search engine's hit


@dataclass(frozen=True)
class Sources:
    """Folders, archives and lists that are read for a crawl, as a person names them."""

    folders: tuple[str, ...] = ()  # and archives
    lists: tuple[str, ...] = ()
    url_column: str = ""  # of the lists

    @classmethod
    def of_config(cls, config: CrawlConfig) -> Sources:
        """The sources that a crawl's configuration names."""
        return cls(config.folders, config.lists, config.url_column)

    @classmethod
    def of_names(cls, names: Iterable[str], url_column: str) -> Sources:
        """The sources with these names, each a folder, an archive or a list, or ``-``.

        Raises ``ValueError`` for any other.
        """
        folders, lists = list[str](), list[str]()
        for name in names:
            path = Path(name).expanduser()
            is_list = path.suffix.lower() in LIST_SUFFIXES and path.is_file()
            if is_list or name == STANDARD_INPUT:
                lists.append(name)
            elif path.is_dir() or (is_archive(path.name) and path.is_file()):
                folders.append(name)
            else:
                raise _wrong_source(name, path)
        if url_column and not lists:
            raise ValueError(
                localised(
                    "--url-column: got {url_column}, and no list of addresses to which it belongs",
                    url_column=url_column,
                )
            )
        return cls(tuple(folders), tuple(lists), url_column)

    def printed_names(self) -> list[str]:
        """What the sources are called in the catalogue, after their kind."""
        paths = (Path(name).expanduser().resolve() for name in (*self.folders, *self.lists))
        return [_STDIN_NAME if path.name == STANDARD_INPUT else path.name for path in paths]

    def __bool__(self) -> bool:
        return bool(self.folders or self.lists)


class SourceImport:
    """Reads sources into the catalogue of one crawl.

    Pictures of folders are originals afterwards; addresses of lists are hits, to be downloaded.
    """

    def __init__(
        self,
        config: CrawlConfig,
        crawl: str,
        workspace: Workspace,
        catalogue: Catalogue,
        progress: Progress,
    ) -> None:
        self._config, self._crawl, self._workspace = config, crawl, workspace
        self._catalogue, self._progress = catalogue, progress

    def run(self, sources: Sources) -> None:
        """Read the sources, those of earlier calls too: what is known costs a look.

        Raises ``ValueError`` for a source that is not there or gives nothing, unless it gave
        something before: then its row in the catalogue says so, and everything else goes on.
        """
        for name in sources.folders:
            self._read_files(name)
        for name in sources.lists:
            self._read_list(name, sources.url_column)

    def _read_files(self, name: str) -> None:
        source = self._file_source(name)
        is_known = file_hits.has_hits(self._catalogue, self._crawl, source.engine)
        if not source.path.exists():
            self._miss(name, source.label, is_known=is_known)
            return
        importer = FileImport(
            self._catalogue, self._crawl, self._workspace, int(self._config.max_megabytes * 1e6)
        )
        try:
            counts = importer.run(source, lambda num: self._report(num, source.label))
        except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
            if error.filename != str(source.path):  # not of the source, but of the workspace
                raise
            self._miss(name, source.label, is_known=is_known, problem=error.strerror or "")
            return
        if not counts.num_files and not is_known:
            formats = ", ".join(image_format.name for image_format in FORMATS)
            num_others = counts.other_files.total()
            content = (
                localised("{num} other files", num=num_others)
                if num_others
                else localised("no file")
            )
            kinds = ", ".join(
                f"{num} {suffix}" for suffix, num in counts.other_files.most_common(5)
            )
            raise ValueError(
                localised(
                    "{name}: found {content}{kinds} and no picture; needed at least one of "
                    "{formats}. Name another folder, or convert the pictures",
                    name=name,
                    content=content,
                    kinds=f" ({kinds})" if kinds else "",
                    formats=formats,
                )
            )
        if counts.num_gone or counts.num_changed:
            _logger.warning("%s: %s", source.label, counts.note())

    def _read_list(self, name: str, url_column: str) -> None:
        path = Path(name).expanduser()
        label = (
            f"list: {_STDIN_NAME if name == STANDARD_INPUT else printable_name(Path(path.name))}"
        )
        cursor = self._catalogue.cursor(self._crawl, label)
        address_list = AddressList(path, url_column)
        pages = _pages(_hits(address_list))
        cursor = replace(cursor, hits=0, stop=None)
        try:
            for page in pages:
                page_yield = self._catalogue.page_yield(self._crawl, LIST_ENGINE, cursor, page)
                cursor = replace(
                    cursor, hits=cursor.hits + len(page), new=cursor.new + page_yield.num_new
                )
                self._catalogue.save_page(self._crawl, LIST_ENGINE, cursor, page, time.time())
                self._report(cursor.hits, label)
        except (FileNotFoundError, PermissionError) as error:
            is_known = self._catalogue.cursor(self._crawl, label).hits > 0
            self._miss(name, label, is_known=is_known, problem=error.strerror or "")
            return
        if not cursor.hits:
            raise ValueError(
                localised(
                    "{name}: found {num_rows} rows and no address; needed at least one, e.g. "
                    "https://host/picture.jpg in a line of its own",
                    name=name,
                    num_rows=address_list.num_rows,
                )
            )
        note = address_list.note()
        if note:
            _logger.warning("%s: %s", label, note)
        cursor = replace(
            self._catalogue.cursor(self._crawl, label), stop=Stop(StopReason.ALL_READ, note)
        )
        self._catalogue.save_cursor(self._crawl, cursor)

    def _file_source(self, name: str) -> FileSource:
        path = Path(name).expanduser().resolve()
        kind = "archive" if is_archive(path.name) and not path.is_dir() else "folder"
        source = FileSource(path, f"{kind}: {printable_name(Path(path.name))}", kind)
        if not file_hits.is_label_of_other(
            self._catalogue, self._crawl, source.label, source.engine
        ):
            return source
        digits = hashlib.sha256(str(path).encode(errors="replace")).hexdigest()[:4]
        return replace(source, label=f"{source.label} ({digits})")

    def _miss(self, name: str, label: str, *, is_known: bool, problem: str = "") -> None:
        """Note a source that is not there; raises ``ValueError`` for one that never was."""
        text = localised("found no {name}", name=name) + (f" ({problem})" if problem else "")
        if not is_known:
            raise ValueError(
                localised(
                    "{text} (from {cwd}); needed a folder, an archive or a list that is there. A "
                    "relative name begins where the command or the worker was started",
                    text=text,
                    cwd=Path.cwd(),
                )
            )
        _logger.warning(localised("%s: %s; its pictures stay"), label, text)
        cursor = self._catalogue.cursor(self._crawl, label)
        stop = Stop(StopReason.MISSING, localised("{note}; its pictures stay", note=text)[:300])
        self._catalogue.save_cursor(self._crawl, replace(cursor, stop=stop))

    def _report(self, num: int, label: str) -> None:
        self._progress(
            localised("read {source}", source=label),
            num,
            None,
            localised("for {domain}", domain=self._config.domain),
        )


def count_pictures(config: CrawlConfig) -> int:
    """Number of files and addresses in the crawl's own folders and lists; nothing is opened but
    lists. Archives, and what cannot be read, count for nothing.
    """
    num = 0
    for name in config.folders:
        with contextlib.suppress(OSError):
            num += sum(1 for _ in FolderScan(Path(name).expanduser(), 0))
    for name in config.lists:
        with contextlib.suppress(OSError, ValueError):
            address_list = AddressList(Path(name).expanduser(), config.url_column)
            num += sum(1 for _ in address_list.addresses())
    return num


def _hits(address_list: AddressList) -> Iterator[Hit]:
    for address in address_list.addresses():
        key = address
        if len(address) > _MAX_KEY_CHARS:
            key = hashlib.sha256(address.encode()).hexdigest()
        yield Hit(key, ((_LIST_FIELD, address),), "", "", 0, 0)


def _pages(hits: Iterator[Hit]) -> Iterator[list[Hit]]:
    """The hits in pages, each key once in a page."""
    while page := list(islice(hits, _ROWS_PER_PAGE)):
        yield list({hit.key: hit for hit in page}.values())


def _wrong_source(name: str, path: Path) -> ValueError:
    needed = localised(
        "needed a folder, an archive ({archives}) or a list of addresses ({lists}; - for "
        "standard input)",
        archives=", ".join(ARCHIVE_SUFFIXES),
        lists=", ".join(LIST_SUFFIXES),
    )
    if not path.exists():
        return ValueError(
            localised(
                "got {name}, and there is no such file or folder; {needed}",
                name=name,
                needed=needed,
            )
        )
    return ValueError(
        localised("got {name}, whose name is of another kind; {needed}", name=name, needed=needed)
    )
