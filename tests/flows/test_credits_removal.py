"""What is forgotten leaves the credits of exports too."""

import zipfile
from pathlib import Path

from flows.removal.archives import entries_with_copies, remove_entries
from flows.removal.file_copies import find_archives
from storage.forgotten_record import ForgottenRecord

FORGOTTEN, OTHER = "a" * 64, "b" * 64
RECORD = ForgottenRecord(pictures=frozenset({FORGOTTEN}))
HEADER = "file,creator,license\n"
TABLE = f'{HEADER}trainA/{FORGOTTEN[:16]}.png,Ana,CC0\ntrainA/{OTHER[:16]}.png,"Bo, Jr",CC0\n'
REST = f'{HEADER}trainA/{OTHER[:16]}.png,"Bo, Jr",CC0\n'


def test_a_credit_beside_an_archive_is_found_and_removed(tmp_path: Path) -> None:
    path = tmp_path / "v-imagefolder-credits.csv"
    path.write_text(TABLE)
    own = tmp_path / "own.csv"
    own.write_text(TABLE)  # a person's file is left alone
    assert list(find_archives([tmp_path], RECORD)) == [path]
    remove_entries(path, RECORD)
    assert path.read_text() == REST
    assert list(find_archives([tmp_path], RECORD)) == []
    assert own.read_text() == TABLE


def test_a_credit_in_an_archive_is_found_and_removed(tmp_path: Path) -> None:
    path = tmp_path / "v.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("v/credits.csv", TABLE)
        archive.writestr(f"v/trainA/{OTHER[:16]}.png", b"other")
    assert entries_with_copies(path, RECORD) == ["v/credits.csv"]
    remove_entries(path, RECORD)
    assert entries_with_copies(path, RECORD) == []
    with zipfile.ZipFile(path) as archive:
        assert archive.read("v/credits.csv").decode() == REST
        assert len(archive.namelist()) == 2
