"""The faces of a photograph that are translated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from core.progress import counted
from preprocessing.analysis.face_detector import Face
from preprocessing.config import PrepareConfig
from preprocessing.images import geometry


@dataclass(frozen=True)
class FaceChoice:
    """A person's choice: all faces, the largest, or numbers from left to right, starting at 1."""

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


class FaceDefect(StrEnum):
    """A reason for which training would have left out a face."""

    TOO_SMALL = "too-small"
    PROFILE = "profile"


@dataclass(frozen=True)
class FaceSelection:
    """The faces to translate, and a note for people about the skipped ones."""

    faces: tuple[Face, ...]
    num_skipped: int = 0  # faces with a defect that were not chosen by number
    note: str = ""


def left_to_right(faces: Sequence[Face]) -> list[Face]:
    """The faces in the order in which they are numbered."""
    return sorted(faces, key=lambda face: face.box[0] + face.box[2])


def select_faces(
    faces: Sequence[Face], choice: FaceChoice, prepare: PrepareConfig
) -> FaceSelection:
    """The faces that ``choice`` selects; ``faces`` has at least one.

    Faces with a defect are skipped, and mentioned in the note, unless they are chosen by number.
    """
    ordered = left_to_right(faces)
    if choice.numbers:
        selected = [ordered[number - 1] for number in choice.numbers if number <= len(ordered)]
        missing = [str(number) for number in choice.numbers if number > len(ordered)]
        num = counted(len(ordered), "face")
        note = f"found {num}; none has the number {', '.join(missing)}"
        return FaceSelection(tuple(selected), note=note if missing else "")
    skipped = {
        number: (face, defect)
        for number, face in enumerate(ordered, start=1)
        if (defect := face_defect(face, prepare)) is not None
    }
    suitable = [face for number, face in enumerate(ordered, start=1) if number not in skipped]
    note = _skipped_note(skipped, prepare)
    if choice.largest:
        largest = sorted(suitable, key=lambda face: -face.side)[:1]
        return FaceSelection(tuple(largest)) if suitable else FaceSelection((), len(skipped), note)
    return FaceSelection(tuple(suitable), len(skipped), note)


def suitable_numbers(faces: Sequence[Face], prepare: PrepareConfig) -> list[int]:
    """Numbers of the faces that the choice ``all`` selects."""
    ordered = enumerate(left_to_right(faces), start=1)
    return [number for number, face in ordered if face_defect(face, prepare) is None]


def face_defect(face: Face, prepare: PrepareConfig) -> FaceDefect | None:
    """The reason why training with this preparation would have left out the face, or ``None``."""
    if face.side < prepare.min_face_px:
        return FaceDefect.TOO_SMALL
    if geometry.profile(face.keypoints) > prepare.max_profile:
        return FaceDefect.PROFILE
    return None


def _skipped_note(skipped: dict[int, tuple[Face, FaceDefect]], prepare: PrepareConfig) -> str:
    if not skipped:
        return ""
    reasons = []
    for number, (face, defect) in skipped.items():
        if defect is FaceDefect.TOO_SMALL:
            least = f"training used {prepare.min_face_px} px and more"
            reasons.append(f"face {number} is too small ({face.side:.0f} px; {least})")
        else:
            reasons.append(f"face {number} is turned too far aside")
    numbers = ",".join(map(str, skipped))
    return f"skipped: {'; '.join(reasons)} (--faces {numbers} translates it anyway)"
