"""The faces of a photograph that are translated."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from core.language.messages import localised
from preprocessing.analysis.face_detector import Face
from preprocessing.config import PrepareConfig
from preprocessing.images import geometry
from serving.refusals import Interface, Reason, Refusal, Sentence, option

MAX_PHOTO_STRENGTH = 2.0  # times the model's change, on top of the strength that a model has stored

_NUMBER = re.compile(
    r"([1-9][0-9]{0,2})(?::([01](?:\.[0-9]{0,4})?|\.[0-9]{1,4}|2(?:\.0{0,4})?))?", re.ASCII
)


@dataclass(frozen=True)
class FaceChoice:
    """A person's choice: all faces, the largest, or numbers from left to right, starting at 1."""

    numbers: tuple[int, ...] = ()
    largest: bool = False
    strengths: tuple[tuple[int, float], ...] = ()  # of faces with one of their own, by number

    @classmethod
    def parse(cls, text: str) -> Self:
        """``all``, ``largest``, or numbers such as ``1,3``, each with a strength or not: ``1:0.5``.

        Raises ``ValueError`` for others.
        """
        text = text.strip().lower()
        if text in {"all", "largest"}:
            return cls(largest=text == "largest")
        matches = [_NUMBER.fullmatch(part.strip()) for part in text.split(",")]
        pairs = [(int(match[1]), match[2]) for match in matches if match]
        if len(pairs) < len(matches):
            raise ValueError(
                localised(
                    "got {text!r}, needed 'all', 'largest' or numbers from left to right, as in "
                    "1,3; a strength from 0 to 2 may follow a number, as in 1:0.5,3",
                    text=text,
                )
            )
        strengths = {number: float(strength) for number, strength in pairs if strength}
        return cls(
            numbers=tuple(sorted({number for number, _ in pairs})),
            strengths=tuple(sorted(strengths.items())),
        )

    def strength(self, number: int, default: float) -> float:
        """The strength of a face: its own, or ``default``."""
        return dict(self.strengths).get(number, default)


ALL = FaceChoice()


class FaceDefect(StrEnum):
    """A reason for which training would have left out a face."""

    TOO_SMALL = "too-small"
    PROFILE = "profile"


@dataclass(frozen=True)
class SkippedFaces(Sentence):
    """Faces with a defect that were not chosen by number, each with its number and side in px."""

    faces: tuple[tuple[int, float, FaceDefect], ...]
    min_face_px: int  # of the training pictures

    def sentence(self, interface: Interface) -> str:
        """Each face with its defect, and how it is translated all the same; "" for no face."""
        if not self.faces:
            return ""
        reasons = []
        for number, side, defect in self.faces:
            if defect is FaceDefect.TOO_SMALL:
                least = f"training used {self.min_face_px} px and more"
                reasons.append(f"face {number} is too small ({side:.0f} px; {least})")
            else:
                reasons.append(f"face {number} is turned too far aside")
        numbers = ",".join(str(number) for number, *_ in self.faces)
        choice = option(interface, "faces", numbers=numbers)
        return f"skipped: {'; '.join(reasons)} ({choice} translates it anyway)"


@dataclass(frozen=True)
class FaceSelection:
    """The faces to translate, and those that are not."""

    faces: tuple[Face, ...]
    numbers: tuple[int, ...]  # theirs, from left to right
    skipped: SkippedFaces
    missing: tuple[int, ...] = ()  # chosen numbers that no face has
    num_faces: int = 0  # of the photograph

    @property
    def num_skipped(self) -> int:
        """The number of faces with a defect that were not chosen by number."""
        return len(self.skipped.faces)

    @property
    def note(self) -> str:
        """The command's sentence about the faces that are not translated; "" for none."""
        if self.missing:
            return self.refusal.reason
        return self.skipped.sentence(Interface.COMMAND)

    @property
    def refusal(self) -> Refusal:
        """The reason why no face, or not every chosen one, is translated."""
        if self.missing:
            are_faces = "is 1 face" if self.num_faces == 1 else f"are {self.num_faces} faces"
            numbers = ", ".join(map(str, self.missing))
            return Refusal(
                Reason.NO_SUCH_FACE,
                {"are_faces": are_faces, "numbers": numbers, "num_faces": self.num_faces},
            )
        values = {"num_faces": self.num_faces, "skipped": self.skipped}
        return Refusal(Reason.NO_FIT_FACE, values)


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
    nobody = SkippedFaces((), prepare.min_face_px)
    if choice.numbers:
        existing = tuple(number for number in choice.numbers if number <= len(ordered))
        selected = tuple(ordered[number - 1] for number in existing)
        missing = tuple(number for number in choice.numbers if number > len(ordered))
        return FaceSelection(selected, existing, nobody, missing, len(ordered))
    defects = face_defects(faces, prepare)
    skipped = SkippedFaces(
        tuple((number, ordered[number - 1].side, defect) for number, defect in defects.items()),
        prepare.min_face_px,
    )
    suitable = [number for number in range(1, len(ordered) + 1) if number not in defects]
    if choice.largest and suitable:
        suitable = [max(suitable, key=lambda number: ordered[number - 1].side)]
        skipped = nobody
    selected = tuple(ordered[number - 1] for number in suitable)
    return FaceSelection(selected, tuple(suitable), skipped, num_faces=len(ordered))


def face_defects(faces: Sequence[Face], prepare: PrepareConfig) -> dict[int, FaceDefect]:
    """The defects of the faces that the choice ``all`` skips, by number."""
    ordered = enumerate(left_to_right(faces), start=1)
    return {number: defect for number, face in ordered if (defect := face_defect(face, prepare))}


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
