from flows.artifacts import _yield


def test_a_phrase_is_told_in_reading_order() -> None:
    row = {
        "duplicates": 1,
        "hits": 60,
        "new": 33,
        "pages": 2,
        "phrase": "素颜",
        "rejected": {"http-404": 3, "timeout": 1},
        "stopped_because": "exhausted",
        "stored": 30,
    }
    told = _yield(row)
    assert list(told) == [
        "phrase", "pages", "hits", "new", "stored", "duplicates", "rejected", "stopped",
    ]  # fmt: skip
    assert told["rejected"] == "http-404: 3, timeout: 1"
    assert all(isinstance(value, str) for value in told.values())
