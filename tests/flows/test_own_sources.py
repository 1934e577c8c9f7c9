"""A recipe of a person's own folders, through the flow of the weekly refresh."""

from pathlib import Path

import pytest
from own_pictures import jpeg, write_pictures
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_URL,
    PREFECT_HOME,
    temporary_settings,
)

from core.tables import Picture, read_rows
from core.workspace import Workspace
from flows.parameters import RefreshParameters
from flows.refresh import refresh_dataset
from flows.server.services import Services
from preprocessing.version.dataset_export import export

pytestmark = pytest.mark.slow
_PX = 200


def _refresh(folders: tuple[Path, Path], workspace: Path) -> str:
    a, b = folders
    parameters = {
        "recipe": "pets",
        "crawl_a": {"domain": "cats", "folders": [str(a)], "refresh_after_h": 0},
        "crawl_b": {"domain": "dogs", "folders": [str(b)], "refresh_after_h": 0},
        "prepare": {
            "domain_a": "cats", "domain_b": "dogs", "faces": False, "crop_px": 64, "min_images": 4
        },
    }  # fmt: skip
    return refresh_dataset(
        parameters=RefreshParameters.model_validate(parameters), workspace=str(workspace)
    )


def test_watched_folders_become_versions_that_grow(services: Services, tmp_path: Path) -> None:
    folders = (
        write_pictures(tmp_path / "cats", 30, px=_PX),
        write_pictures(tmp_path / "dogs", 30, first=100, px=_PX),
    )
    home = tmp_path / "workspace"
    prefect_settings = {
        PREFECT_API_URL: services.server.api_url,
        PREFECT_HOME: services.server.home,
        PREFECT_API_AUTH_STRING: "tester:a-secret-of-the-test",
    }
    with temporary_settings(updates=prefect_settings):
        first = _refresh(folders, home)
        assert _refresh(folders, home) == first
        write_pictures(folders[0], 5, first=50, px=_PX)
        (folders[0] / "tiny.jpg").write_bytes(jpeg(999, 16))
        second = _refresh(folders, home)
    assert second != first
    rows = read_rows(Workspace(home).dataset(second).manifest, Picture)
    assert {(row.side, row.phrase) for row in rows} == {
        ("A", "folder: cats"), ("B", "folder: dogs"),
    }  # fmt: skip
    used = [row for row in rows if row.status == "ok"]
    assert len([row for row in used if row.side == "A"]) == 35
    assert "cats/part 0/0050.jpg" in {row.url for row in rows}
    dataset = Workspace(home).dataset(second).path
    files = [path for path in dataset.rglob("*") if path.suffix in {".html", ".md", ".json"}]
    files += export(dataset, tmp_path / "export", "zip", overwrite=False)
    content = b"".join(path.read_bytes() for path in files)
    assert not [folder for folder in folders if str(folder).encode() in content]
    page = Workspace(home).dataset(second).card_page.read_text()
    assert "folder: cats" in page  # at the tiny picture, which is rejected
