"""A model of a hub, fetched once into this machine's cache, each file checked by its digest."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import tempfile
from pathlib import Path

import requests

from core.errors import SuyanError
from core.files import atomic_file, digest, sync_folder, try_load_json, write_json
from core.language.messages import localised
from core.progress import Progress, silent
from storage.hub.hub_address import HubAddress, parse_hub_address
from storage.hub.hub_clients import HubListing, list_repository
from storage.hub.hub_listing import HubFile, model_files

_logger = logging.getLogger(__name__)
_CHUNK = 1 << 20
_TIMEOUT_S = (30, 60)  # to connect, and between two parts


def fetch_hub_model(text: str, *, progress: Progress = silent) -> Path:
    """The folder of the model that ``text`` (``hf://…``, ``ms://…``) names, in the cache.

    Only the files of a model are fetched, as ``hub_listing.MODEL_FILES`` says: safetensors and
    JSON, nothing that would be executed. The folder appears whole or not at all, and is named after
    its content. While the hub cannot be reached, the files that it had before are used. Raises
    ``ValueError`` for a malformed address, ``SuyanError`` for a repository that cannot be reached,
    is no model, or sends other bytes than it lists.
    """
    address = parse_hub_address(text)
    owner = _cache() / f"{address.scheme}--{address.repo.replace('/', '--')}"
    pointer = owner / f".{digest([address.endpoint, address.revision], 16)}.json"
    try:
        listing = list_repository(address)
    except SuyanError as error:
        folder = owner / str((try_load_json(pointer) or {}).get("folder"))
        if not folder.is_dir():
            raise
        _logger.warning(
            localised("%s. Until then the files that it had before are used"), error.problem
        )
        return folder
    files = model_files(listing.files, str(address))
    content = {file.path: file.sha256 or file.git_sha1 for file in files}
    folder = owner / digest(content, 16)
    if not folder.is_dir():
        _fetch_all(files, address, listing, folder, progress)
    write_json(pointer, {"folder": folder.name, "commit": listing.commit})
    return folder


def _fetch_all(
    files: list[HubFile],
    address: HubAddress,
    listing: HubListing,
    folder: Path,
    progress: Progress,
) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        for number, file in enumerate(files):
            progress("fetch", number, len(files), file.path)
            _fetch(file, address, listing, partial / file.path)
        progress("fetch", len(files), len(files), "")
        partial.chmod(0o755)
        if not folder.is_dir():  # another process was faster
            partial.rename(folder)
            sync_folder(folder.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _cache() -> Path:
    return Path(os.environ.get("SUYAN_CACHE") or "~/.cache/suyan").expanduser().absolute() / "hub"


def _fetch(file: HubFile, address: HubAddress, listing: HubListing, target: Path) -> None:
    """Write the file, whose content has the digest and the length that the hub listed."""
    checks = hashlib.sha256() if file.sha256 else hashlib.sha1(usedforsecurity=False)
    if not file.sha256:
        checks.update(b"blob %d\0" % file.num_bytes)
    num_bytes = 0
    try:
        with (
            requests.get(
                listing.urls[file.path],
                headers=dict(listing.headers),
                stream=True,
                timeout=_TIMEOUT_S,
            ) as answer,
            atomic_file(target) as written,
        ):
            answer.raise_for_status()
            for chunk in answer.iter_content(_CHUNK):
                num_bytes += len(chunk)
                if num_bytes > file.num_bytes:
                    break
                checks.update(chunk)
                written.write(chunk)
    except requests.RequestException as error:
        raise SuyanError(
            localised(
                "{address}: {path} could not be fetched: {error}",
                address=address,
                path=file.path,
                error=error,
            ),
            remedy=localised("Nothing was stored; try again when the network is back"),
        ) from error
    expected = file.sha256 or file.git_sha1
    if num_bytes != file.num_bytes or checks.hexdigest() != expected:
        more = "more than " if num_bytes > file.num_bytes else ""
        raise SuyanError(
            localised(
                "{address}: {path} came with {more}{num_bytes:,} bytes and another digest "
                "than the {listed:,} bytes with {expected}… that the hub lists",
                address=address,
                path=file.path,
                more=more,
                num_bytes=min(num_bytes, file.num_bytes),
                listed=file.num_bytes,
                expected=expected[:16],
            ),
            remedy=localised(
                "Nothing was stored; try again, and if it stays so do not trust the repository"
            ),
        )
