"""A recipe's file, and a list of addresses, are taken once they are as the message says."""

from collections.abc import Callable
from pathlib import Path

import pytest
from remedies import remedy

from core.workspace import Workspace
from flows.recipe_files.library import check_new_name, load_recipe, recipe_files
from flows.recipe_files.recipe import Schedule
from flows.recipe_files.strict_yaml import read_document
from scraping.config import CrawlConfig
from scraping.sources.address_lists import AddressList
from training.config import TrainConfig

PLAIN = "from: makeup\n"


@pytest.fixture
def home(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path)
    workspace.recipe_files.mkdir(parents=True)
    return workspace


def test_a_file_is_written_as_the_message_says(home: Workspace) -> None:
    file = home.recipe_files / "mine.yaml"

    def read(text: str | bytes) -> Callable[[], object]:
        content = text.encode() if isinstance(text, str) else text
        return lambda: (file.write_bytes(content), read_document(file))

    whole = read(PLAIN)
    remedy(" bytes, needed a file of settings of at most ", read("#" * 2_000_000), whole)
    remedy("); save it as UTF-8", read(b"from: \xff"), whole)
    remedy(", needed names and their values", read("- makeup"), whole)
    remedy(", line ", read("from: makeup\nfrom: seasons\n"), whole)
    remedy(": found no YAML: ", read("[" * 3000), whole)


def test_a_recipe_is_named_and_based_as_the_message_says(home: Workspace, tmp_path: Path) -> None:
    def load(name: str, text: str = PLAIN, folder: Path = home.recipe_files) -> Callable[[], None]:
        def loading() -> None:
            file = folder / name
            file.write_text(text)
            load_recipe(file, home)
            file.unlink()

        return loading

    mine = load("mine.yaml")
    remedy(", needed a recipe's YAML", lambda: load_recipe(tmp_path / "no.yaml", home), mine)
    remedy(", which is that of a shipped recipe; needed ", load("makeup.yaml"), mine)
    (home.recipe_files / "makeup.yaml").unlink()
    remedy("', needed the file's name; rename the file to ", load("a.yaml", f"recipe: b\n{PLAIN}"),
           load("b.yaml", f"recipe: b\n{PLAIN}"))  # fmt: skip
    remedy(", needed the name of a recipe", load("mine.yaml", "from: 3\n"), mine)
    remedy(", needed one of ", load("mine.yaml", "from: makup\n"), mine)
    remedy(" goes round; needed a recipe that needs no other here",
           load("mine.yaml", "from: mine\n"), mine)  # fmt: skip
    remedy(" is refused:", load("mine.yaml", f"{PLAIN}train: {{seed: many}}\n"),
           load("mine.yaml", f"{PLAIN}train: {{seed: 7}}\n"))  # fmt: skip
    for path in home.recipe_files.iterdir():
        path.unlink()
    for suffix in ("yaml", "yml"):
        (home.recipe_files / f"twice.{suffix}").write_text(PLAIN)
    remedy(
        "recipes of one name; rename or remove one of them",
        lambda: recipe_files(home),
        lambda: ((home.recipe_files / "twice.yml").unlink(), recipe_files(home)),
    )

    def new(name: str) -> Callable[[], object]:
        return lambda: check_new_name(name, home)

    remedy(", needed at most 40 of a-z, 0-9 and -, the first no -", new("My Cats"), new("cats"))
    remedy("; give another name", new("twice"), new("thrice"))


def test_a_schedule_and_engines_are_given_as_the_message_says() -> None:
    remedy(", needed five fields such as 0 3 * * 1 (Mondays at 3:00)",
           lambda: Schedule(cron="weekly"), lambda: Schedule(cron="0 3 * * 1"))  # fmt: skip
    remedy(", needed a name such as Asia/Shanghai or UTC",
           lambda: Schedule(timezone="Peking"), lambda: Schedule(timezone="UTC"))  # fmt: skip

    def crawl(*engines: str) -> Callable[[], object]:
        values = {"domain": "bare", "phrases": ["x"], "engines": engines}
        return lambda: CrawlConfig.model_validate(values)

    remedy(", needed each engine once", crawl("baidu", "baidu"), crawl("baidu"))
    remedy(
        ", needed n_layers, resize_and_crop ",
        lambda: TrainConfig(face_windows=True, preprocess="crop"),
        lambda: TrainConfig(face_windows=True),
    )


def test_a_list_of_addresses_is_written_as_the_message_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    import pyarrow as pa
    import pyarrow.parquet as pq

    address = "https://host.example/picture.jpg"

    def read(name: str, content: bytes, column: str = "") -> Callable[[], object]:
        path = tmp_path / name
        return lambda: (path.write_bytes(content), list(AddressList(path, column).addresses()))

    lines = read("list.txt", f"{address}\n".encode())
    remedy(", needed a ", read("list.doc", address.encode()), lines)
    table = f"number,place\n1,{address}\n".encode()
    remedy("addresses with --url-column (url_column in a recipe)", read("list.csv", table),
           read("list.csv", table, "place"))  # fmt: skip
    remedy(": found no whole Parquet file (", read("list.parquet", b"torn"), lines)
    whole = tmp_path / "list.parquet"
    pq.write_table(pa.table({"url": [address]}), whole)
    content = whole.read_bytes()

    def without_pyarrow() -> None:
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, "pyarrow", None)
            read("list.parquet", content)()

    remedy("install pyarrow, or save the list as CSV", without_pyarrow,
           read("list.csv", f"url\n{address}\n".encode()))  # fmt: skip
