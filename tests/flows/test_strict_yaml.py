from pathlib import Path

import pytest

from flows.recipe_files.strict_yaml import read_document


def _read(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "cats.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_words_are_texts_and_every_name_has_its_line(tmp_path: Path) -> None:
    document = read_document(
        _read(tmp_path, "# cats\ntrain:\n  compile: on\n  learning_rate: 1e-05\nphrases: [猫, 2]\n")
    )
    assert document.values == {
        "train": {"compile": "on", "learning_rate": 1e-05},
        "phrases": ["猫", 2],
    }
    assert document.lines["train", "learning_rate"] == 4
    assert read_document(_read(tmp_path, b"\xef\xbb\xbf")).values == {}
    assert read_document(_read(tmp_path, '{"train": {"seed": 7}}')).values["train"] == {"seed": 7}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3: found a again, after line 1; remove one of them"),
        ("train:\n\tseed: 1\n", "line 2: found a tab, needed spaces"),
        ("a: [1\n", "line 2: expected ',' or ']', but got the end of the file; needed 'name: va"),
        ("a:\n    b: 1\n  c: 2\n", "line 3: .*needed 'name: value', indented by spaces"),
        ("a: 1\n---\nb: 2\n", r"line 2: found a second document \(---\)"),
        ("a: !!python/object:os.system x\n", "line 1: found 'x', of the kind python/object:os"),
        ("a: 2026-11-28\n", "line 1: found '2026-11-28', of the kind timestamp; put it in quotes"),
        ("a: &x [1]\nb: *x\n", r"found an anchor \(&name\) that is used again; write its values"),
        ("a: &x [*x]\n", "found an anchor"),
        ("7: 1\n", "line 1: found '7' as a name, needed the name of a setting"),
        ("- a\n", r"found \['a'\], needed names and their values"),
        ("a: \x00", "found no YAML: unacceptable character"),
        ("[" * 20_000, "found no YAML: too deeply nested"),
        (b"a: \xff\xfe", "found bytes that are no UTF-8 .*; save it as UTF-8"),
        (b"#" * 1_000_001, "found 1000001 bytes, needed a file of settings of at most 1000000"),
    ],
)
def test_what_is_no_plain_yaml_is_refused_with_file_and_line(
    tmp_path: Path, content: str | bytes, message: str
) -> None:
    with pytest.raises(ValueError, match=rf"cats\.yaml.*{message}"):
        read_document(_read(tmp_path, content))
