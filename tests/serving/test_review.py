"""The review's server: every decision on disk, nobody's decision lost, nobody else let in.

The kind: a decision that is not in the file, or replaced another one unseen; a request of another
site, another machine or a made-up path that is answered. The boundary: ``DecisionFile`` is the only
writer, under the lock of ``suyan curate``; ``AccessMiddleware`` stands before every route.
"""

import io
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from PIL import Image
from remedies import remedy
from review_version import CONFIG, names_of, write_version
from starlette.testclient import TestClient

from core.errors import SuyanError
from core.files import write_json
from core.progress import Progress
from core.workspace import Workspace
from core.workspace_folders import DatasetFolder
from preprocessing.selection.overrides import add_overrides, read_overrides
from serving.review.decision_file import DecisionFile
from serving.review.next_version import NextVersion
from serving.review.review_access import Access
from serving.review.review_app import build_app, serve
from serving.review.review_sections import FIELDS, build_sections, version_json
from serving.review.review_session import Review
from serving.review.review_words import WORDS, page_words
from serving.review.version_pictures import load_version

NAMES = names_of(40)
CHANGES = {"x-suyan-review": "1"}
URL = "http://127.0.0.1:7861"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path)
    write_version(workspace)
    return workspace


def unused(_version: DatasetFolder, _progress: Progress) -> NextVersion:
    raise AssertionError


def open_review(workspace: Workspace) -> Review:
    (manifest,) = workspace.datasets.glob("*/manifest.parquet")
    return Review(workspace, DatasetFolder(manifest.parent), unused)


@pytest.fixture
def client(workspace: Workspace) -> Iterator[TestClient]:
    app = build_app(workspace, open_review(workspace), Access.to("127.0.0.1", 7861))
    with TestClient(app, base_url=URL) as opened:
        yield opened


def path_of(workspace: Workspace) -> Path:
    return workspace.overrides("makeup", "bare")


def decide(client: TestClient, action: str, *pictures: tuple[int, str]) -> dict[str, object]:
    version = client.get("/api/state").json()["version"]
    body = {"version": version, "action": action, "pictures": pictures}
    response = client.post("/api/decisions", json=body, headers=CHANGES)
    assert response.status_code == 200, response.text
    answer: dict[str, object] = response.json()
    return answer


def test_a_decision_is_a_line_that_curate_and_preparation_read(
    client: TestClient, workspace: Workspace
) -> None:
    first = decide(client, "drop", (0, ""), (3, ""))
    assert first["decisions"] == {"0": ["drop", 0], "3": ["drop", 0]}
    decide(client, "move", (1, ""))
    assert read_overrides(path_of(workspace), NAMES) == {
        NAMES[0]: "drop", NAMES[3]: "drop", NAMES[1]: "move",
    }  # fmt: skip
    assert decide(client, "move", (1, "move"))["change"] == ""  # it is so already: no second line
    assert path_of(workspace).read_text().count(NAMES[1]) == 1
    undone = client.post("/api/undo", json={"change": first["change"]}, headers=CHANGES).json()
    assert undone["decisions"] == {"0": ["", 0], "3": ["", 0]}
    assert read_overrides(path_of(workspace), NAMES) == {NAMES[1]: "move"}
    again = client.post("/api/undo", json={"change": first["change"]}, headers=CHANGES)
    assert (again.status_code, again.json()["problem"]) == (410, "unknown-change")


def test_the_decision_of_somebody_else_is_shown_and_not_replaced(
    client: TestClient, workspace: Workspace
) -> None:
    mine = decide(client, "keep", (7, ""))
    add_overrides(path_of(workspace), [NAMES[7][:8], NAMES[8]], "drop", "a spreadsheet")
    answer = decide(client, "move", (7, "keep"), (8, ""), (9, ""))
    assert answer["stale"] == [7, 8]
    assert answer["decisions"] == {"9": ["move", 0], "7": ["drop", 0], "8": ["drop", 0]}
    undone = client.post("/api/undo", json={"change": mine["change"]}, headers=CHANGES).json()
    assert undone["stale"] == [7]
    assert read_overrides(path_of(workspace), NAMES)[NAMES[7]] == "drop"
    seen = decide(client, "move", (7, "drop"))  # the person saw it, and decides all the same
    assert seen["stale"] == []
    assert read_overrides(path_of(workspace), NAMES)[NAMES[7]] == "move"


def test_a_poll_brings_what_others_decided_once(client: TestClient, workspace: Workspace) -> None:
    assert client.get("/api/state").json()["decisions"] == {}
    add_overrides(path_of(workspace), [NAMES[4]], "drop", "")
    state = client.get("/api/state", params={"revision": ""}).json()
    assert state["decisions"] == {"4": ["drop", 0]}
    later = client.get("/api/state", params={"revision": state["revision"]}).json()
    assert "decisions" not in later


def test_copies_are_told_apart_and_together_again(client: TestClient, workspace: Workspace) -> None:
    change = decide(client, "different", (5, ""), (6, ""))
    assert change["decisions"] == {"5": ["", 1], "6": ["", 1]}
    assert f"{NAMES[5]},different,{NAMES[6]}" in path_of(workspace).read_text()
    assert decide(client, "different", (5, ""), (6, ""))["change"] == ""
    undone = client.post("/api/undo", json={"change": change["change"]}, headers=CHANGES).json()
    assert undone["decisions"] == {"5": ["", 0], "6": ["", 0]}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_undo_leaves_the_lines_of_a_spreadsheet_alone(workspace: Workspace, encoding: str) -> None:
    path = path_of(workspace)
    before = f"sha256;action;note\r\n{NAMES[2]};keep;好看\r\n".encode(encoding)
    path.write_bytes(before)
    decisions = DecisionFile(workspace, ("makeup", "bare"), NAMES)
    change = decisions.decide("drop", {NAMES[2]: "keep"})
    assert decisions.read().actions == {NAMES[2]: "drop"}
    assert decisions.undo(change.id).decisions.actions == {NAMES[2]: "keep"}
    assert path.read_bytes() == before


@pytest.mark.remedy("any more, which was to be taken back; another ")
def test_a_line_that_is_gone_cannot_be_taken_back(client: TestClient, workspace: Workspace) -> None:
    change = decide(client, "drop", (0, ""))
    path_of(workspace).write_text(f"sha256;action\n{NAMES[0]};drop\n", encoding="utf-8")
    response = client.post("/api/undo", json={"change": change["change"]}, headers=CHANGES)
    assert response.status_code == 503
    assert "Decide about the picture anew" in response.json()["message"]
    assert read_overrides(path_of(workspace), NAMES) == {NAMES[0]: "drop"}
    assert decide(client, "keep", (0, "drop"))["decisions"] == {"0": ["keep", 0]}


def test_two_people_at_once_lose_no_decision(workspace: Workspace) -> None:
    servers = [DecisionFile(workspace, ("makeup", "bare"), NAMES) for _ in range(2)]
    stale = list[str]()

    def work(server: DecisionFile) -> None:
        for name in NAMES:
            stale.extend(server.decide("drop", {name: ""}).stale)

    threads = [threading.Thread(target=work, args=(server,)) for server in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read_overrides(path_of(workspace), NAMES) == dict.fromkeys(NAMES, "drop")
    lines = path_of(workspace).read_text().splitlines()
    assert len(lines) == 1 + len(NAMES)
    assert len(stale) <= len(NAMES)


def test_a_mistake_in_the_file_is_told_and_nothing_is_written(
    client: TestClient, workspace: Workspace
) -> None:
    path_of(workspace).write_text("sha256,action\n" + NAMES[0] + ",delete\n", encoding="utf-8")
    version = client.get("/api/version").json()["version"]
    body = {"version": version, "action": "drop", "pictures": [[1, ""]]}
    response = client.post("/api/decisions", json=body, headers=CHANGES)
    assert response.status_code == 503
    assert "line 2: got action 'delete'" in response.json()["message"]
    assert NAMES[1] not in path_of(workspace).read_text()
    with pytest.raises(ValueError, match="line 2: got action 'delete'"):
        open_review(workspace)


def test_every_picture_is_in_a_section_and_the_doubtful_come_first(workspace: Workspace) -> None:
    version = load_version(workspace.dataset("makeup-bare-0123456789ab"))
    sections = {section.key: section.groups for section in build_sections(version)}
    keys = list(sections)
    assert keys[0] == "clusters"
    assert keys[1:4] == ["rejected:covered", "rejected:blurred", "rejected:several-faces"]
    assert keys.index("rejected:junk-of-tomorrow") > keys.index("rejected:no-face")
    assert keys[-2:] == ["used-A", "used-B"]
    numbers = {number for groups in sections.values() for group in groups for number in group}
    assert numbers == set(range(40))
    assert sections["clusters"] == [[5, 6], [15, 16], [25, 26], [35, 36]]
    covered = [version.pictures[number].row.covered for (number,) in sections["rejected:covered"]]
    assert covered == sorted(covered)  # the nearest to the limit first
    used = [version.pictures[number].row.covered for (number,) in sections["used-A"]]
    assert used == sorted(used, reverse=True)


def test_doubtful_pairs_and_scores_of_sides_have_sections_where_there_are_any(
    workspace: Workspace,
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    dataset = workspace.dataset("makeup-bare-0123456789ab")
    lines = ["older,newer,similarity", f"{NAMES[2]},{NAMES[4]},0.951", f"{'f' * 64},{NAMES[1]},0.9"]
    dataset.doubtful_pairs.write_text("\n".join(lines) + "\n")
    table = pq.read_table(dataset.manifest)
    scores = [0.2 if number in {10, 11} else 0.9 for number in range(40)]
    scores[11] = 0.1
    place = table.schema.get_field_index("side_score")
    scored = table.set_column(place, "side_score", pa.array(scores))
    pq.write_table(scored, dataset.manifest)
    side, pairs, *_ = build_sections(load_version(dataset))
    assert (side.key, side.groups, side.captions) == ("side", [(11,), (10,)], ["0.10", "0.20"])
    assert (pairs.key, pairs.groups, pairs.captions) == ("pairs", [(2, 4)], ["0.951"])


def test_the_version_is_short_enough_for_ten_thousand_pictures(workspace: Workspace) -> None:
    version = load_version(workspace.dataset("makeup-bare-0123456789ab"))
    content = version_json(version, build_sections(version))
    assert len(json.dumps(content["pictures"], separators=(",", ":"))) < 80 * 40
    picture = dict(zip(FIELDS, content["pictures"][7], strict=True))
    assert picture["digits"] == NAMES[7][:16]
    assert (picture["side"], picture["isCrop"]) == ("B", 0)


def test_thumbnails_are_made_once_and_fall_back(client: TestClient, workspace: Workspace) -> None:
    version = client.get("/api/version").json()["version"]
    address = f"/thumbnails/{version}/0"
    response = client.get(address)
    assert response.headers["content-type"] == "image/jpeg"
    assert "immutable" in response.headers["cache-control"]
    with Image.open(io.BytesIO(response.content)) as image:
        assert image.size == (96, 128)
    (file,) = workspace.thumbnails.glob(f"*/{NAMES[0]}-*.jpg")  # forget finds it by its name
    written = file.stat().st_mtime_ns
    client.get(address)
    assert file.stat().st_mtime_ns == written
    original = workspace.original(NAMES[8], "png")
    original.write_bytes(b"\xff\xd8\xff a broken picture")
    assert client.get(f"/thumbnails/{version}/8").headers["content-type"] == "image/svg+xml"
    preview = workspace.dataset(version).preview(NAMES[8])
    preview.parent.mkdir()
    preview.write_bytes(file.read_bytes())
    assert client.get(f"/thumbnails/{version}/8").content == file.read_bytes()


def test_only_pictures_of_the_version_are_served(client: TestClient, workspace: Workspace) -> None:
    version = client.get("/api/version").json()["version"]
    assert client.get(f"/crops/{version}/0").headers["content-type"] == "image/png"
    assert client.get(f"/originals/{version}/0").headers["content-type"] == "image/png"
    outside = workspace.folder / "secret.png"
    outside.write_bytes(workspace.original(NAMES[0], "png").read_bytes())
    link = workspace.original(NAMES[1], "png")
    link.unlink()
    link.symlink_to(outside)  # a manifest, or a link in the folder, may name anything
    page = workspace.original(NAMES[2], "png")
    page.write_bytes(b"<html><script>alert(1)</script>")
    for address in (
        f"/originals/{version}/1",
        f"/originals/{version}/2",
        f"/originals/{version}/40",
        f"/originals/{version}/-1",
        f"/originals/{version}/..%2f..%2fsecret.png",
        f"/crops/{version}/0?face=7",
        f"/crops/{version}/7",
        f"/crops/..%2f{version}/0",
        "/originals/another-version/0",
        "/assets/x/..%2freview_app.py",
        "/assets/x/review.html.jinja",
        "/datasets",
        "/docs",
        "/../pyproject.toml",
    ):
        response = client.get(address)
        assert response.status_code in {404, 409, 415}, address
        assert b"script>" not in response.content
    assert client.get(f"/pictures/{version}/0").json()["page"] == ""  # it was javascript:


def test_other_hosts_and_other_sites_are_refused(client: TestClient, workspace: Workspace) -> None:
    version = client.get("/api/version").json()["version"]
    body = {"version": version, "action": "drop", "pictures": [[0, ""]]}
    for host, status in (
        ("localhost:7861", 200), ("localhost:9000", 200), ("[::1]:7861", 200), ("127.1", 200),
        ("evil.example", 421), ("127.0.0.1.evil.example", 421), ("", 421), ("0.0.0.0:7861", 421),
        ("192.168.0.9:7861", 421), ("[", 421),
    ):  # fmt: skip
        assert client.get("/api/state", headers={"host": host}).status_code == status, host
    for headers in (
        {},
        CHANGES | {"origin": "http://evil.example"},
        CHANGES | {"origin": "null"},
        CHANGES | {"origin": "http://127.0.0.1:1"},
        CHANGES | {"sec-fetch-site": "cross-site"},
        CHANGES | {"sec-fetch-site": "same-site"},
    ):
        refused = client.post("/api/decisions", json=body, headers=headers)
        assert refused.status_code == 403, headers
    for path in ("/api/undo", "/api/next-version"):
        assert client.post(path, json={"change": "x"}).status_code == 403
    foreign = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}
    assert client.get(f"/thumbnails/{version}/0", headers=foreign).status_code == 403
    assert not path_of(workspace).exists()
    own = CHANGES | {"origin": URL, "sec-fetch-site": "same-origin"}
    assert client.post("/api/decisions", json=body, headers=own).status_code == 200
    page = client.get("/en/")
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert "script-src 'self';" in page.headers["content-security-policy"]
    assert page.headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.0.9", "0", "::", "::ffff:0.0.0.0", ""])
def test_other_machines_need_the_token_of_the_printed_address(
    workspace: Workspace, host: str
) -> None:
    access = Access.to(host, 7861)
    assert len(access.token) >= 32
    assert access.url.endswith(f":7861/?token={access.token}")
    app = build_app(workspace, open_review(workspace), access)
    with TestClient(app, base_url="http://192.168.0.9:7861", follow_redirects=False) as client:
        for wrong in ("", "?token=", "?token=wrong", f"?token={access.token[:-1]}"):
            assert client.get(f"/en/{wrong}").status_code == 401
        assert client.get("/api/version").status_code == 401
        changed = client.post(f"/api/undo?token={access.token}", json={}, headers=CHANGES)
        assert changed.status_code == 401  # an address alone changes nothing
        entered = client.get(f"http://192.168.0.9:7861//evil.example/?token={access.token}")
        assert entered.headers["location"] == "/evil.example/"
        assert "HttpOnly" in entered.headers["set-cookie"]
        assert "samesite=lax" in entered.headers["set-cookie"].lower()
        assert client.get("/api/version").status_code == 200
        refused = client.get("/api/version", headers={"host": "evil.example:7861"})
        assert refused.status_code == 421


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.0.0.2"])
def test_this_machine_needs_no_token(host: str) -> None:
    access = Access.to(host, 7861)
    assert access.token == ""
    assert "token" not in access.url


def test_hostile_requests_change_nothing(client: TestClient, workspace: Workspace) -> None:
    version = client.get("/api/version").json()["version"]
    for body in (
        "{", [], {"version": version}, {"version": version, "action": "rm", "pictures": [[0, ""]]},
        {"version": version, "action": "drop", "pictures": [[-1, ""]]},
        {"version": version, "action": "drop", "pictures": [["=cmd()", ""]]},
        {"version": version, "action": "drop", "pictures": []},
    ):  # fmt: skip
        response = client.post("/api/decisions", json=body, headers=CHANGES)
        assert response.status_code == 422, body
    old = {"version": "older", "action": "drop", "pictures": [[0, ""]]}
    outdated = client.post("/api/decisions", json=old, headers=CHANGES)
    assert (outdated.status_code, outdated.json()["problem"]) == (409, "outdated")
    long = client.post("/api/decisions", content=b"x" * (17 << 20), headers=CHANGES)
    assert long.status_code == 413
    assert not path_of(workspace).exists()


def wait_for(client: TestClient) -> dict[str, object]:
    for _ in range(2000):
        making: dict[str, object] = client.get("/api/state").json()["making"]
        if making["state"] != "running":
            return making
    raise AssertionError


def test_the_next_version_takes_the_place_of_this_one(workspace: Workspace) -> None:
    steps = threading.Event()

    def make(version: DatasetFolder, progress: Progress) -> NextVersion:
        progress("prepare", 3, 40, "")
        assert steps.wait(60)
        if version.path.name == "makeup-bare-next":
            raise SuyanError("too few usable pictures", remedy="Add search phrases")
        return NextVersion(write_version(workspace, 12, name="makeup-bare-next"), is_new=True)

    dataset = workspace.dataset("makeup-bare-0123456789ab")
    app = build_app(workspace, Review(workspace, dataset, make), Access.to("127.0.0.1", 7861))
    with TestClient(app, base_url=URL) as client:
        before = decide(client, "drop", (0, ""))
        assert client.post("/api/next-version", json={}, headers=CHANGES).status_code == 200
        for _ in range(2000):
            making = client.get("/api/state").json()["making"]
            if making["num_total"]:
                break
        assert (making["state"], making["stage"], making["num_done"]) == ("running", "prepare", 3)
        client.post("/api/next-version", json={}, headers=CHANGES)  # a second click starts nothing
        steps.set()
        assert wait_for(client)["version"] == "makeup-bare-next"
        content = client.get("/api/version").json()
        assert (content["version"], len(content["pictures"])) == ("makeup-bare-next", 12)
        assert client.get("/api/state").json()["decisions"] == {"0": ["drop", 0]}
        assert client.get("/thumbnails/makeup-bare-0123456789ab/0").status_code == 409
        undone = client.post("/api/undo", json={"change": before["change"]}, headers=CHANGES)
        assert undone.json()["decisions"] == {"0": ["", 0]}
        client.post("/api/next-version", json={}, headers=CHANGES)
        failed = wait_for(client)
        assert failed["state"] == "failed"
        assert failed["error"] == "too few usable pictures. Add search phrases"
        assert client.get("/api/version").json()["version"] == "makeup-bare-next"


def test_both_languages_say_the_same(client: TestClient) -> None:
    assert WORDS["en"].keys() == WORDS["zh"].keys()
    for key, text in WORDS["en"].items():
        fields = {part.split("}")[0] for part in text.split("{")[1:]}
        assert fields == {part.split("}")[0] for part in WORDS["zh"][key].split("{")[1:]}, key
    assert page_words(CONFIG, "zh")["domain-A"] == "化妆"
    assert 'lang="zh-CN"' in client.get("/zh/").text
    assert client.get("/fr/").status_code == 404
    chinese = client.get("/", headers={"accept-language": "zh-TW,en"}, follow_redirects=False)
    assert chinese.headers["location"] == "zh/"


def test_a_folder_that_is_no_version_is_named(workspace: Workspace) -> None:
    folder = DatasetFolder(workspace.datasets / "mine")
    write_json(folder.config, CONFIG.model_dump(mode="json"))
    version = workspace.dataset("makeup-bare-0123456789ab")
    remedy(
        ": found no manifest of a dataset version, needed a version that '",
        lambda: Review(workspace, folder, unused),
        lambda: Review(workspace, version, unused),
    )


def test_a_port_that_is_taken_is_named(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uvicorn.Server, "run", lambda *_all, **_named: None)
    version = workspace.dataset("makeup-bare-0123456789ab")

    def serve_on(port: int) -> None:
        serve(workspace, version, unused, Access.to("127.0.0.1", port), lambda: None)

    with socket.create_server(("127.0.0.1", 0)) as taken:
        remedy(
            " cannot be listened on ",
            lambda: serve_on(taken.getsockname()[1]),
            lambda: serve_on(0),
        )
