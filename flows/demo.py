"""The offline demonstration: the real pipeline against the drawn pictures of the offline engine."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from flows.launch import launch, print_summary

_PORT = 8765  # fixed, so that a repeated demonstration finds its crawl again


def demo(workspace: Path, console: Console, program: str) -> None:
    """Draw, crawl, prepare, train, evaluate and promote; ends by printing where everything is."""
    from flows.recipes import demo as demo_recipe
    from scraping.offline.corpus import portraits
    from scraping.offline.server import OfflineEngine
    from scraping.offline.truth import write_truth

    console.print("Suyan, offline: drawn people stand in for the internet; all else is real.\n")
    corpus = portraits()
    truth = workspace / "truth"
    if not (truth / "truth.parquet").exists():
        console.print("Drawing the true counterpart of every picture, to measure against …")
        write_truth(corpus, truth)
    with OfflineEngine(corpus, port=_PORT) as engine:
        parameters = demo_recipe(engine.url, truth)
        result = launch(parameters, workspace, console)
    print_summary(result, console, program, workspace)
