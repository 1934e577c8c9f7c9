"""``suyan web`` in a process of its own, for tests."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

_SERVE = """
import json, signal, sys
from pathlib import Path
from core.workspace import Workspace
from scraping.offline.corpus import group, portrait
from serving.models import open_model
from serving.web.app import ServerOptions, serve
from serving.web.session import Limits
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as cli.main.main does
folder, port, limits, others = sys.argv[1:]
model = open_model(Workspace(Path(folder)), "makeup", folder)
examples = [portrait("makeup", 3), group("makeup", 40)]
workspace = Workspace(Path(folder).parents[2])
options = ServerOptions(
    port=int(port), workspace=workspace, limits=Limits(**json.loads(limits)), **json.loads(others)
)
serve(model, options, examples)
"""


@contextmanager
def web_server(
    model_folder: Path, files: Path, options: dict[str, str] | None = None, **limits: float
) -> Iterator[str]:
    """The address of a server that keeps its files in ``files``, which is made.

    ``options`` are further ones of ``ServerOptions``.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    files.mkdir()
    (files / "suyan-web-999999999-killed").mkdir()  # by a server that was killed
    command = [sys.executable, "-c", _SERVE, str(model_folder), str(port)]
    command += [json.dumps(limits), json.dumps(options or {})]
    process = subprocess.Popen(
        command, env=os.environ | {"TMPDIR": str(files)}, stderr=subprocess.PIPE, text=True
    )
    url = f"http://127.0.0.1:{port}"
    try:
        while True:
            try:
                requests.get(f"{url}/api/model", timeout=60)
                break
            except requests.ConnectionError:
                assert process.poll() is None, process.communicate()[1]
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.communicate(timeout=60)
