"""The HTTP interface, checked against its own description by sending wrong things.

The kind: an answer to a wrong request that a program cannot read, because it has another shape or a
status that nothing announces; or a wrong part of a request that is silently without effect. The
boundary is held by ``serving.web.problems``: every exception handler of the application ends in
``problem``, whose schema and statuses are those of ``/api/openapi.json``.
"""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import requests
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st
from odd_photos import ODD_PHOTOS, encode, photo
from PIL import Image
from starlette.testclient import TestClient
from web_server import web_server

from scraping.offline.corpus import group, jpeg
from serving.web.problems import add_problems
from serving.web.strings import TEXTS

if importlib.util.find_spec("python_multipart") is None:
    pytest.skip("needs the extra web: pip install -e '.[web]'", allow_module_level=True)
pytestmark = pytest.mark.slow

PHOTO = encode(photo(), "JPEG")
PEOPLE = jpeg(group("makeup", 40))


@pytest.fixture(scope="module")
def url(module_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    files = tmp_path_factory.mktemp("server") / "files"
    with web_server(module_model, files, max_bytes=1_000_000, max_megapixels=1.0) as address:
        yield address


@pytest.fixture(scope="module")
def description(url: str) -> dict[str, Any]:
    described: dict[str, Any] = requests.get(f"{url}/api/openapi.json", timeout=60).json()
    return described


def _check(answer: Any, path: str, description: dict[str, Any]) -> dict[str, Any]:
    """The body of a refusal, which has the described shape and, on a known path, status."""
    assert answer.headers["Content-Type"] == "application/problem+json", answer.text
    body: dict[str, Any] = answer.json()
    components = description["components"]
    schema = {"$ref": "#/components/schemas/Problem", "components": components}
    jsonschema.validate(body, schema)
    assert body["status"] == answer.status_code
    assert body["type"] == f"urn:suyan:problem:{body['kind']}"
    assert body["message"] == body["detail"]
    assert "--" not in body["detail"], "an option of the command"
    operation = description["paths"].get(path, {}).get("post", {})
    if operation and answer.status_code not in {404, 405}:
        described = operation["responses"][str(answer.status_code)]
        assert body["kind"] in described["description"]
        assert list(described["content"]) == ["application/problem+json"]
    return body


def _wide() -> bytes:
    return encode(Image.new("L", (2000, 1000)), "PNG")


WRONG: dict[str, tuple[dict[str, Any], int, str, str]] = {
    # name: keyword arguments of requests.post, status, kind, part of the message
    "no photo": ({"data": {"strength": 1}, "files": {"x": b""}}, 422, "parameter", "photo"),
    "photo as text": ({"files": {"photo": (None, "x")}}, 422, "parameter", "needed a file"),
    "strength": ({"data": {"strength": 7}}, 422, "parameter", "strength: got '7'"),
    "no number": ({"data": {"strength": "nan"}}, 422, "parameter", "strength: got 'nan'"),
    "whole": ({"data": {"whole": "perhaps"}}, 422, "parameter", "whole: got 'perhaps'"),
    "domain": ({"data": {"to": "winter"}}, 422, "parameter", "to: got 'winter'"),
    "faces": ({"data": {"faces": "some"}}, 422, "parameter", "faces: got 'some'"),
    "faces and whole": ({"data": {"faces": "1", "whole": True}}, 422, "parameter", "whole=true"),
    "misspelt": ({"data": {"strenght": 0.5}}, 422, "parameter", "strenght: is no field"),
    "in the address": ({"params": {"strength": 0.5}}, 422, "parameter", "no field of the form"),
    "twice": ({"data": {"to": ["bare", "makeup"]}}, 422, "parameter", "to: is given 2 times"),
    "no such face": ({"data": {"faces": "1,7"}}, 422, "no-such-face", "there are 3 faces"),
    "json": ({"json": {"photo": 1}, "files": None}, 422, "parameter", "photo: is missing"),
    "garbage": (
        {"data": b"x", "headers": {"Content-Type": "multipart/form-data; boundary=b"},
         "files": None}, 400, "malformed", "multipart/form-data",
    ),
    "no boundary": (
        {"data": b"x", "headers": {"Content-Type": "multipart/form-data"}, "files": None},
        400, "malformed", "boundary",
    ),
    "chunked": ({"data": iter([b"x"]), "files": None}, 411, "length-required", "Content-Length"),
    "empty": ({"files": {"photo": ("a.jpg", b"")}}, 415, "unreadable", "is empty"),
    "no picture": ({"files": {"photo": ("a.jpg", b"text")}}, 415, "unreadable", "damaged"),
    "HEIC": (
        {"files": {"photo": ("a.heic", ODD_PHOTOS["heic.jpg"]())}}, 415, "unreadable", "HEIC",
    ),
    "many bytes": ({"files": {"photo": ("a", bytes(2_000_000))}}, 413, "too-large", "2.0 MB"),
    "too many bytes": (
        {"files": {"photo": ("a", bytes(1_050_000))}}, 413, "too-large", "limit is 1 MB",
    ),
    "pixels": ({"files": {"photo": ("a", _wide())}}, 413, "too-large", "the limit is 1"),
    "no face": (
        {"files": {"photo": ("a", encode(Image.new("RGB", (200, 200), "grey"), "PNG"))}},
        422, "no-face", "whole=true",
    ),
    "small face": (
        {"files": {"photo": ("a", encode(photo(60), "PNG"))}}, 422, "no-fit-face", "(faces=1 ",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_request_gets_a_problem(name: str, url: str, description: dict[str, Any]) -> None:
    arguments, status, kind, part = WRONG[name]
    files = {"photo": ("x.jpg", PEOPLE)}
    answer = requests.post(f"{url}/api/translate", **({"files": files} | arguments), timeout=60)
    assert answer.status_code == status, answer.text
    body = _check(answer, "/api/translate", description)
    assert body["kind"] == kind
    assert part in body["message"]
    if kind == "parameter":
        assert body["errors"]
        assert all(each["field"] in body["detail"] for each in body["errors"])


def test_wrong_addresses_and_methods_get_a_problem(url: str, description: dict[str, Any]) -> None:
    nowhere = requests.get(f"{url}/api/nothing", timeout=60)
    assert (nowhere.status_code, _check(nowhere, "", description)["kind"]) == (404, "not-found")
    method = requests.get(f"{url}/api/translate", timeout=60)
    assert method.headers["Allow"] == "POST"
    assert _check(method, "/api/translate", description)["kind"] == "method-not-allowed"
    for path in ("/api/faces", "/api/translate"):
        response = requests.post(f"{url}{path}", timeout=60)
        assert _check(response, path, description)["kind"] in {"parameter", "length-required"}


def test_a_failure_of_ours_is_a_problem_too(description: dict[str, Any]) -> None:
    app = FastAPI()
    add_problems(app)

    @app.post("/api/translate")
    async def fail() -> None:
        raise IndexError("a bug")

    answer = TestClient(app, raise_server_exceptions=False).post("/api/translate")
    assert answer.status_code == 500
    body = _check(answer, "/api/translate", description)
    assert body["kind"] == "failed"
    assert "IndexError" in body["detail"]
    path = "/api/translate?language=zh"
    chinese = TestClient(app, raise_server_exceptions=False).post(path).json()
    assert chinese["detail"] == TEXTS["zh"]["failed"].format(error="IndexError")


@pytest.mark.parametrize("path", ["/api/faces", "/api/translate"])
def test_a_refusal_is_in_the_words_of_the_page_that_asks(
    url: str, description: dict[str, Any], path: str
) -> None:
    too_many = TEXTS["zh"]["too-many-bytes"].format(megabytes="2.0", limit=1)
    contents = {TEXTS["zh"]["unreadable"]: b"text", too_many: bytes(2_000_000)}
    for sentence, content in contents.items():
        files = {"photo": ("x.jpg", content)}
        answer = requests.post(f"{url}{path}?language=zh", files=files, timeout=60)
        assert _check(answer, path, description)["message"] == sentence
    files = {"photo": ("x.jpg", PEOPLE)}
    answer = requests.post(f"{url}{path}?language=fr", files=files, timeout=60)
    assert answer.status_code == 422
    assert "language: got 'fr'" in _check(answer, path, description)["message"]
    parameters = description["paths"][path]["post"]["parameters"]
    assert [each["name"] for each in parameters] == ["language"]


@pytest.mark.parametrize("name", sorted(ODD_PHOTOS))
def test_an_odd_photograph_is_translated_with_a_note_or_refused(
    name: str, url: str, description: dict[str, Any]
) -> None:
    files = {"photo": (name, ODD_PHOTOS[name]())}
    answer = requests.post(f"{url}/api/translate", files=files, data={"whole": "true"}, timeout=60)
    if answer.status_code == 200:
        expected = {"ultra-hdr.jpg": "gain-map", "motion.jpg": "video", "pages.tif": "pages",
                    "exif-two-segments.jpg": "long-metadata", "cut-off.jpg": "cut-off"}  # fmt: skip
        assert answer.headers["X-Suyan-Notes"] == expected.get(
            name, answer.headers["X-Suyan-Notes"]
        )
        assert answer.headers["X-Suyan-Faces"] == "0"
    else:
        _check(answer, "/api/translate", description)
        assert name in {"empty.jpg", "heic.jpg", "drawing.svg", "text.png", "cut-early.jpg",
                        "profile-9mb.png"}  # fmt: skip


def test_skipped_faces_are_named(url: str) -> None:
    picture = Image.new("RGB", (500, 400), (150, 150, 160))
    picture.paste(photo(60), (20, 60))
    picture.paste(photo(240), (160, 60))
    files = {"photo": ("a.png", encode(picture, "PNG"))}
    answer = requests.post(f"{url}/api/translate", files=files, timeout=60)
    faces = requests.post(f"{url}/api/faces", files=files, timeout=60).json()
    skipped = [str(face["number"]) for face in faces if not face["fit"]]
    assert skipped
    assert answer.headers["X-Suyan-Skipped"] == ",".join(skipped)


_VALUES = st.one_of(
    st.sampled_from(["all", "1", "1,2", "bare", "A2B", "true", "0.5", "", "-1", "1e999", "٣"]),
    st.text(st.characters(blacklist_categories=("Cs",)), max_size=12),
)


@settings(max_examples=40)
@given(
    fields=st.lists(
        st.tuples(st.sampled_from(["to", "faces", "whole", "strength", "Faces", "x"]), _VALUES),
        max_size=4,
    ),
    content=st.one_of(st.binary(max_size=60), st.just(encode(photo(32), "PNG"))),
    path=st.sampled_from(["/api/translate", "/api/faces"]),
)
def test_any_form_gets_a_picture_or_a_problem(
    url: str,
    description: dict[str, Any],
    fields: list[tuple[str, str]],
    content: bytes,
    path: str,
) -> None:
    answer = requests.post(f"{url}{path}", files={"photo": ("x", content)}, data=fields, timeout=60)
    assert answer.status_code != 500, answer.text
    if answer.status_code != 200:
        _check(answer, path, description)
