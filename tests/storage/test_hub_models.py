"""Models are fetched by name, checked, and refused where a repository is not what it says."""

import hashlib
import os
from pathlib import Path

import pytest
import torch
from hub_fixture import hub, model_content
from hub_server import HubServer
from model_maker import ModelMaker
from remedies import remedy

from core.errors import CheckpointError, SuyanError
from core.files import load_json, write_json
from core.workspace import Workspace
from flows.warm_start.starting_points import starting_point
from serving.models import open_model
from storage.hub import hub_clients
from storage.hub.hub_address import is_hub_address, parse_hub_address
from storage.hub.hub_models import fetch_hub_model

__all__ = ["hub"]
WORKSPACE = Workspace(Path("nowhere"))


def test_an_address_has_a_revision_or_the_hubs_own_branch() -> None:
    assert str(parse_hub_address("hf://ann/make-up")) == "hf://ann/make-up@main"
    assert str(parse_hub_address("ms://ann/m.1")) == "ms://ann/m.1@master"
    assert parse_hub_address("hf://ann/m@v1.0").revision == "v1.0"
    assert is_hub_address("hf:///etc")
    assert not is_hub_address("models/hf")


@pytest.mark.parametrize(
    "text",
    ["hf://ann", "hf://ann/../x", "hf://ann/m/x", "hf:///etc/passwd", "hf://ann/m@../main",
     "hf://ann/m@-x", "hf://ann/a--b", "ms://ann/m@"],
)  # fmt: skip
def test_a_malformed_address_is_refused(text: str) -> None:
    remedy(
        ", and @REVISION behind it for other than the newest files",
        lambda: parse_hub_address(text), lambda: parse_hub_address("hf://ann/model@main"),
    )  # fmt: skip


@pytest.mark.parametrize("scheme", ["hf", "ms"])
def test_a_model_is_used_by_its_name(hub: HubServer, make_model: ModelMaker, scheme: str) -> None:
    folder = make_model()
    hub.add("ann/makeup", {**model_content(folder), "evil.py": b"exit()", "state.pt": b"pickle"})
    name = f"{scheme}://ann/makeup"
    model = open_model(WORKSPACE, "makeup", name)
    picture = torch.zeros(1, 3, 16, 16)
    with torch.inference_mode():
        expected = open_model(WORKSPACE, "makeup", str(folder)).network("A2B")(picture)
        assert torch.equal(model.network("A2B")(picture), expected)
    assert {path.name for path in model.folder.iterdir()} == set(model_content(folder))
    assert not [path for path in hub.paths if "evil" in path or "state" in path]
    assert not any(path.is_symlink() for path in model.folder.rglob("*"))
    hub.paths.clear()
    assert open_model(WORKSPACE, "makeup", name).folder == model.folder
    assert len(hub.paths) == 1, "the list alone is asked for again"


def test_a_training_starts_from_it_and_records_its_weights(
    hub: HubServer, make_model: ModelMaker
) -> None:
    hub.add("ann/makeup", model_content(make_model()))
    with starting_point("hf://ann/makeup@main", WORKSPACE, "makeup") as start:
        assert start is not None
        origin = start.origin
    assert origin.startswith("hf://ann/makeup@main@")
    with starting_point(origin, WORKSPACE, "makeup") as start:
        assert start is not None
        assert start.origin == origin


def test_a_private_repository_needs_a_token(
    hub: HubServer, make_model: ModelMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("ann/secret", model_content(make_model()), private=True)
    token = os.environ["HF_TOKEN"]

    def fetch(value: str) -> None:
        monkeypatch.setenv("HF_TOKEN", value)
        fetch_hub_model("hf://ann/secret")

    remedy(" did not list its files: ", lambda: fetch(""), lambda: fetch(token))


def test_while_the_hub_is_away_the_known_files_are_used(
    hub: HubServer, make_model: ModelMaker, caplog: pytest.LogCaptureFixture
) -> None:
    repository = hub.add("ann/makeup", model_content(make_model()))
    folder = fetch_hub_model("hf://ann/makeup")
    del hub.repositories["models/ann/makeup"]
    assert fetch_hub_model("hf://ann/makeup") == folder
    assert "Until then the files that it had before are used" in caplog.text
    with pytest.raises(SuyanError, match="did not list its files"):
        fetch_hub_model("hf://ann/makeup@v2")
    hub.repositories["models/ann/makeup"] = repository
    repository.files["strengths.json"] = b'{"G_A": 1.5, "G_B": 1}'
    newer = fetch_hub_model("hf://ann/makeup")
    assert newer != folder
    assert load_json(newer / "strengths.json")["G_A"] == 1.5


def test_an_endpoint_is_an_address(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def endpoint(value: str) -> str:
        monkeypatch.setenv("HF_ENDPOINT", value)
        return parse_hub_address("hf://a/b").endpoint

    remedy(", needed an http or https address, e.g. ",
           lambda: endpoint("file:///etc"), lambda: endpoint(hub.url))  # fmt: skip
    assert endpoint("") == "https://huggingface.co"


def refused(hub: HubServer, text: str, scheme: str = "hf") -> None:
    """The hostile repository is refused by this error, an honest one is fetched."""
    honest = hub.repositories["models/ann/honest"]

    def right() -> None:
        assert honest is not None
        fetch_hub_model("hf://ann/honest")

    remedy(text, lambda: fetch_hub_model(f"{scheme}://ann/bad"), right)
    cache = Path(os.environ["SUYAN_CACHE"]) / "hub"
    assert [path.name for path in cache.glob("*bad*/*")] == [], "nothing was stored"


@pytest.fixture
def content(hub: HubServer, make_model: ModelMaker) -> dict[str, bytes]:
    content = model_content(make_model())
    hub.add("ann/honest", content)
    return content


@pytest.mark.remedy(", needed names that stay in their folder")
@pytest.mark.parametrize("name", ["../G_A.safetensors", "/etc/G_A", "a/../../x", "..\\x"])
@pytest.mark.parametrize("scheme", ["hf", "ms"])
def test_names_that_leave_the_folder_are_refused(
    hub: HubServer, content: dict[str, bytes], name: str, scheme: str
) -> None:
    hub.add("ann/bad", {**content, name: b"x"})
    refused(hub, ", needed names that stay in their folder", scheme)


@pytest.mark.remedy(" bytes, needed at most ")
def test_huge_files_are_refused_before_they_are_fetched(
    hub: HubServer, content: dict[str, bytes]
) -> None:
    repository = hub.add("ann/bad", content)
    repository.listed["config.json"] = {"size": 9_000_000}
    refused(hub, " bytes, needed at most ")
    assert not any("/resolve/" in path and "/bad/" in path for path in hub.paths)
    repository.listed = {"G_A.safetensors": {"size": -1, "lfs": None}}
    refused(hub, " bytes, needed at most ")


@pytest.mark.remedy(" files, needed a model of at most ")
def test_too_many_files_are_refused(
    hub: HubServer, content: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.hub.hub_listing._MAX_LISTED", 20)
    hub.add("ann/bad", {**content, **{f"{number}.bin": b"" for number in range(30)}})
    refused(hub, " files, needed a model of at most ")


@pytest.mark.parametrize("kind", ["longer", "shorter", "other"])
@pytest.mark.parametrize("name", ["G_A.safetensors", "prepare.json"])
@pytest.mark.remedy(" bytes and another digest than the ")
def test_other_bytes_than_listed_are_refused(
    hub: HubServer, content: dict[str, bytes], kind: str, name: str
) -> None:
    repository = hub.add("ann/bad", content)
    true = content[name]
    repository.sent[name] = {
        "longer": true + b"more", "shorter": true[:-1], "other": bytes([true[0] ^ 1]) + true[1:]
    }[kind]  # fmt: skip
    refused(hub, " bytes and another digest than the ")


@pytest.mark.remedy(" is listed without a digest, needed one to check it by")
def test_files_without_a_digest_are_refused(hub: HubServer, content: dict[str, bytes]) -> None:
    hub.add("ann/bad", content).listed["config.json"] = {"blobId": None, "lfs": None}
    refused(hub, " is listed without a digest, needed one to check it by")


@pytest.mark.remedy(", needed config.json and G_A.safetensors or G_B.safetensors")
def test_a_repository_of_something_else_is_refused(
    hub: HubServer, content: dict[str, bytes]
) -> None:
    hub.add("ann/bad", {"pytorch_model.bin": b"pickle", "config.json": b"{}"})
    refused(hub, "config.json and G_A.safetensors or G_B.safetensors")


@pytest.mark.remedy(" could not be fetched: ")
def test_a_transfer_that_breaks_is_refused(
    hub: HubServer, content: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = hub.add("ann/bad", content)
    del repository.files["prepare.json"]
    repository.files["prepare.json"] = b"x"
    listing = hub_clients.list_repository(parse_hub_address("hf://ann/bad"))
    urls = {**listing.urls, "prepare.json": "http://127.0.0.1:9/prepare.json"}
    broken = hub_clients.HubListing(listing.files, listing.commit, listing.headers, urls)
    true = hub_clients.list_repository
    monkeypatch.setattr(
        "storage.hub.hub_models.list_repository",
        lambda address: broken if address.repo.endswith("bad") else true(address),
    )
    refused(hub, " could not be fetched: ")


@pytest.mark.parametrize("change", [{"ngf": 8}, {"num_blocks": 2}, {"ngf": 100_000}])
def test_wrong_shapes_and_absurd_sizes_are_refused(
    hub: HubServer, make_model: ModelMaker, change: dict[str, int]
) -> None:
    folder = make_model()
    write_json(folder / "config.json", load_json(folder / "config.json") | change)
    hub.add("ann/bad", model_content(folder))
    with pytest.raises(CheckpointError, match=r"tensor|G_A\.safetensors|not the configuration"):
        open_model(WORKSPACE, "makeup", "hf://ann/bad").network("A2B")


@pytest.mark.parametrize("kind", ["pickle", "link"])
def test_weights_that_are_none_are_refused_and_not_unpickled(
    hub: HubServer, content: dict[str, bytes], kind: str
) -> None:
    """A link in a repository is a file that holds a path; a pickle is not loaded."""
    hostile = {
        "pickle": b"cposix\nsystem\n(S'touch /tmp/suyan-was-here'\ntR.", "link": b"/etc/passwd"
    }[kind]  # fmt: skip
    hub.add("ann/bad", {**content, "G_A.safetensors": hostile})
    model = open_model(WORKSPACE, "makeup", "hf://ann/bad")
    assert (model.folder / "G_A.safetensors").read_bytes() == hostile
    assert not (model.folder / "G_A.safetensors").is_symlink()
    with pytest.raises(CheckpointError):
        model.network("A2B")
    assert hashlib.sha256(hostile).hexdigest()
    assert not Path("/tmp/suyan-was-here").exists()
