"""The offline demonstration: the real pipeline against the drawn pictures of the offline engine."""

from __future__ import annotations

from rich.console import Console
from rich.progress import Progress

from cli.run import launch, print_summary
from core.workspace import Workspace

_PORT = 8765  # fixed, so that a repeated demonstration finds its crawl again


def demo(workspace: Workspace, console: Console, program: str) -> None:
    """Draw, crawl, prepare, train, evaluate and promote; ends by printing where everything is."""
    from flows.recipes import demo as demo_recipe
    from scraping.offline.corpus import portrait_corpus
    from scraping.offline.ground_truth import write_truth
    from scraping.offline.server import OfflineEngine

    console.print(
        "Suyan, offline: drawn people stand in for the internet; all else is real. It takes about "
        "ten minutes.\nCtrl-C stops it, and the same command goes on where it was.\n"
    )
    corpus = portrait_corpus()
    truth = workspace / "truth"
    if not (truth / "truth.parquet").exists():
        what = "Drawing people, and their true counterparts to measure against"
        with Progress(*Progress.get_default_columns(), console=console) as bar:
            task = bar.add_task(what, total=None)
            write_truth(
                corpus,
                truth,
                progress=lambda _stage, done, total, _message: bar.update(
                    task, completed=done, total=total
                ),
            )
    with OfflineEngine(corpus, port=_PORT) as engine:
        parameters = demo_recipe(engine.url, truth)
        result = launch(parameters, workspace, console)
    print_summary(result, console, program, workspace)
