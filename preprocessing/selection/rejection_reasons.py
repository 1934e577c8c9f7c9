"""The reasons for which a picture is rejected, as the manifest holds them.

A file that cannot be read has one of the reasons of ``core.pictures.read_picture``,
``sandbox_worker.FailureReason`` or ``analyse.FILE_MISSING`` instead.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """The reason why a picture that could be read is rejected."""

    TOO_SMALL = "too-small"
    ODD_SHAPE = "odd-shape"
    UNSAFE = "unsafe"
    UNIFORM = "uniform"
    BLACK_AND_WHITE = "black-and-white"
    FRAMED = "framed"
    COLLAGE = "collage"
    SPLIT = "split"
    TOO_DARK = "too-dark"
    TOO_BRIGHT = "too-bright"
    NO_FACE = "no-face"
    FACE_TOO_SMALL = "face-too-small"
    SEVERAL_FACES = "several-faces"
    PROFILE = "profile"
    LEAVES_THE_FRAME = "leaves-the-frame"
    BLURRED = "blurred"
    ENLARGED = "enlarged"
    COVERED = "covered"
    WRONG_SIDE = "wrong-side"
    DROPPED_BY_HAND = "dropped-by-hand"
    IN_BOTH_DOMAINS = "in-both-domains"
    WOULD_CHANGE_SIDES = "would-change-sides"
    DUPLICATE_OF = "duplicate-of"  # followed by a colon and the sha256 of the accepted picture


def duplicate_of(sha256: str) -> str:
    """The reason of a duplicate of the original ``sha256``."""
    return f"{Reason.DUPLICATE_OF}:{sha256}"


def reason_kind(reason: str) -> str:
    """A reason without its particulars, for counting: a duplicate's without the sha256."""
    return reason.split(":", maxsplit=1)[0]
