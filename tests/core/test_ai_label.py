"""The label of translated pictures: what it says, and what it leaves of a packet that is there."""

import json
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from core.labels.ai_label import (
    AIGC_NAMESPACE,
    DIGITAL_SOURCE_TYPE,
    IPTC_NAMESPACE,
    MAX_LABEL_BYTES,
    AiLabel,
    content_id,
    is_readable,
)

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
KEPT = b"""<?xpacket begin='' id='W5M0MpCehiHzreSzNTczkc9d'?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<r:Description r:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"
  xmlns:i="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" i:DigitalSourceType="digitalCapture">
<dc:subject><r:Bag><r:li>\xe8\xa5\xbf\xe6\xb9\x96</r:li></r:Bag></dc:subject>
<i:AISystemUsed>Other</i:AISystemUsed></r:Description></r:RDF></x:xmpmeta><?xpacket end='w'?>"""


def _fields(packet: bytes) -> dict[str, list[str]]:
    """Values by the Clark name of elements and attributes."""
    root = ET.fromstring(packet.decode())
    values: dict[str, list[str]] = {}
    for element in root.iter():
        values.setdefault(element.tag, []).append(element.text or "")
        for name, value in element.attrib.items():
            values.setdefault(name, []).append(value)
    return values


def test_a_label_says_that_a_model_edited_the_picture() -> None:
    fields = _fields(AiLabel("makeup/step800-ab", "公司 001191").xmp(PIXELS))
    assert fields[f"{{{IPTC_NAMESPACE}}}DigitalSourceType"] == [DIGITAL_SOURCE_TYPE]
    assert fields[f"{{{IPTC_NAMESPACE}}}AISystemUsed"] == ["Suyan"]
    assert fields[f"{{{IPTC_NAMESPACE}}}AISystemVersionUsed"] == ["makeup/step800-ab"]
    (aigc,) = fields[f"{{{AIGC_NAMESPACE}}}AIGC"]
    assert json.loads(aigc) == {
        "Label": "1",
        "ContentProducer": "公司 001191",
        "ProduceID": content_id(PIXELS),
        "ReservedCode1": "",
        "ContentPropagator": "",
        "PropagateID": "",
        "ReservedCode2": "",
    }


def test_a_packet_keeps_what_is_not_of_the_label() -> None:
    packet = AiLabel("m").xmp(PIXELS, KEPT)
    fields = _fields(packet)
    assert "西湖" in fields["{http://www.w3.org/1999/02/22-rdf-syntax-ns#}li"]
    assert fields[f"{{{IPTC_NAMESPACE}}}DigitalSourceType"] == [DIGITAL_SOURCE_TYPE]
    assert fields[f"{{{IPTC_NAMESPACE}}}AISystemUsed"] == ["Suyan"]
    again = AiLabel("m").xmp(PIXELS, packet)
    assert _fields(again) == fields  # labelled once, however often
    assert len(again) <= len(packet)
    longest = AiLabel("x" * 300, "字" * 100).xmp(PIXELS)
    assert len(longest) <= MAX_LABEL_BYTES


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"<x:xmpmeta",
        b"\xff\xfe<",
        b"<a/>",
        b'<!DOCTYPE x [<!ENTITY a "b">]><x:xmpmeta xmlns:x="adobe:ns:meta/">&a;</x:xmpmeta>',
    ],
)
def test_a_packet_that_is_none_is_left_out(packet: bytes) -> None:
    assert not is_readable(packet)
    assert is_readable(KEPT)
    assert AiLabel().xmp(PIXELS, packet) == AiLabel().xmp(PIXELS)


def test_an_id_stands_for_the_pixels() -> None:
    assert len(content_id(PIXELS)) == 32
    assert content_id(PIXELS) == content_id(PIXELS.copy())
    assert content_id(PIXELS) != content_id(255 - PIXELS)
    assert content_id(PIXELS) != content_id(PIXELS.reshape(7, 5, 3))


@pytest.mark.parametrize("producer", ["", "  ", "x" * 101])
@pytest.mark.remedy(" characters, needed 1 to ")
def test_a_producer_that_nobody_could_read_is_refused(producer: str) -> None:
    with pytest.raises(ValueError, match="needed 1 to 100"):
        AiLabel("m", producer)
    AiLabel("m", "Studio 001191")  # a name or code, as the error says
