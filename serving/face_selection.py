"""Which faces of a photograph are translated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from preprocessing.analysis.face_detector import Face
from preprocessing.config import PrepareConfig
from preprocessing.images import geometry


@dataclass(frozen=True)
class FaceChoice:
    """``all``, ``largest``, or numbers as a person counts: from left to right, from 1."""

    numbers: tuple[int, ...] = ()
    largest: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """``all``, ``largest``, or numbers such as ``1,3``. Raises ``ValueError`` for others."""
        text = text.strip().lower()
        if text in {"all", "largest"}:
            return cls(largest=text == "largest")
        parts = [part.strip() for part in text.split(",")]
        if all(part.isascii() and part.isdecimal() and 0 < int(part) < 1000 for part in parts):
            return cls(numbers=tuple(sorted({int(part) for part in parts})))
        raise ValueError(
            f"faces: got {text!r}, needed 'all', 'largest' or numbers from left to right, as in 1,3"
        )


ALL = FaceChoice()


@dataclass(frozen=True)
class Chosen:
    """The faces to translate, and what a person should know about the others."""

    faces: tuple[Face, ...]
    note: str


def left_to_right(faces: Sequence[Face]) -> list[Face]:
    """The faces in the order in which they are numbered."""
    return sorted(faces, key=lambda face: face.box[0] + face.box[2])


def choose(faces: Sequence[Face], choice: FaceChoice, prepare: PrepareConfig) -> Chosen:
    """The chosen ones of ``faces`` (at least one).

    Where nothing was asked for by number, faces that training would have left out (too small, in
    profile) are left alone, and named in the note.
    """
    ordered = left_to_right(faces)
    if choice.numbers:
        taken = [ordered[number - 1] for number in choice.numbers if number <= len(ordered)]
        missing = [str(number) for number in choice.numbers if number > len(ordered)]
        note = f"there are {len(ordered)} faces, so none with number {', '.join(missing)}"
        return Chosen(tuple(taken), note if missing else "")
    reasons = {number: _objection(face, prepare) for number, face in enumerate(ordered, start=1)}
    fit = [face for number, face in enumerate(ordered, start=1) if not reasons[number]]
    if choice.largest:
        largest = sorted(fit, key=lambda face: -face.side)[:1]
        return Chosen(tuple(largest), "" if fit else _told(reasons))
    return Chosen(tuple(fit), _told(reasons))


def fit_numbers(faces: Sequence[Face], prepare: PrepareConfig) -> list[int]:
    """Numbers of the faces that ``all`` would take."""
    ordered = enumerate(left_to_right(faces), start=1)
    return [number for number, face in ordered if not _objection(face, prepare)]


def _objection(face: Face, prepare: PrepareConfig) -> str:
    """Why training would not have used this face; ``""`` when it would."""
    if face.side < prepare.min_face_px:
        return f"too small ({face.side:.0f} px; training used {prepare.min_face_px} px and more)"
    if geometry.profile(face.keypoints) > prepare.max_profile:
        return "turned too far aside"
    return ""


def _told(reasons: dict[int, str]) -> str:
    left = {number: reason for number, reason in reasons.items() if reason}
    if not left:
        return ""
    named = "; ".join(f"face {number} {reason}" for number, reason in left.items())
    numbers = ",".join(str(number) for number in left)
    return f"left alone: {named} (--faces {numbers} translates it anyway)"
