"""A server on loopback that speaks the protocols of the Hugging Face hub and of ModelScope.

It takes what ``huggingface_hub`` sends (repositories, preuploads, LFS, commits) and answers its
questions, and ModelScope's API of files. A hostile hub is one whose ``listed`` or ``sent`` was
changed.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "hf_a_token_of_the_test"
_LFS_BYTES = 1000  # longer files are stored as LFS objects


@dataclass
class Repository:
    private: bool = False
    files: dict[str, bytes] = field(default_factory=dict)
    listed: dict[str, dict[str, Any]] = field(default_factory=dict)  # in place of the true entry
    sent: dict[str, bytes] = field(default_factory=dict)  # in place of the true content

    @property
    def commit(self) -> str:
        text = json.dumps({k: hashlib.sha256(v).hexdigest() for k, v in sorted(self.files.items())})
        return hashlib.sha1(text.encode()).hexdigest()


@dataclass
class HubServer:
    url: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)  # by "models/user/name"
    objects: dict[str, bytes] = field(default_factory=dict)  # of LFS
    tokens: list[str] = field(default_factory=list)  # of the requests
    paths: list[str] = field(default_factory=list)

    def add(self, repo: str, files: dict[str, bytes], *, private: bool = False) -> Repository:
        return self.repositories.setdefault(f"models/{repo}", Repository(private, dict(files)))


def _entry(path: str, content: bytes) -> dict[str, Any]:
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    entry: dict[str, Any] = {"rfilename": path, "size": len(content), "blobId": blob}
    if len(content) > _LFS_BYTES:
        sha256 = hashlib.sha256(content).hexdigest()
        entry["lfs"] = {"sha256": sha256, "size": len(content), "pointerSize": 134}
    return entry


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: HubServer

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, status: int, body: Any = b"", **headers: str) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    @property
    def _has_token(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _repository(self, key: str) -> Repository | None:
        repository = self.hub.repositories.get(key)
        if repository is None or (repository.private and not self._has_token):
            self._answer(404, {"error": "Repository not found"}, X_Error_Code="RepoNotFound")
            return None
        return repository

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        path, query = unquote(url.path), parse_qs(url.query)
        self.hub.tokens.append(self.headers.get("Authorization") or "")
        self.hub.paths.append(self.path)
        if match := re.fullmatch(r"/api/(models|datasets)/([^/]+/[^/]+)(?:/revision/(.+))?", path):
            self._info(match[1], match[2], match[3] or "main")
        elif match := re.fullmatch(r"/api/(models|datasets)/([^/]+/[^/]+)/tree/([^/]+)/?", path):
            if repository := self._repository(f"{match[1]}/{match[2]}"):
                entries = [
                    {"type": "file", "path": name, "size": len(content),
                     "oid": _entry(name, content)["blobId"]}
                    for name, content in repository.files.items()
                ]  # fmt: skip
                self._answer(200, entries)
        elif match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            if repository := self._repository(f"models/{match[1]}"):
                self._send(repository, match[3])
        elif match := re.fullmatch(r"/api/v1/models/([^/]+/[^/]+)/repo/files", path):
            if repository := self._repository(f"models/{match[1]}"):
                files = [
                    {"Path": name, "Name": name, "Type": "blob", "Size": len(content),
                     "Sha256": hashlib.sha256(content).hexdigest(),
                     **repository.listed.get(name, {})}
                    for name, content in repository.files.items()
                ]  # fmt: skip
                self._answer(200, {"Code": 200, "Data": {"Files": files}})
        elif match := re.fullmatch(r"/api/v1/models/([^/]+/[^/]+)/repo", path):
            if repository := self._repository(f"models/{match[1]}"):
                self._send(repository, query["FilePath"][0])
        else:
            self._answer(404, {"error": "not found"})

    do_HEAD = do_GET

    def _info(self, kind: str, repo: str, revision: str) -> None:
        repository = self._repository(f"{kind}/{repo}")
        if repository is None:
            return
        if revision not in {"main", repository.commit}:
            self._answer(404, {"error": "Revision not found"}, X_Error_Code="RevisionNotFound")
            return
        siblings = [
            _entry(name, content) | repository.listed.get(name, {})
            for name, content in repository.files.items()
        ]
        body = {"id": repo, "sha": repository.commit, "private": repository.private}
        self._answer(200, body | {"siblings": siblings, "tags": [], "downloads": 0, "likes": 0})

    def _send(self, repository: Repository, path: str) -> None:
        content = repository.sent.get(path, repository.files.get(path))
        if content is None:
            self._answer(404, {"error": "Entry not found"}, X_Error_Code="EntryNotFound")
            return
        self._answer(200, content, X_Repo_Commit=repository.commit, ETag='"x"')

    def do_PUT(self) -> None:
        oid = self.path.rsplit("/", 1)[1]
        content = self._body()
        assert hashlib.sha256(content).hexdigest() == oid
        self.hub.objects[oid] = content
        self._answer(200)

    def do_POST(self) -> None:
        path, body = unquote(urlsplit(self.path).path), self._body()
        if not self._has_token:
            self._answer(401, {"error": "Invalid username or password."})
        elif path == "/api/repos/create":
            self._create(json.loads(body))
        elif path == "/api/validate-yaml":
            self._answer(200, {"errors": [], "warnings": []})
        elif match := re.fullmatch(r"/api/(models|datasets)/([^/]+/[^/]+)/preupload/.+", path):
            self._answer(200, {"files": [
                {"path": file["path"], "shouldIgnore": False,
                 "uploadMode": "lfs" if file["size"] > _LFS_BYTES else "regular"}
                for file in json.loads(body)["files"]
            ]})  # fmt: skip
        elif path.endswith(".git/info/lfs/objects/batch"):
            objects = [
                {"oid": each["oid"], "size": each["size"],
                 "actions": {"upload": {"href": f"{self.hub.url}/lfs/{each['oid']}"}}}
                for each in json.loads(body)["objects"]
            ]  # fmt: skip
            self._answer(200, {"transfer": "basic", "objects": objects})
        elif match := re.fullmatch(r"/api/(models|datasets)/([^/]+/[^/]+)/commit/.+", path):
            self._commit(f"{match[1]}/{match[2]}", body)
        else:
            self._answer(404, {"error": "not found"})

    def _create(self, request: dict[str, Any]) -> None:
        owner = request.get("organization") or "me"
        kind = f"{request.get('type') or 'model'}s"
        key, repo = f"{kind}/{owner}/{request['name']}", f"{owner}/{request['name']}"
        private = bool(request.get("private") or request.get("visibility") == "private")
        exists = key in self.hub.repositories
        self.hub.repositories.setdefault(key, Repository(private))
        prefix = "" if kind == "models" else f"{kind}/"
        url = f"{self.hub.url}/{prefix}{repo}"
        self._answer(409 if exists else 200, {"url": url, "name": repo, "id": repo})

    def _commit(self, key: str, body: bytes) -> None:
        repository = self.hub.repositories[key]
        for line in body.splitlines():
            operation = json.loads(line)
            value = operation["value"]
            if operation["key"] == "file":
                repository.files[value["path"]] = base64.b64decode(value["content"])
            elif operation["key"] == "lfsFile":
                repository.files[value["path"]] = self.hub.objects[value["oid"]]
            elif operation["key"] == "deletedFile":
                del repository.files[value["path"]]
        url = f"{self.hub.url}/{key.removeprefix('models/')}/commit/{repository.commit}"
        self._answer(200, {"commitUrl": url, "commitOid": repository.commit,
                           "success": True})  # fmt: skip


@contextlib.contextmanager
def hub_server() -> Iterator[HubServer]:
    """The server, until the end of the block."""
    hub = HubServer()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
