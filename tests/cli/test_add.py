"""``suyan add``: a person's own pictures, as they type it."""

from pathlib import Path

import pytest
from cli_runs import Suyan
from own_pictures import jpeg, write_pictures

from core.workspace import Workspace
from flows import recipes
from flows.estimates.stage_work import expected_originals
from scraping.config import CrawlConfig
from scraping.crawl import crawl_name


def test_added_pictures_join_the_crawl_of_the_recipe(suyan: Suyan, tmp_path: Path) -> None:
    write_pictures(tmp_path / "faces", 4)
    status, text = suyan("add", "faces", "--domain", "bare")
    assert status == 0
    assert "bare: 4 originals, 4 new" in text
    assert "folder: faces" in text
    folder = Workspace(Path("workspace")).crawl(crawl_name(recipes.makeup().crawl_b))
    assert folder.listing.exists()
    status, text = suyan("status")
    assert "no phrase was searched yet" in text


def test_adding_the_same_pictures_again_says_that_nothing_was_added(
    suyan: Suyan, tmp_path: Path
) -> None:
    write_pictures(tmp_path / "faces", 4)
    suyan("add", "faces", "--domain", "bare")
    status, text = suyan("add", "faces", "--domain", "bare")
    assert status == 0
    assert "bare: 4 originals, 0 new" in text
    assert "folder: faces: nothing new: all 4 files were there before" in text
    assert "Nothing was added: the domain has these pictures already." in text


def test_what_is_said_of_a_source_is_said_when_it_is_read(suyan: Suyan, tmp_path: Path) -> None:
    write_pictures(tmp_path / "faces", 4)
    (tmp_path / "faces" / "notes.txt").write_text("x")
    write_pictures(tmp_path / "more", 1, first=9)
    note = "folder: faces: 1 other files left out (1 .txt)"
    assert note in suyan("add", "faces", "--domain", "bare")[1]
    assert note not in suyan("add", "more", "--domain", "bare")[1]


def test_the_training_that_is_announced_is_one_on_the_folders_pictures(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "faces", 7)
    (tmp_path / "urls.txt").write_text("http://a.example/1\nhttp://a.example/2\n")
    own = CrawlConfig(
        domain="bare", folders=(str(folder),), lists=(str(tmp_path / "urls.txt"), "none.txt")
    )
    assert expected_originals(own) == 9
    assert expected_originals(own.model_copy(update={"phrases": ("x",)})) == 800
    assert expected_originals(CrawlConfig(domain="bare", num_images=3)) == 3


def test_a_domain_that_no_recipe_has_keeps_its_pictures_for_one(
    suyan: Suyan, tmp_path: Path
) -> None:
    write_pictures(tmp_path / "cats", 3)
    write_pictures(tmp_path / "more cats", 2, first=3)
    status, text = suyan("add", "cats", "--domain", "cats")
    assert status == 0
    assert "cats is none of the domains of the recipe makeup (makeup, bare)." in text
    status, text = suyan("add", "more cats", "--domain", "cats")
    assert "cats: 5 originals, 2 new" in text
    assert "finished" in suyan("status")[1]
    assert "did you mean bare?" in suyan("add", "cats", "--domain", "baer")[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none"], "got none, and there is no such file or folder; needed a folder, an archive ("),
        (["faces.rar"], "got faces.rar, whose name is of another kind; needed a folder"),
        (["empty"], "empty: found no file and no picture; needed at least one of JPEG, PNG"),
        (["faces", "--url-column", "url"], "--url-column: got url, and no list of addresses"),
    ],
)
def test_a_wrong_source_is_answered_by_what_is_needed(
    suyan: Suyan, tmp_path: Path, arguments: list[str], message: str
) -> None:
    write_pictures(tmp_path / "faces", 1)
    (tmp_path / "empty").mkdir()
    (tmp_path / "faces.rar").write_bytes(b"Rar!")
    status, text = suyan("add", *arguments, "--domain", "bare")
    assert status == 2
    assert message in text
    assert "Traceback" not in text


def test_a_wrong_domain_is_refused_before_anything_is_read(suyan: Suyan, tmp_path: Path) -> None:
    write_pictures(tmp_path / "faces", 1)
    status, text = suyan("add", "faces", "--domain", "Bare Faces")
    assert status == 2
    assert "--domain" in text
    assert not (tmp_path / "workspace").exists()


def test_one_wrong_source_of_several_adds_nothing(suyan: Suyan, tmp_path: Path) -> None:
    (tmp_path / "faces").mkdir()
    (tmp_path / "faces" / "a.jpg").write_bytes(jpeg(1))
    assert suyan("add", "faces", "none", "--domain", "bare")[0] == 2
    assert not (tmp_path / "workspace").exists()
