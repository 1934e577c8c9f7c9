"""Every error of ours is provoked, and its remedy followed, by a test, or has a reason here.

A test says which error it follows by ``remedy("a part of its text", …)`` of ``remedies.py``, or by
the mark ``@pytest.mark.remedy("a part of its text")``.
"""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import core.errors

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (
    "core", "storage", "scraping", "preprocessing", "training", "evaluation", "serving", "flows",
    "cli",
)  # fmt: skip
ERRORS = {
    name for name, value in vars(core.errors).items() if isinstance(value, type)
} | {"ValueError", "OSError"}  # fmt: skip
REPORTS = {"Finding"}  # of the doctor, which has its remedies as arguments
_LEAST_LETTERS = 3  # of an error's own text; one without is made of another error's
_OF_THE_ENGINE = "the crawl cools down, takes another form of page, or ends partial by itself"
_OF_THE_CODE = "no setting of a person leads here: it checks what our code passes"
_LOG_FOLLOWS = "what to do stands in the log that the message quotes"
WITHOUT_REMEDY = {
    "needed a script with setData('imgData', …), got a page of ": _OF_THE_ENGINE,
    "the search engine, or a portal before it, sent ": _OF_THE_ENGINE,
    "the search engine refuses to answer: ": _OF_THE_ENGINE,
    "needed a JSON object, got ": _OF_THE_ENGINE,
    "needed a list 'data', got ": _OF_THE_ENGINE,
    "the page cannot be parsed: ": _OF_THE_ENGINE,
    "needed JSON, got ": _OF_THE_ENGINE,
    "got an answer of more than ": _OF_THE_ENGINE,
    " did not answer": _OF_THE_ENGINE,
    "the search engine redirected (": _OF_THE_ENGINE,
    "the search engine answered status ": _OF_THE_ENGINE,
    "needed status 200, got ": _OF_THE_ENGINE,
    "the search engine announces ": _OF_THE_ENGINE,
    " cannot be requested: ": _OF_THE_ENGINE,
    " and asks for a pause of ": _OF_THE_ENGINE,
    "Openverse, or a portal before it, sent ": _OF_THE_ENGINE,
    "needed a JSON object with a list 'results', got ": _OF_THE_ENGINE,
    "radius: got ": _OF_THE_CODE,
    "moments: got no pixel with a weight, needed at least 1": _OF_THE_CODE,
    "FID: got ": _OF_THE_CODE,
    "KID: got ": _OF_THE_CODE,
    ": not found": "the file went between two calls",
    ": cannot read its weights: ": "the system's own error follows",
    "the offline engine did not start within ": "a thread that never runs",
    "the face embedding is not installed; run: ": "test_printed_commands.py reads its line; the "
    "package is compiled for minutes",
    " bytes with sha256 ": "a download of other bytes is discarded, and the report goes without",
    ": not written: its output differs from PyTorch's by ": "a question, of versions",
    "no crawl of ": "the version is then removed, and says so",
    "the Prefect server did not come up on port ": _LOG_FOLLOWS,
    " ended with ": _LOG_FOLLOWS,
    "the rehearsal's run did not complete": "test_printed_commands.py reads its line",
    ", needed 3.11": "the tests need a newer Python themselves",
    "cannot be imported: ": "of packages of other versions; its line sets up new ones",
    "Read the message.": "any error of a check",
    ": Prefect needs socksio": "its line is that of every package",
    "setup": "the line that makes the environment again; the face model has a test of its own",
}


def _strings(node: ast.AST) -> list[str]:
    values = [part.value for part in ast.walk(node) if isinstance(part, ast.Constant)]
    return [value for value in values if isinstance(value, str)]


def _sites() -> Iterator[tuple[str, list[str]]]:
    """Where an error is made, and the texts in it: of calls, and of the refusals' sentences."""
    for path in (path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                is_error = node.func.id in ERRORS
                is_finding = node.func.id in REPORTS and "ok" not in _strings(node)
                if is_error or is_finding:
                    parts = node.args[2 * is_finding :] + [each.value for each in node.keywords]
                    texts = [text for part in parts for text in _strings(part)]
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", texts
            elif isinstance(node, ast.Dict) and path.name == "refusals.py":
                for key, value in zip(node.keys, node.values, strict=True):
                    is_reason = isinstance(key, ast.Attribute) and "Reason" in ast.unparse(key)
                    if is_reason and isinstance(value, ast.Constant):
                        yield f"{path.relative_to(ROOT)}:{value.lineno}", _strings(value)


def _followed() -> Iterator[str]:
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                if name == "remedy":
                    first = node.args if isinstance(node.func, ast.Attribute) else node.args[:1]
                    yield from (text for each in first for text in _strings(each))


def test_every_error_has_a_test_that_follows_its_remedy() -> None:
    followed = Counter(_followed()) + Counter(dict.fromkeys(WITHOUT_REMEDY, 1000))
    sites = [site for site in _sites() if any(len(text) > _LEAST_LETTERS for text in site[1])]
    matches = {place: {text for text in followed if _is_in(text, texts)} for place, texts in sites}
    left = []
    for place, texts in sorted(sites, key=lambda site: len(matches[site[0]])):
        match = max((text for text in matches[place] if followed[text]), key=len, default=None)
        if match is None:
            left.append(f"{place}: {' … '.join(texts)[:150]}")
        else:  # two errors of the same words need two tests
            followed[match] -= 1
    assert not left, f"{len(left)} remedies that no test follows:\n" + "\n".join(left)


def test_every_text_that_a_test_follows_is_in_the_code() -> None:
    sites = [texts for _, texts in _sites()]
    followed = [*_followed(), *WITHOUT_REMEDY]
    assert not [text for text in followed if not any(_is_in(text, texts) for texts in sites)]


def _is_in(text: str, parts: list[str]) -> bool:
    return any(text in part for part in parts)
