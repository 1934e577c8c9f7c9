"""Whatever command we print can be pasted: commands are taken from real output, and run."""

import ast
import html
import re
import shlex
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from cli_runs import PROGRAM, Suyan, printed_commands
from rich.console import Console

from cli import doctor
from cli.main import app
from cli.run import print_summary
from core.commands import (
    RECIPE_DOMAINS,
    bounded,
    install_command,
    pip_command,
    prefect_command,
    recipe_of,
    suyan_command,
)
from core.errors import SuyanError
from core.workspace import Workspace
from evaluation.config import PromoteConfig
from evaluation.model_registry.model_versions import crown
from evaluation.model_registry.promote import Promotion, promote
from evaluation.scores import load_scores
from flows import latest, recipes
from flows.forms.effective import with_preset
from flows.recipe_files import library
from flows.ui.approval import Approval, apply_approval
from scraping.offline.corpus import portrait, portrait_corpus
from scraping.offline.server import OfflineEngine

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (
    "core", "storage", "scraping", "preprocessing", "training", "evaluation", "serving", "flows",
    "cli",
)  # fmt: skip
SMALL: dict[str, dict[str, Any]] = {
    "crawl": {"suffixes": [], "num_images": 12, "search_interval_s": 0.01},
    "prepare": {"min_images": 2, "test_fraction": 0.4},
    "train": {"ngf": 4, "ndf": 4, "num_epochs_decay": 0, "device": "cpu", "num_threads": 1},
    "evaluate": {"num_bootstrap": 20, "inception": "never", "num_gallery": 1},
}
HOURS = {
    "review",
    "demo",
    "up",
    "ui",
    "down",
}  # they take minutes or serve: only their line is read


@pytest.fixture
def golden(tmp_path: Path) -> Workspace:
    """The golden workspace, in a folder whose name has a space."""
    folder = tmp_path / "my files" / "workspace"
    with tarfile.open(ROOT / "tests" / "golden" / "workspace.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return Workspace(folder)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    from PIL import Image

    path = tmp_path / "a photo.jpg"
    Image.fromarray(portrait("makeup", 3)).save(path)
    return path


def paste(suyan: Suyan, text: str, photo: Path | None = None) -> dict[str, str]:
    """Run every command in ``text``; returns their output by command. None may fail."""
    outputs = {}
    for command, *words in printed_commands(text):
        arguments = [str(photo) if word == "PHOTO" else word for word in words]
        if command in HOURS:
            group: Any = typer.main.get_command(app)
            group.commands[command].make_context(command, arguments)
            outputs[command] = ""
            continue
        if command == "run" and "--show" not in arguments:
            arguments.append("--show")
        status, outputs[command] = suyan(command, *arguments)
        assert status == 0, f"{command} {arguments}: {outputs[command]}"
    return outputs


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.remedy(
    " yet, needed one, or the name of a version", " yet, needed one, or the name of a run"
)
def test_following_the_messages_leads_from_nothing_to_a_translated_photograph(
    suyan: Suyan, monkeypatch: pytest.MonkeyPatch, photo: Path
) -> None:
    with OfflineEngine(portrait_corpus(num_good=16)) as engine:
        base = recipes.with_engine(recipes.makeup(), engine.url, allow_private_hosts=True)
        values = with_preset(base, "trial").model_dump(mode="json")
        for stage, changes in SMALL.items():
            for key in ("crawl_a", "crawl_b") if stage == "crawl" else (stage,):
                values[key] |= changes
        for side in ("crawl_a", "crawl_b"):
            values[side]["phrases"] = values[side]["phrases"][:1]
        small = type(base).model_validate(values)
        recipe = replace(library.shipped_recipe("makeup"), parameters=small)
        monkeypatch.setattr(library, "shipped_recipe", lambda _: recipe)
        Path("work space").mkdir()
        place = ("--workspace", "work space")
        lines = [["evaluate", *place]]
        followed = []
        while lines:  # what an error advises is done first, then the same again
            command, *words = lines[-1]
            status, text = suyan(command, *words)
            followed.append(command)
            assert len(followed) < 12, text
            if status == 0:
                lines.pop()
            else:
                lines.append(printed_commands(text)[0])
            if command == "train" and status == 0:
                assert "translate" in paste(suyan, text, photo)
    assert followed == [
        "evaluate", "train", "prepare", "crawl", "prepare", "crawl", "prepare", "train", "evaluate",
    ]  # fmt: skip
    assert "promote" in paste(suyan, text)
    assert suyan("translate", photo, "--overwrite", *place)[0] == 0
    (card,) = Path("work space").glob("datasets/*/card.html")
    lines = html.unescape(card.read_text(encoding="utf-8"))
    named = {words[1] for words in printed_commands(lines)}
    assert named == {card.parent.name, "ACTION", "different", "drop", "move"}
    first, second, *_ = (path.stem for path in Path("work space/originals").glob("*/*"))
    lines = lines.replace("DIGITS DIGITS", f"{first} {second}").replace("DIGITS", first)
    assert "curate" in paste(suyan, lines.replace("ACTION", "keep"))


def test_a_model_that_failed_the_gate_is_promoted_by_the_line_that_says_so(
    suyan: Suyan, golden: Workspace
) -> None:
    (run,) = golden.runs.iterdir()
    (evaluation,) = (run / "evaluation").iterdir()
    golden.recipe_models("makeup").champion.unlink()
    refused = promote(run, evaluation, golden, "makeup", PromoteConfig())
    assert not refused.promoted
    assert "champion of makeup" in paste(suyan, refused.reason)["promote"]


def test_a_rejected_champion_is_taken_back_by_the_line_that_says_so(
    suyan: Suyan, golden: Workspace
) -> None:
    (first,) = golden.recipe_models("makeup").path.glob("step*")
    second = first.with_name("step11-00000000")
    second.mkdir()
    for path in first.iterdir():
        (second / path.name).write_bytes(path.read_bytes())
    crown(golden, "makeup", second.name)
    promotion = Promotion(promoted=True, reason="", model=second)
    rejected = apply_approval(
        promotion, Approval(approved=False, reason="mouths"), golden, "makeup"
    )
    assert first.name in paste(suyan, rejected.reason)["rollback"]


def test_the_end_of_a_run_says_how_to_go_on_and_explains_its_words(
    suyan: Suyan, golden: Workspace, photo: Path
) -> None:
    (model,) = golden.recipe_models("makeup").path.glob("step*")
    scores = load_scores(model / "scores.json")
    result: Any = SimpleNamespace(
        seconds={"crawl": 1.0}, verdict="KID falls.", promotion="It passed the gate.",
        report=Path("report.html"), dataset=Path("dataset"), model=model, scores=scores,
    )  # fmt: skip
    console = Console(record=True, width=80)
    print_summary(result, console, golden)
    text = console.export_text()
    assert paste(suyan, text, photo).keys() == {"ui", "translate"}
    for word in ("KID says", "95 % interval is", "The gate is"):
        assert word in " ".join(text.split())


def test_without_a_champion_the_other_workspace_and_every_way_to_a_model_work(
    suyan: Suyan, golden: Workspace, photo: Path, tmp_path: Path
) -> None:
    golden.folder.rename(tmp_path / "workspace-drawn")
    status, text = suyan("translate", photo)
    assert status == 2
    assert paste(suyan, text).keys() == {"run", "demo"}
    (other,) = set(re.findall(r"--workspace (workspace-drawn)", text))
    assert suyan("translate", photo, "--workspace", other)[0] == 0
    status, text = suyan("translate", photo, "--model", "nothing")
    assert printed_commands(text) == [["import", "FOLDER", "--out", "MODEL"]]


def test_the_doctors_remedies_are_lines_for_this_workspace(
    suyan: Suyan, golden: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "TIMEOUT_S", 0.5)
    findings = list(doctor.examine(golden, "makeup"))
    remedies = "\n".join(finding.remedy for finding in findings)
    assert {"up", "run"} <= paste(suyan, remedies).keys()


def test_an_unknown_option_of_the_training_and_a_mistyped_command_say_where_to_look(
    suyan: Suyan,
) -> None:
    status, text = suyan("train", "--set", "zzz=1")
    assert status == 2
    assert '"num_epochs"' in paste(suyan, text)["run"]
    status, text = suyan("train", "--recpie", "makeup")
    assert status == 2
    ((command, option),) = printed_commands(text)
    assert suyan(command, option)[0] == 0


def test_the_line_of_the_offline_engine_names_it(suyan: Suyan) -> None:
    url = "http://127.0.0.1:8099"
    line = suyan_command("run", "--engine-url", url, "--allow-private-hosts", "--small")
    assert f'"engine_url": "{url}"' in paste(suyan, line)["run"]


def test_a_recipe_of_ones_own_needs_its_file_where_its_parameters_count(tmp_path: Path) -> None:
    home = Workspace(tmp_path / "home")
    assert "--recipe cats" in suyan_command("promote", "x", workspace=home, recipe="cats")
    assert "--recipe FILE" in suyan_command("train", workspace=home, recipe="cats")
    assert "--recipe seasons" in suyan_command("train", workspace=home, recipe="seasons")
    home.recipe_files.mkdir(parents=True)
    home.recipe_file("cats").write_text("from: seasons")
    assert "--recipe cats" in suyan_command("train", workspace=home, recipe="cats")


def test_the_shipped_recipes_and_their_domains_are_known() -> None:
    for name, build in recipes.RECIPES.items():
        parameters = build()
        domains = (parameters.crawl_a.domain, parameters.crawl_b.domain)
        assert RECIPE_DOMAINS[name] == domains
        assert recipe_of(*domains) == name
    assert RECIPE_DOMAINS.keys() == recipes.RECIPES.keys()
    assert recipe_of("cat", "dog") not in recipes.RECIPES


def test_a_bucket_is_named_by_its_address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from storage.remote import open_workspace

    monkeypatch.setenv("SUYAN_CACHE", str(tmp_path))
    workspace = open_workspace("s3://bucket/of/us")
    line = suyan_command("status", workspace=workspace)
    assert line.endswith(" status --workspace s3://bucket/of/us")


@pytest.mark.parametrize("from_home", [True, False])
def test_the_program_is_found_from_where_the_line_is_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, from_home: bool
) -> None:
    program = tmp_path / "my clone" / "bin" / "suyan"
    program.parent.mkdir(parents=True)
    program.touch(mode=0o755)
    monkeypatch.setattr("sys.argv", [str(program)])
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(program.parent.parent if from_home else tmp_path / "elsewhere")
    here = suyan_command("status", workspace=Workspace(Path("w")))
    anywhere = suyan_command("status", workspace=Workspace(tmp_path))
    assert here == ("bin/suyan" if from_home else f'"{program}"') + " status --workspace w"
    assert anywhere == f'"{program}" status --workspace {tmp_path}'
    monkeypatch.setenv("PATH", str(program.parent))
    assert suyan_command("status", workspace=Workspace(tmp_path)).startswith("suyan status")


def test_a_line_of_prefects_own_command_asks_this_server() -> None:
    line = prefect_command("deployment", "run", "a/b", api_url="http://127.0.0.1:4201/api")
    setting, program, *words = shlex.split(line)
    assert setting == "PREFECT_API_URL=http://127.0.0.1:4201/api"
    assert Path(shutil.which(program) or "").samefile(PROGRAM.with_name("prefect"))
    assert words == ["deployment", "run", "a/b"]


def test_the_line_that_installs_an_extra_names_this_python_and_an_extra_that_exists() -> None:
    import tomllib

    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = declared["project"]["optional-dependencies"]
    named = {
        extra
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for extra in re.findall(r"install_command\([\"'](\w+)", path.read_text(encoding="utf-8"))
    }
    assert named
    assert named <= extras.keys()
    assert install_command("s3") == f'{PROGRAM.with_name("python")} -m pip install -e "{ROOT}[s3]"'


def test_an_installed_package_names_the_packages_of_an_extra(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """After ``pip install .`` no folder of the installation can be installed again."""
    monkeypatch.setattr("core.commands._REPOSITORY", tmp_path)
    python = PROGRAM.with_name("python")
    assert install_command("s3") == f'{python} -m pip install "obstore>=0.8" "boto3>=1.35"'
    line = install_command("wandb,mlflow")
    assert line == f'{python} -m pip install "wandb>=0.22" "mlflow-skinny>=3"'
    assert "suyan" not in line
    assert bounded("fastapi", "psutil") == ["fastapi<0.151", "psutil>=6"]


def test_an_environment_without_pip_is_filled_by_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.commands.distributions", lambda **_name: iter(()))
    python = PROGRAM.with_name("python")
    assert pip_command("socksio") == f"uv pip install --python {python} socksio"


def _texts(path: Path) -> Iterator[tuple[int, str]]:
    """The strings of a module that are no docstrings, or the lines of a template."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        yield from enumerate(text.splitlines(), 1)
        return
    tree = ast.parse(text)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if is_text and id(node) not in docstrings:
            yield node.lineno, node.value


def test_no_other_text_of_the_product_spells_a_command() -> None:
    names = "|".join(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    of_prefect = "artifact|automation|deployment|flow-run|profile|server|work-pool|worker"
    pattern = re.compile(
        rf"\bsuyan (?:{names})\b|\bpip install\b|\bmake (?:setup|demo|clean|ui)\b|"
        rf"\bprefect (?:{of_prefect}) \w"
    )
    files = [
        path
        for package in PACKAGES
        for suffix in ("py", "jinja", "html", "json", "js")
        for path in (ROOT / package).rglob(f"*.{suffix}")
        if path != ROOT / "core" / "commands.py"
    ]
    spelt = [
        f"{path.relative_to(ROOT)}:{line} {match[0]}"
        for path in files
        for line, text in _texts(path)
        for match in pattern.finditer(text)
    ]
    assert not spelt


def test_what_is_missing_and_its_remedy_are_one_message(tmp_path: Path) -> None:
    with pytest.raises(SuyanError, match="needed one") as missing:
        latest.dataset_folder(Workspace(tmp_path), "makeup")
    assert printed_commands(missing.value.remedy)[0][0] == "prepare"
