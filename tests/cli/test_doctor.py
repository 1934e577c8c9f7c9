import importlib.util
import os
import re
import sqlite3
import sys
import threading
import warnings
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from cli import doctor
from cli.inventory import machine_findings
from cli.inventory.machine_findings import compiler_finding, locale_finding, torch_finding
from core.workspace import Workspace
from flows.server import prefect_server
from scraping.config import CrawlConfig
from scraping.offline.raw_host import RawHost
from storage.remote import open_workspace


def test_the_doctor_finds_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "catalogue.sqlite").write_bytes(b"not a database" * 100)
    (tmp_path / "prefect").mkdir()
    (tmp_path / "prefect" / "worker.json").write_text('{"pid": 1}')
    monkeypatch.setattr(doctor, "_NO_DISK_GB", 1e9)
    monkeypatch.setattr(doctor, "TIMEOUT_S", 0.5)
    findings = {
        finding.subject: finding for finding in doctor.examine(Workspace(tmp_path), "makeup")
    }
    problems = {name for name, finding in findings.items() if finding.level == "problem"}
    assert problems - {"search"} == {"disk", "catalogue", "worker"}  # there may be no network
    assert findings["worker"].remedy.endswith(f"suyan up --workspace {tmp_path}")
    assert findings["server"].level == "note"
    assert findings["Python"].level == "ok"


def _findings(monkeypatch: pytest.MonkeyPatch, **variables: str) -> dict[str, doctor.Finding]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return {"proxy": machine_findings.proxy_finding()}


def test_the_doctor_names_a_proxy_and_what_it_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _findings(monkeypatch)["proxy"].level == "ok"
    with RawHost(lambda _path, _headers: b"") as proxy:
        address = f"http://me:secret@127.0.0.1:{proxy.port}"
        finding = _findings(monkeypatch, https_proxy=address)["proxy"]
    assert finding.level == "note"
    assert finding.observation == f"https_proxy=http://127.0.0.1:{proxy.port}"
    assert "share its speed" in finding.remedy
    assert "judged by the proxy" in finding.remedy


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "127.0.0.1:9", "http://proxy.invalid:1"])
def test_a_proxy_that_cannot_be_reached_is_a_problem(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    finding = _findings(monkeypatch, http_proxy=address)["proxy"]
    assert finding.level == "problem"
    assert "unset" in finding.remedy


def test_a_socks_proxy_needs_a_package(monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec("socksio"):
        pytest.skip("socksio is installed")
    finding = _findings(monkeypatch, ALL_PROXY="socks5://127.0.0.1:9")["proxy"]
    assert (finding.level, "socksio" in finding.remedy) == ("problem", True)


def _search(url: str) -> doctor.Finding:
    return doctor.search_finding(CrawlConfig(engine_url=url, domain="any", phrases=("x",)))


@pytest.mark.parametrize("url", ["http://engine.invalid", "http://127.0.0.1:9"])
def test_an_engine_that_cannot_be_reached_is_a_problem_in_one_line(url: str) -> None:
    finding = _search(url)
    assert finding.level == "problem"
    assert len(finding.observation) < 120
    assert "\n" not in finding.observation


def test_an_engine_that_answers_or_refuses_is_none() -> None:
    answers = {"ok": b"HTTP/1.1 200 OK\r\n\r\n", "note": b"HTTP/1.1 403 No\r\n\r\n"}
    for level, answer in answers.items():
        with RawHost(lambda _path, _headers, answer=answer: answer) as engine:  # type: ignore[misc]
            assert _search(engine.url).level == level


def test_of_two_engines_the_one_that_is_not_well_is_named() -> None:
    def answer(path: str, _headers: object) -> bytes:
        status = b"403 No" if path.startswith("/v1/") else b"200 OK"
        return b"HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n" % status

    with RawHost(answer) as engine:
        config = CrawlConfig(
            engine_url=engine.url, engines=("baidu", "openverse"), domain="any", phrases=("x",)
        )
        finding = doctor.search_finding(config)
    assert (finding.level, "status 403" in finding.observation) == ("note", True)


def test_another_locale_and_a_missing_compiler_are_notes_with_their_cost(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert locale_finding().level == compiler_finding().level == "ok"
    monkeypatch.setattr("locale.getencoding", lambda: "gbk")
    monkeypatch.setenv("PATH", str(tmp_path))
    locale, compiler = locale_finding(), compiler_finding()
    assert (locale.level, locale.remedy) == ("note", "export LC_ALL=C.UTF-8")
    assert locale.observation.startswith("gbk: ")
    assert compiler.level == "note"
    assert "half as long again" in compiler.observation
    assert "g++" in compiler.remedy


@pytest.mark.remedy("auto")
def test_the_build_of_torch_is_named_with_its_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(machine_findings, "_has_nvidia_driver", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    without_gpu = torch_finding()
    assert without_gpu.level == "note"
    assert "for CUDA 13.0: without a GPU" in without_gpu.observation
    assert without_gpu.remedy.endswith("clean setup TORCH=cpu")
    monkeypatch.setattr(torch.version, "cuda", None)
    assert torch_finding().level == "ok"
    assert torch_finding().observation.endswith("for CPUs alone")
    monkeypatch.setattr(machine_findings, "_has_nvidia_driver", lambda: True)
    unused = torch_finding()
    assert (unused.level, "is not used" in unused.observation) == ("problem", True)
    assert unused.remedy.endswith("clean setup TORCH=auto")


def test_a_gpu_that_the_build_of_torch_cannot_use_is_a_problem(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An old driver, and an old GPU: torch says so in warnings, here the words of its release."""
    import torch

    def too_old() -> bool:
        warnings.warn("CUDA initialization: The NVIDIA driver is too old (12040).", stacklevel=1)
        return False

    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(machine_findings, "_has_nvidia_driver", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", too_old)
    driver = torch_finding()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(
        torch.cuda,
        "get_device_name",
        lambda: warnings.warn("GPU0 has\n  capability 6.0", stacklevel=1),
    )
    gpu = torch_finding()
    for finding, reason in ((driver, "too old (12040)."), (gpu, "GPU0 has capability 6.0")):
        assert (finding.level, finding.observation.endswith(reason)) == ("problem", True)
        assert finding.remedy.endswith("clean setup TORCH=auto")
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "GPU0")
    assert torch_finding().level == "ok"


def test_an_installed_package_is_checked_without_the_repository(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It has no constraints.txt to compare with, and no Makefile."""
    import torch

    monkeypatch.setattr("core.commands._REPOSITORY", tmp_path)
    monkeypatch.setattr("flows.installation.ROOT", tmp_path)
    packages = doctor._packages()
    assert (packages.level, packages.observation.startswith("prefect 3.")) == ("ok", True)
    monkeypatch.setitem(sys.modules, "prefect.server.api.server", None)
    server = doctor._server_code()
    assert (server.level, "fastapi<0.151" in server.remedy) == ("problem", True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(machine_findings, "_has_nvidia_driver", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    assert torch_finding().remedy.endswith("uv pip install --torch-backend cpu '.[web,export]'")


@pytest.mark.remedy(
    " cannot be written to",
    "none: a bucket holds no database",
    "Restore a copy of the file.",
    "missing: reports leave Inception figures out",
    "export LC_ALL=C.UTF-8",
    ", without a password",
)
def test_each_problem_goes_as_the_doctor_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writable = os.access
    with monkeypatch.context() as patch:
        patch.setattr(doctor.os, "access", lambda path, mode: (
            path != tmp_path and writable(path, mode)
        ))  # fmt: skip
        assert doctor._disk(Workspace(tmp_path)).level == "problem"
        (tmp_path / "another").mkdir()
        assert doctor._disk(Workspace(tmp_path / "another")).level != "problem"
    monkeypatch.setenv("SUYAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SUYAN_CATALOGUE_URL", raising=False)
    shared = open_workspace("s3://bucket")
    assert doctor._catalogue(shared).level == "problem"
    monkeypatch.setenv("SUYAN_CATALOGUE_URL", "postgresql+psycopg://me@db/suyan")
    assert doctor._catalogue(shared).level == "ok"
    file, copy = tmp_path / "c.sqlite", tmp_path / "copy.sqlite"
    for path in (file, copy):
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE hits (key TEXT)")
            connection.executemany("INSERT INTO hits VALUES (?)", [("x" * 99,)] * 999)
        connection.close()
    content = bytearray(file.read_bytes())
    content[5000:9000] = bytes(4000)
    file.write_bytes(content)
    assert doctor._database("catalogue", file).level == "problem"
    copy.replace(file)
    assert doctor._database("catalogue", file).level == "ok"
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    finding = doctor._inception()
    assert finding.level == "note"
    (place,) = re.findall(r" at (\S+),", finding.remedy)
    Path(place.replace("~", str(Path.home()), 1)).parent.mkdir(parents=True)
    Path(place.replace("~", str(Path.home()), 1)).write_bytes(b"weights")
    assert doctor._inception().level == "ok"
    monkeypatch.setattr("locale.getencoding", lambda: "gbk")
    assert locale_finding().level == "note"
    monkeypatch.setattr("locale.getencoding", lambda: "UTF-8")
    assert locale_finding().level == "ok"


def test_a_server_for_everybody_needs_a_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [200, 401]
    server = prefect_server.Server("http://h", "http://h/api", tmp_path, False, "0.0.0.0")
    monkeypatch.setattr(prefect_server, "running_server", lambda _: server)
    monkeypatch.setattr(doctor, "_answers_anybody", lambda _: answers.pop(0) == 200)
    assert doctor._access(Workspace(tmp_path)).level == "problem"
    assert doctor._access(Workspace(tmp_path)).level == "ok"


@pytest.mark.remedy("Correct or unset the variable.")
def test_a_server_that_the_environment_names_is_asked_instead_of_the_workspaces(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As in a container of compose.yaml, where there is nothing to start."""

    class Healthy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/api/health" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    workspace = Workspace(tmp_path)
    with HTTPServer(("127.0.0.1", 0), Healthy) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/api"
        monkeypatch.setenv("PREFECT_API_URL", url.replace("//", "//me:secret@"))
        try:
            checks = (doctor._server, doctor._worker, doctor._deployments)
            findings = [check(workspace) for check in checks]
        finally:
            server.shutdown()
            thread.join()
    assert [finding.level for finding in findings] == ["ok"] * 3
    assert all(url in finding.observation for finding in findings)
    gone = doctor._server(workspace)
    assert (gone.level, gone.remedy) == ("problem", "Correct or unset the variable.")
    monkeypatch.delenv("PREFECT_API_URL")  # the remedy
    assert doctor._server(workspace).level == "note"
