"""The server: its endpoints and limits, who is admitted, a proxy before it, and what it leaves."""

import importlib.util
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import requests
import uvicorn
from model_maker import ModelMaker
from PIL import Image
from remedies import remedy
from starlette.testclient import TestClient
from web_server import web_server

from core.workspace import Workspace
from scraping.offline.corpus import group, jpeg, portrait
from serving.models import Model, open_model
from serving.translate import TranslateOptions
from serving.web.access import load_credentials
from serving.web.app import ServerOptions, application, check_root_path
from serving.web.model_library import ModelLibrary
from serving.web.session import Limits, RefusedError, Session
from serving.web.strings import TEXTS
from serving.web.visitor_queue import Visit, VisitorQueue

if importlib.util.find_spec("python_multipart") is None:
    pytest.skip("needs the extra web: pip install -e '.[web]'", allow_module_level=True)

ROOT = Path(__file__).resolve().parents[2]
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
PHOTO = jpeg(portrait("makeup", 3))
GREY = jpeg(np.full((60, 80, 3), 120, np.uint8))


@pytest.fixture(scope="module")
def model(module_model: Path) -> Model:
    return open_model(Workspace(module_model.parents[2]), "makeup")


@contextmanager
def _client(model: Model, options: ServerOptions | None = None) -> Iterator[TestClient]:
    """A client of the application in this process."""
    with application(model, options or ServerOptions()) as app:
        yield TestClient(app, raise_server_exceptions=False)


def _zip(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"trip/{name}.jpg", content)
    return buffer.getvalue()


def _finished(client: TestClient, batch: str, **query: str) -> dict[str, object]:
    while True:
        body = client.get(f"/api/batches/{batch}", params=query).json()
        if body["state"] in {"done", "cancelled"}:
            assert isinstance(body, dict)
            return body
        time.sleep(0.05)


def test_both_languages_say_the_same() -> None:
    assert TEXTS["en"].keys() == TEXTS["zh"].keys()
    for key, text in TEXTS["en"].items():
        fields = {part.split("}")[0].split(":")[0] for part in text.split("{")[1:]}
        other = TEXTS["zh"][key]
        assert fields == {part.split("}")[0].split(":")[0] for part in other.split("{")[1:]}, key


@pytest.mark.slow
def test_the_endpoint_and_its_limits(model: Model, tmp_path: Path) -> None:
    files = tmp_path / "files"
    with web_server(model.folder, files, max_bytes=200_000, max_megapixels=1.0) as url:

        def post(path: str, body: bytes, **fields: object) -> requests.Response:
            return requests.post(
                f"{url}/api/{path}", files={"photo": ("x.jpg", body)}, data=fields, timeout=60
            )

        about = requests.get(f"{url}/api/model", timeout=60).json()
        assert [way["to"] for way in about["ways"]] == ["bare", "makeup"]
        picture = portrait("makeup", 3)
        done = post("translate", jpeg(picture), to="bare", strength=0.5)
        assert done.headers["X-Suyan-Faces"] == "1"
        assert done.headers["Content-Type"] == "image/jpeg"
        with Image.open(io.BytesIO(done.content)) as image:
            assert image.size == picture.shape[1::-1]
        faces = post("faces", jpeg(group("makeup", 40))).json()
        assert [face["number"] for face in faces] == [1, 2, 3]
        grey = jpeg(np.full((200, 200, 3), 128, np.uint8))
        assert post("translate", grey, whole=True).status_code == 200
        wide = io.BytesIO()
        Image.new("RGB", (2000, 1000)).save(wide, "PNG")
        for response, status, kind in (
            (post("translate", grey), 422, "no-face"),
            (post("translate", b"no picture"), 415, "unreadable"),
            (post("translate", wide.getvalue()), 413, "too-large"),
            (post("translate", bytes(400_000)), 413, "too-large"),
            (post("translate", jpeg(picture), to="winter"), 422, "parameter"),
            (post("translate", jpeg(picture), faces="some"), 422, "parameter"),
            (post("translate", jpeg(picture), model="other"), 422, "parameter"),
        ):
            assert response.status_code == status
            assert response.json()["kind"] == kind
        schema = requests.get(f"{url}/api/openapi.json", timeout=60).json()
        assert {"/api/model", "/api/models", "/api/faces", "/api/translate"} < set(schema["paths"])
        answers = schema["paths"]["/api/translate"]["post"]["responses"]
        assert "image/jpeg" in answers["200"]["content"]
        assert post("translate", jpeg(picture), strength=2).status_code == 200
        assert post("translate", jpeg(picture), strength=2.1).status_code == 422
        root = requests.get(url, headers={"Accept-Language": "zh-CN"}, timeout=60)
        assert root.url.endswith("/zh/")
        policy = root.headers["Content-Security-Policy"]
        assert "default-src 'none'; script-src 'self';" in policy
        (served,) = files.glob("suyan-web-*")
        assert list(served.iterdir()) == []
    assert list(files.glob("suyan-web-*")) == []


def test_a_batch_goes_in_as_a_zip_and_comes_out_as_one(model: Model) -> None:
    with _client(model) as client:
        files = [
            ("photos", ("holiday.zip", _zip(a=PHOTO, bad=b"\xff\xd8\xff no"))),
            ("photos", ("b.jpg", GREY)),
        ]
        answer = client.post("/api/batches", files=files, data={"to": "bare", "mark": "zh"})
        assert answer.status_code == 202, answer.text
        name = answer.json()["batch"]
        assert answer.headers["Location"] == f"/api/batches/{name}"
        body = _finished(client, name)
        rows = body["rows"]
        assert isinstance(rows, list)
        assert [(row["name"], row["state"], row["kind"]) for row in rows] == [
            ("holiday.zip/trip/a.jpg", "done", None),
            ("holiday.zip/trip/bad.jpg", "refused", "unreadable"),
            ("b.jpg", "refused", "no-face"),
        ]
        assert "whole=true" in rows[2]["message"]
        assert body["num_done"] == 3
        chinese = _finished(client, name, language="zh")["rows"]
        assert isinstance(chinese, list)
        assert chinese[1]["message"] == TEXTS["zh"]["unreadable"]
        content = client.get(f"/api/batches/{name}/zip").content
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            assert archive.namelist() == ["holiday.zip/trip/a.jpg", "rows.csv", "rows.json"]
            assert json.loads(archive.read("rows.json")) == rows
            with Image.open(io.BytesIO(archive.read("holiday.zip/trip/a.jpg"))) as image:
                assert b"TC260:AIGC" in image.info["xmp"]
                assert image.size == (408, 454)
        result = client.get(f"/api/batches/{name}/1/result")
        assert result.headers["Content-Type"] == "image/jpeg"
        for view in ("before", "after"):  # a preview of the translation says so too
            preview = client.get(f"/api/batches/{name}/1/{view}").content
            assert (b"TC260:AIGC" in preview) == (view == "after")
        for path in ("2/after", "9/after", "1/other"):
            missing = client.get(f"/api/batches/{name}/{path}")
            assert (missing.status_code, missing.json()["kind"]) == (404, "not-found")
        assert client.delete(f"/api/batches/{name}").status_code == 204
        for path in ("", "/zip", "/1/result"):
            gone = client.get(f"/api/batches/{name}{path}")
            assert gone.headers["Content-Type"] == "application/problem+json"
            assert (gone.status_code, gone.json()["kind"]) == (404, "not-found")


def test_a_photograph_of_an_archive_has_numbered_faces_and_is_done_again(model: Model) -> None:
    people = jpeg(group("makeup", 40))
    with _client(model) as client:
        files = [("photos", ("holiday.zip", _zip(a=people, bad=b"\xff\xd8\xff no")))]
        name = client.post("/api/batches", files=files).json()["batch"]
        row = f"/api/batches/{name}/1"
        assert _finished(client, name)["rows"][0]["num_faces"] == 3  # type: ignore[index]
        found = client.get(f"{row}/faces").json()
        with Image.open(io.BytesIO(people)) as image:
            assert (found["width"], found["height"]) == image.size
        alone = client.post("/api/faces", files={"photo": ("x.jpg", people)}).json()
        assert found["faces"] == alone
        former = client.get(f"{row}/result").content
        answer = client.post(row, data={"faces": "2:0.5,3"})
        assert answer.status_code == 202, answer.text
        again = _finished(client, name)["rows"][0]  # type: ignore[index]
        assert (again["num_faces"], again["num_translations"]) == (2, 2)
        assert client.get(f"{row}/result").content != former
        content = client.get(f"/api/batches/{name}/zip").content
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            assert archive.namelist() == ["holiday.zip/trip/a.jpg", "rows.csv", "rows.json"]
        wrong = client.post(row, data={"faces": "x"})
        assert (wrong.status_code, wrong.json()["kind"]) == (422, "parameter")
        for path in (f"/api/batches/{name}/9", "/api/batches/none/1"):
            missing = client.post(path), client.get(f"{path}/faces")
            assert [each.json()["kind"] for each in missing] == ["not-found"] * 2
        unreadable = client.get(f"/api/batches/{name}/2/faces")
        assert unreadable.json()["kind"] == "unreadable"
        assert client.delete(f"/api/batches/{name}").status_code == 204


def test_a_wrong_batch_gets_a_problem_that_is_described(model: Model) -> None:
    limits = Limits(max_photos=2, max_batch_bytes=50_000, max_bytes=20_000, max_batches=0)
    with _client(model, ServerOptions(limits=limits)) as client:
        schema = client.get("/api/openapi.json").json()
        answers = schema["paths"]["/api/batches"]["post"]["responses"]

        def refusal(num: int = 1, content: bytes = GREY, **fields: str) -> tuple[int, str]:
            files = [("photos", (f"{number}.jpg", content)) for number in range(num)]
            answer = client.post("/api/batches", files=files or None, data=fields)
            body = answer.json()
            assert body["kind"] in answers[str(answer.status_code)]["description"]
            return answer.status_code, body["detail"]

        assert refusal(0) == (422, "photos: is missing; a form (multipart/form-data) has it")
        assert refusal(3)[1] == "photos: got 3 files, needed 2 at most"
        assert refusal(content=bytes(200_000))[0] == 413
        for choices in ("{", "[]", '{"a": 1}', "[" * 100_000):
            assert "needed a JSON object" in refusal(choices=choices)[1]
        assert "needed 'all'" in refusal(choices='{"a": "b"}')[1]
        assert "leave out one" in refusal(choices='{"a": "1"}', whole="true")[1]
        assert "mark: got 'fr'" in refusal(mark="fr")[1]
        assert "strenght: is no field" in refusal(strenght="1")[1]
        assert refusal()[0] == 503  # with room for no batch


@pytest.mark.remedy(", needed one of ")
def test_every_model_of_the_workspace_can_be_chosen(make_model: ModelMaker) -> None:
    first = make_model()
    shutil.copytree(first, first.parent / "step2-def")
    (first.parent / "damaged").mkdir()
    workspace = Workspace(first.parents[2])
    model = open_model(workspace, "makeup")
    with _client(model, ServerOptions(workspace=workspace)) as client:
        models = client.get("/api/models").json()
        assert [(each["name"], each["is_champion"]) for each in models] == [
            ("makeup/step1-abc", True),
            ("makeup/step2-def", False),
        ]
        done = client.post(
            "/api/translate", files={"photo": PHOTO}, data={"model": "makeup/step2-def"}
        )
        assert b"makeup/step2-def" in done.content  # in its label
        wrong = client.post("/api/translate", files={"photo": PHOTO}, data={"model": "../x"})
        assert "needed one of makeup/step1-abc, makeup/step2-def" in wrong.json()["detail"]
    library = ModelLibrary(model, workspace)
    remedy(", needed one of ", lambda: library.session("x"), lambda: library.session("makeup"))
    assert library.session("makeup/step2-def") is library.session("makeup/step2-def")
    assert library.session(None).queue is library.session("makeup/step2-def").queue


def test_a_password_admits_to_everything_and_nothing_else_does(model: Model) -> None:
    with _client(model, ServerOptions(credentials="photo:pass:wörd")) as client:
        for path in ("/", "/en/", "/api/model", "/api/openapi.json", "/static/page.js", "/no"):
            refused = client.get(path, follow_redirects=False)
            assert refused.status_code == 401
            assert refused.headers["WWW-Authenticate"].startswith("Basic ")
            assert refused.json()["kind"] == "unauthorized"
        for sent in (("photo", "no"), ("other", "pass:wörd"), ("", "")):
            assert client.get("/en/", auth=sent).status_code == 401
        for header in ("Basic", "Basic %%%", "Bearer cGhvdG86cGFzczp3w7ZyZA=="):
            assert client.get("/en/", headers={"Authorization": header}).status_code == 401
        credentials = (b"photo", "pass:wörd".encode())
        assert client.get("/en/", auth=credentials).status_code == 200
        assert client.post("/api/batches", files={"photos": GREY}).status_code == 401


def test_pages_of_other_sites_start_nothing(model: Model) -> None:
    with _client(model) as client:
        headers = {"Sec-Fetch-Site": "cross-site"}
        refused = client.post("/api/translate", files={"photo": PHOTO}, headers=headers)
        assert (refused.status_code, refused.json()["kind"]) == (403, "foreign-page")
        assert client.get("/en/", headers=headers).status_code == 200  # a link leads here


def test_user_and_password_come_from_the_option_or_a_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("photo:secret\nmore\n", encoding="utf-8")
    assert load_credentials("photo:secret") == load_credentials(str(file)) == "photo:secret"
    remedy(
        "--auth: got a text without ':', and no file of that name can be read (",
        lambda: load_credentials(str(tmp_path / "none")), lambda: load_credentials(str(file)),
    )  # fmt: skip
    remedy(
        "--auth: got no user, or no password; needed user:password, or a file with it",
        lambda: load_credentials("photo:"), lambda: load_credentials("photo:secret"),
    )  # fmt: skip


def test_a_root_path_is_a_path() -> None:
    assert [check_root_path(text) for text in ("", "/", "/suyan/", "/a/b")] == [
        "", "", "/suyan", "/a/b",
    ]  # fmt: skip
    for text in ("suyan", "//host", "/a?b", "http://host/suyan"):
        remedy(
            ", needed a path that begins with /, as in /suyan",
            lambda text=text: check_root_path(text), lambda: check_root_path("/suyan"),
        )  # fmt: skip


_NGINX_CONFIG = """
daemon off; pid {folder}/pid; error_log {folder}/log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port};
    {location}
  }}
}}
"""


def _documented_location(url: str) -> str:
    """The block that docs/using-a-model.md shows, for this server."""
    text = (ROOT / "docs" / "using-a-model.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```nginx\n(.*?)```", text, re.DOTALL)
    assert "http://127.0.0.1:7860" in block
    return block.replace("http://127.0.0.1:7860", url)


@pytest.mark.slow
@pytest.mark.skipif(NGINX is None, reason="needs nginx (apt install nginx-light)")
@pytest.mark.parametrize("is_stripped", [True, False], ids=["stripped", "whole"])
def test_the_documented_proxy_offers_the_server_below_a_path(
    model: Model, tmp_path: Path, is_stripped: bool
) -> None:
    assert NGINX is not None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = {"root_path": "/suyan", "credentials": "photo:secret"}
    with web_server(model.folder, tmp_path / "files", options) as url:
        location = _documented_location(url)
        if not is_stripped:  # some proxies pass the whole path on
            location = location.replace(f"{url}/;", f"{url};")
        config = tmp_path / "nginx.conf"
        config.write_text(_NGINX_CONFIG.format(folder=tmp_path, port=port, location=location))
        process = subprocess.Popen([NGINX, "-e", f"{tmp_path}/log", "-c", str(config)])
        try:
            outside = f"http://127.0.0.1:{port}/suyan"
            session = requests.Session()
            session.auth = ("photo", "secret")
            while True:
                try:
                    page = session.get(f"{outside}/", timeout=60)
                    break
                except requests.ConnectionError:
                    assert process.poll() is None, (tmp_path / "log").read_text()
                    time.sleep(0.1)
            assert requests.get(f"{outside}/", timeout=60).status_code == 401
            assert page.url == f"{outside}/en/"
            assert session.get(f"{outside}/static/page.js", timeout=60).status_code == 200
            answer = session.post(
                f"{outside}/api/batches", files={"photos": ("a.jpg", PHOTO)}, timeout=60
            )
            assert answer.status_code == 202, answer.text
            assert answer.headers["Location"].startswith("/suyan/api/batches/")
            batch = f"http://127.0.0.1:{port}{answer.headers['Location']}"
            while session.get(batch, timeout=60).json()["state"] != "done":
                time.sleep(0.1)
            assert zipfile.ZipFile(io.BytesIO(session.get(f"{batch}/zip", timeout=60).content))
            large = {"photos": ("a.zip", bytes(30_000_000))}  # above what nginx takes by itself
            assert session.post(f"{outside}/api/batches", files=large, timeout=60).ok
        finally:
            process.terminate()
            process.wait()


@pytest.mark.slow
def test_the_documented_client_gets_its_zip(model: Model, tmp_path: Path) -> None:
    text = (ROOT / "docs" / "using-a-model.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (tmp_path / "holiday.zip").write_bytes(_zip(a=PHOTO, b=GREY))
    with web_server(model.folder, tmp_path / "files") as url:
        assert "http://127.0.0.1:7860" in code
        done = subprocess.run(
            [sys.executable, "-c", code.replace("http://127.0.0.1:7860", url)],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "holiday.zip/trip/a.jpg: done" in done.stdout
        assert "holiday.zip/trip/b.jpg: refused: no face found" in done.stdout
        with zipfile.ZipFile(tmp_path / "translated.zip") as archive:
            assert "holiday.zip/trip/a.jpg" in archive.namelist()
        (served,) = (tmp_path / "files").glob("suyan-web-*")
        assert list(served.iterdir()) == []


@pytest.mark.slow
def test_a_visitor_who_leaves_leaves_the_queue(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = VisitorQueue()
    monkeypatch.setattr("serving.web.model_library.VisitorQueue", lambda: queue)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with application(model, ServerOptions(limits=Limits(max_wait_s=3600))) as app:
        config = uvicorn.Config(app, port=port, log_level="warning", timeout_graceful_shutdown=2)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run)
        thread.start()
        while not server.started:
            time.sleep(0.05)
        first = Visit()
        with queue.turn(first, None):
            with pytest.raises(requests.ReadTimeout):  # waits for a turn, and hangs up
                requests.post(
                    f"http://127.0.0.1:{port}/api/translate", files={"photo": GREY},
                    data={"whole": "true"}, timeout=(60, 5),
                )  # fmt: skip
            while len(queue._visits) > 1:
                time.sleep(0.05)
            assert first.place == 0  # the turn before it has not ended
        server.should_exit = True
        thread.join()


def test_time_and_turns_are_limited(model: Model, tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    Image.fromarray(np.full((900, 1600, 3), 90, np.uint8)).save(path)
    hasty = Session(model, Limits(timeout_s=0, max_wait_s=0.05))
    with pytest.raises(RefusedError, match="took longer than 0 s") as slow:
        hasty.translate(path, "A2B", TranslateOptions(mode="whole", work_px=0))
    assert slow.value.kind == "too-slow"
    with hasty._exclusive(Visit()), pytest.raises(RefusedError) as busy:
        hasty.translate(path, "A2B", TranslateOptions(mode="whole"))
    assert busy.value.kind == "busy"


def test_a_killed_servers_files_are_removed_by_the_next(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "suyan-web-999999999-killed").mkdir()
    (tmp_path / f"suyan-web-{os.getpid()}-alive").mkdir()
    with application(model):
        names = {path.name for path in tmp_path.iterdir()}
    assert "suyan-web-999999999-killed" not in names
    assert {path.name for path in tmp_path.iterdir()} == {f"suyan-web-{os.getpid()}-alive"}
