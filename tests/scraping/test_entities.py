"""The reason why a phrase stopped: an enum in the code, a text on disk."""

import pickle

import pytest

from scraping.catalogue.entities import Cursor, Stop, StopReason
from scraping.catalogue.repository import Catalogue
from scraping.failure_reasons import FailedError, Reason, RejectedError


@pytest.mark.parametrize(
    ("text", "stop"),
    [
        ("exhausted", Stop(StopReason.EXHAUSTED)),
        ("nothing-new", Stop(StopReason.NOTHING_NEW)),
        ("blocked: redirected to a captcha: https://x", Stop(
            StopReason.BLOCKED, "redirected to a captcha: https://x"
        )),
        ("unreachable: no answer", Stop(StopReason.UNREACHABLE, "no answer")),
    ],
)  # fmt: skip
def test_a_stop_has_the_same_text_on_disk_as_ever(text: str, stop: Stop) -> None:
    assert str(stop) == text
    assert Stop.parse(text) == stop


def test_an_unknown_stop_is_an_error() -> None:
    with pytest.raises(ValueError, match="tired"):
        Stop.parse("tired: of it")


@pytest.mark.parametrize("reason", list(StopReason))
def test_a_phrase_is_cut_short_by_the_engine_alone(
    catalogue: Catalogue, reason: StopReason
) -> None:
    stopped = Cursor("one", stop=Stop(reason, "why"))
    catalogue.save_cursor("bare-1", stopped)
    cursor = catalogue.cursor("bare-1", "one")
    assert cursor == stopped
    assert cursor.is_cut_short == (reason in {"blocked", "unreachable", "format", "missing"})
    assert not Cursor("one").is_cut_short


@pytest.mark.parametrize("error_type", [RejectedError, FailedError])
def test_an_error_of_a_download_keeps_its_reason_from_process_to_process(
    error_type: type[RejectedError] | type[FailedError],
) -> None:
    error = pickle.loads(pickle.dumps(error_type(Reason.HOST_UNKNOWN)))
    assert error.reason is Reason.HOST_UNKNOWN
    assert str(error) == "host-unknown"
