"""A translator of whole photographs, and one that it translates."""

from pathlib import Path

import pytest
from odd_photos import encode, photo

from core.workspace import Workspace
from serving.models import open_model
from serving.translate import Translator


@pytest.fixture(scope="module")
def translator(module_model: Path) -> Translator:
    return Translator(open_model(Workspace(module_model.parents[2]), "makeup"), "A2B")


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "zz-good.jpg"
    path.write_bytes(encode(photo(120), "JPEG"))
    return path
