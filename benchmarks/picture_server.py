"""A picture host for benchmarks: nginx on loopback over a folder of JPEGs in memory."""

from __future__ import annotations

import contextlib
import io
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

_CONFIGURATION = """
worker_processes 1;
pid {home}/nginx.pid;
error_log {home}/error.log;
daemon off;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  sendfile on;
  keepalive_requests 1000000;
  types {{ image/jpeg jpg; }}
  client_body_temp_path {home}/body;
  proxy_temp_path {home}/proxy;
  fastcgi_temp_path {home}/fastcgi;
  uwsgi_temp_path {home}/uwsgi;
  scgi_temp_path {home}/scgi;
  server {{ listen 127.0.0.1:{port}; root {home}/pictures; }}
}}
"""


def ram_folder() -> Path | None:
    """A folder in memory, if the system has one, so that no disk is measured."""
    return Path("/dev/shm") if Path("/dev/shm").is_dir() else None


@contextlib.contextmanager
def serve_pictures(num: int, side_px: int, quality: int) -> Iterator[list[str]]:
    """Serve ``num`` different JPEGs of ``side_px`` squared; yields their addresses.

    Raises ``SystemExit`` with the remedy where nginx is missing.
    """
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        raise SystemExit("needed nginx, found none: apt-get install nginx-light")
    home = Path(tempfile.mkdtemp(prefix="suyan-bench-", dir=ram_folder()))
    try:
        _draw(home / "pictures", num, side_px, quality)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        (home / "nginx.conf").write_text(_CONFIGURATION.format(home=home, port=port))
        home.chmod(0o755)
        server = subprocess.Popen([nginx, "-c", f"{home}/nginx.conf", "-p", str(home)])
        try:
            urls = [f"http://127.0.0.1:{port}/{index:06d}.jpg" for index in range(num)]
            _wait(urls[0])
            yield urls
        finally:
            server.terminate()
            server.wait(10)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _draw(folder: Path, num: int, side_px: int, quality: int) -> None:
    """One noisy picture, and ``num`` files that differ from it in a comment."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    small = rng.integers(0, 255, (side_px // 8, side_px // 8, 3), np.uint8)
    picture = Image.fromarray(small).resize((side_px, side_px), Image.Resampling.BICUBIC)
    for index in range(num):
        buffer = io.BytesIO()
        if index == 0:
            picture.save(buffer, "JPEG", quality=quality)
            plain = buffer.getvalue()
        comment = f"picture {index}".encode()
        marker = b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment
        (folder / f"{index:06d}.jpg").write_bytes(plain[:2] + marker + plain[2:])


def _wait(url: str) -> None:
    for _ in range(100):
        with contextlib.suppress(OSError), urllib.request.urlopen(url) as answer:
            answer.read()
            return
        time.sleep(0.05)
    raise SystemExit("nginx did not answer")
