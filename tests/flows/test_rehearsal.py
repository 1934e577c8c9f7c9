"""``suyan rehearse``: a run through server and worker, without a network, in one command."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from core.tables import Original, read_rows
from core.workspace import Workspace
from flows.server.prefect_server import running_server
from flows.server.services import worker_pid

ROOT = Path(__file__).resolve().parents[2]


def test_the_guides_name_the_command() -> None:
    for guide in ("README.md", "README.zh-CN.md", "docs/weekly-running.md", "docs/crawl.zh-CN.md"):
        assert re.search(r"suyan rehearse\b", (ROOT / guide).read_text(encoding="utf-8")), guide


@pytest.mark.slow
@pytest.mark.timeout(3600)  # a server, a worker and a run of every stage, on a busy machine
def test_a_rehearsal_is_one_command_and_leaves_nothing_running(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "rehearsal")
    environment = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
    done = subprocess.run(
        [sys.executable, "-c", "from cli.main import main; main()", "rehearse",
         "--workspace", str(workspace)],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    assert "prefect deployment run pipeline/makeup --param preset=trial" in output
    assert re.search(
        r"^    PREFECT_API_URL=http\S+ \S*prefect deployment run", output, re.MULTILINE
    )
    assert "asked to save" not in output  # as if its run were cut short
    assert "Every stage ran" in output
    assert "▶ 1/5 crawl" in output  # the run's own lines, and none of Prefect's
    assert not re.search(r"prefect\.(flow|task)-run|heartbeat|deployment step", output)
    assert list(workspace.folder.glob("runs/*/evaluation/*/report.html"))
    for listing in workspace.folder.glob("crawls/*/listing.parquet"):
        addresses = {row.url for row in read_rows(listing, Original)}
        assert addresses
        assert all(address.startswith("http://127.0.0.1:") for address in addresses)
    assert running_server(workspace) is None
    assert worker_pid(workspace) is None
