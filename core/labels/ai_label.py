"""What a picture's file says about its origin: that a trained model made or changed it.

The label is an XMP packet with the IPTC's digital source type (Photo Metadata Standard 2025.1) and
the field ``AIGC`` of the Chinese standard GB 45438-2025, in the form of the practice guide
TC260-PG-20258A. docs/using-a-model.md lists the sources.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from xml.dom import minidom
from xml.parsers.expat import ExpatError

import numpy as np
from numpy.typing import NDArray

from core.language.messages import localised

# IPTC NewsCodes: "Edited using Generative AI"; a photograph is the input of every translation.
DIGITAL_SOURCE_TYPE = (
    "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
)
IPTC_NAMESPACE = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
AIGC_NAMESPACE = "http://www.tc260.org.cn/ns/AIGC/1.0/"
DEFAULT_PRODUCER = "Suyan"
PRODUCE_ID = "PRODUCE_ID"
"""What stands for the id of a picture in ``AiLabel.template``."""
MAX_LABEL_BYTES = 2_500  # of the label beside the packet that it is added to
MAX_PRODUCER_CHARACTERS = 100
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_META = "adobe:ns:meta/"
_XMLNS = "http://www.w3.org/2000/xmlns/"
_PREFIXES = {IPTC_NAMESPACE: "Iptc4xmpExt", AIGC_NAMESPACE: "TC260"}
_EMPTY = f'<x:xmpmeta xmlns:x="{_META}"><rdf:RDF xmlns:rdf="{_RDF}"/></x:xmpmeta>'
_HEAD = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
_TAIL = '<?xpacket end="w"?>'
_MADE_BY_A_MODEL = "1"  # of AIGC: 2 is "possibly", 3 "suspected"


@dataclass(frozen=True)
class AiLabel:
    """The label of a model's pictures. Raises ``ValueError`` for an empty or long producer."""

    model: str = ""  # recipe and version
    producer: str = DEFAULT_PRODUCER  # name or code of who provides the service

    def __post_init__(self) -> None:
        if not 0 < len(self.producer.strip()) <= MAX_PRODUCER_CHARACTERS:
            raise ValueError(
                localised(
                    "--producer: got {num} characters, needed 1 to {most}: "
                    "the name or code of who provides the service",
                    num=len(self.producer),
                    most=MAX_PRODUCER_CHARACTERS,
                )
            )

    def xmp(self, pixels: NDArray[np.uint8], packet: bytes = b"") -> bytes:
        """``packet`` with the label in place of former values of its fields.

        A packet that cannot be read is left out.
        """
        return self._packet(content_id(pixels), packet)

    def template(self) -> str:
        """The label for a program without Suyan, which puts an id of the picture in place of
        ``PRODUCE_ID``.
        """
        return self._packet(PRODUCE_ID).decode()

    def _packet(self, produce_id: str, packet: bytes = b"") -> bytes:
        document = _parse(packet) or minidom.parseString(_EMPTY)  # noqa: S318 - our own text
        properties = self._properties(produce_id)
        _remove(document, properties)
        rdf = _rdf_of(document)[0]
        prefix = f"{rdf.prefix}:" if rdf.prefix else ""
        description = document.createElementNS(_RDF, f"{prefix}Description")
        description.setAttributeNS(_RDF, "rdf:about", "")
        description.setAttributeNS(_XMLNS, "xmlns:rdf", _RDF)
        for namespace, name in _PREFIXES.items():
            description.setAttributeNS(_XMLNS, f"xmlns:{name}", namespace)
        for (namespace, name), value in properties.items():
            element = document.createElementNS(namespace, f"{_PREFIXES[namespace]}:{name}")
            element.appendChild(document.createTextNode(value))
            description.appendChild(element)
        rdf.appendChild(description)
        return f"{_HEAD}{_root(document).toxml()}{_TAIL}".encode()

    def _properties(self, produce_id: str) -> Mapping[tuple[str, str], str]:
        """The values by (namespace, name)."""
        properties = {
            (IPTC_NAMESPACE, "DigitalSourceType"): DIGITAL_SOURCE_TYPE,
            (IPTC_NAMESPACE, "AISystemUsed"): "Suyan",
        }
        if self.model:
            properties[IPTC_NAMESPACE, "AISystemVersionUsed"] = self.model[:200]
        aigc = {
            "Label": _MADE_BY_A_MODEL,
            "ContentProducer": self.producer.strip(),
            "ProduceID": produce_id,
            "ReservedCode1": "",
            "ContentPropagator": "",  # who spreads the picture fills in these two
            "PropagateID": "",
            "ReservedCode2": "",
        }
        properties[AIGC_NAMESPACE, "AIGC"] = json.dumps(aigc, separators=(",", ":"))
        return properties


def content_id(pixels: NDArray[np.uint8]) -> str:
    """32 hexadecimal digits that stand for a picture: the same pixels give the same ones."""
    digest = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def is_readable(packet: bytes) -> bool:
    """Whether an XMP packet is one that a label can be added to."""
    return _parse(packet) is not None


def _parse(packet: bytes) -> minidom.Document | None:
    """The packet with its RDF element, or ``None``: it is no XMP.

    A document type is refused, because its entities can grow without limit.
    """
    try:
        text = packet.decode("utf-8").strip("\ufeff\0 \t\r\n")
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            return None
        document = minidom.parseString(text)  # noqa: S318 - it declares no entities
    except (UnicodeDecodeError, ExpatError):
        return None
    if not _rdf_of(document):
        if _root(document).namespaceURI != _META:
            return None
        rdf = document.createElementNS(_RDF, "rdf:RDF")
        rdf.setAttributeNS(_XMLNS, "xmlns:rdf", _RDF)
        _root(document).appendChild(rdf)
    return document


def _root(document: minidom.Document) -> minidom.Element:
    assert document.documentElement is not None
    return document.documentElement


def _rdf_of(document: minidom.Document) -> list[minidom.Element]:
    return list(document.getElementsByTagNameNS(_RDF, "RDF"))


def _remove(document: minidom.Document, names: Mapping[tuple[str, str], str]) -> None:
    """Remove properties, written as elements or attributes, and descriptions of nothing else."""
    for namespace, name in names:
        for element in document.getElementsByTagNameNS(namespace, name):
            _cut(element)
    for description in document.getElementsByTagNameNS(_RDF, "Description"):
        for namespace, name in names:
            if description.hasAttributeNS(namespace, name):
                description.removeAttributeNS(namespace, name)
        namespaces = {namespace for namespace, _ in description.attributes.keysNS()}
        if namespaces <= {_XMLNS, _RDF} and not description.getElementsByTagName("*"):
            _cut(description)


def _cut(element: minidom.Element) -> None:
    assert element.parentNode is not None
    element.parentNode.removeChild(element)
