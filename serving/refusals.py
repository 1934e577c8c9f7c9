"""Why a photograph is not translated, and what its result lacks: data, and sentences made of it.

A sentence names the options of the interface that it is read in; ``web/strings.py`` has those of
the page, in two languages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Interface(StrEnum):
    """Where a sentence is read: the command's options differ from the fields of a request."""

    COMMAND = "command"
    HTTP = "http"


class Kind(StrEnum):
    """The classes of refusals that programs can tell apart, ``kind`` in answers over HTTP."""

    UNREADABLE = "unreadable"
    TOO_LARGE = "too-large"
    NO_FACE = "no-face"
    NO_FIT_FACE = "no-fit-face"
    NO_SUCH_FACE = "no-such-face"
    NOT_WRITTEN = "not-written"  # never over HTTP
    BUSY = "busy"
    TOO_SLOW = "too-slow"
    CANCELLED = "cancelled"
    FAILED = "failed"


class Reason(StrEnum):
    """The reasons for which a photograph is refused."""

    NOT_OPENED = "not-opened"
    FOLDER = "folder"
    NO_FILE = "no-file"
    EMPTY = "empty"
    HEIC = "heic"
    UNREADABLE = "unreadable"
    CUT_OFF = "cut-off"
    TOO_MANY_FRAMES = "too-many-frames"
    TOO_MANY_PIXELS = "too-many-pixels"
    TOO_MANY_BYTES = "too-many-bytes"
    OUT_OF_MEMORY = "out-of-memory"
    NO_FACE = "no-face"
    NO_FIT_FACE = "no-fit-face"
    NO_SUCH_FACE = "no-such-face"
    EXISTS = "exists"
    WOULD_REPLACE_INPUT = "would-replace-input"
    NOT_WRITTEN = "not-written"
    BUSY = "busy"
    TOO_SLOW = "too-slow"
    CANCELLED = "cancelled"
    FAILED = "failed"
    # Of a batch and its archives.
    ENCRYPTED = "encrypted"
    NESTED_ARCHIVE = "nested-archive"
    BROKEN_ARCHIVE = "broken-archive"
    ARCHIVE_BOMB = "archive-bomb"
    LINK = "link"
    NO_PHOTOS = "no-photos"
    TOO_MANY_PHOTOS = "too-many-photos"
    BATCH_FULL = "batch-full"


class Note(StrEnum):
    """What a result lacks, how it differs from its photograph, or why it may be wrong."""

    ANIMATION = "animation"
    PAGES = "pages"
    PICTURES = "pictures"
    GAIN_MAP = "gain-map"
    VIDEO = "video"
    CUT_OFF = "cut-off"
    METADATA = "metadata"
    LONG_METADATA = "long-metadata"
    LOCATION = "location"
    PNG = "png"
    UNLIKE = "unlike"
    DRAWINGS = "drawings"


_COMMAND, _HTTP = Interface.COMMAND, Interface.HTTP
# The field names of a request, or the options of the command.
_OPTIONS: Mapping[Interface, Mapping[str, str]] = {
    _COMMAND: {"whole": "--whole", "faces": "--faces {numbers}"},
    _HTTP: {"whole": "whole=true", "faces": "faces={numbers}"},
}
_KINDS: Mapping[Reason, Kind] = {
    Reason.TOO_MANY_PIXELS: Kind.TOO_LARGE,
    Reason.TOO_MANY_BYTES: Kind.TOO_LARGE,
    Reason.OUT_OF_MEMORY: Kind.TOO_LARGE,
    Reason.NO_FACE: Kind.NO_FACE,
    Reason.NO_FIT_FACE: Kind.NO_FIT_FACE,
    Reason.NO_SUCH_FACE: Kind.NO_SUCH_FACE,
    Reason.EXISTS: Kind.NOT_WRITTEN,
    Reason.WOULD_REPLACE_INPUT: Kind.NOT_WRITTEN,
    Reason.NOT_WRITTEN: Kind.NOT_WRITTEN,
    Reason.BUSY: Kind.BUSY,
    Reason.TOO_SLOW: Kind.TOO_SLOW,
    Reason.CANCELLED: Kind.CANCELLED,
    Reason.FAILED: Kind.FAILED,
    Reason.ARCHIVE_BOMB: Kind.TOO_LARGE,
    Reason.TOO_MANY_PHOTOS: Kind.TOO_LARGE,
    Reason.BATCH_FULL: Kind.TOO_LARGE,
}  # all others: UNREADABLE
_SENTENCES: Mapping[Reason, str] = {
    Reason.NOT_OPENED: "cannot be read: {error}",
    Reason.FOLDER: "is a folder",
    Reason.NO_FILE: "is not a file but a pipe, a socket or a device; save the photograph to a file",
    Reason.EMPTY: "is empty (0 bytes); copy or download it again",
    Reason.HEIC: "is a HEIC photograph, which cannot be read; convert it to JPEG first",
    Reason.UNREADABLE: "cannot be read as a picture: it is damaged, or no JPEG, PNG, WebP, GIF, "
    "BMP, TIFF or AVIF (convert HEIC and others to JPEG first)",
    Reason.CUT_OFF: "is damaged: the file ends before half of the picture; copy or download it "
    "again",
    Reason.TOO_MANY_FRAMES: "is animated with more than {limit} pictures; save one of them as a "
    "JPEG or PNG",
    Reason.NO_FACE: "no face found, upright or turned ({whole} translates the whole picture)",
    Reason.NO_FIT_FACE: "no face to translate among the {num_faces} found: {skipped}",
    Reason.NO_SUCH_FACE: "there {are_faces}; none has the number {numbers}",
    Reason.EXISTS: "{path} exists; --overwrite replaces it",
    Reason.WOULD_REPLACE_INPUT: "the result would replace an input ({path}); choose another --out",
    Reason.NOT_WRITTEN: "cannot write: {error}; make room or choose another --out, and run the "
    "command again",
    Reason.BUSY: "the server is busy with photographs of others; try again in a minute",
    Reason.TOO_SLOW: "took longer than {limit:g} s (part {part} of {num_parts} was done); try a "
    "smaller photograph",
    Reason.CANCELLED: "was cancelled before it was translated",
    Reason.ENCRYPTED: "is encrypted; put it into an archive without a password",
    Reason.NESTED_ARCHIVE: "is an archive inside an archive; send it by itself",
    Reason.BROKEN_ARCHIVE: "is damaged, or no zip or tar archive; make the archive again",
    Reason.ARCHIVE_BOMB: "unpacks to far more than photographs do; send fewer in an archive",
    Reason.LINK: "is a link and no file; put the photograph itself into the archive",
    Reason.NO_PHOTOS: "is an archive without photographs",
    Reason.TOO_MANY_PHOTOS: "is left out with all that follow: a batch has {limit} photographs at "
    "most; send the others in another batch",
    Reason.BATCH_FULL: "is left out: the photographs, or results, of this batch are larger than "
    "{limit:g} MB; send the others in another batch",
    Reason.FAILED: "was not translated, which is an error of Suyan ({error}); save it as a JPEG or "
    "PNG and try again, or report it",
    Reason.OUT_OF_MEMORY: "does not fit into memory; make it smaller",
}
_SENTENCES_BY_INTERFACE: Mapping[Interface, Mapping[Reason, str]] = {
    _COMMAND: {
        Reason.TOO_MANY_PIXELS: "is too large: {width} × {height} = {megapixels:.0f} megapixels; "
        "the limit is {limit:g} (--max-megapixels)",
    },
    _HTTP: {
        Reason.TOO_MANY_PIXELS: "is too large: {width} × {height} = {megapixels:.0f} megapixels; "
        "the limit is {limit:g}: make it smaller",
        Reason.TOO_MANY_BYTES: "is too large: {megabytes:.1f} MB; the limit is {limit:g} MB: make "
        "it smaller, or save it as a JPEG",
    },
}
_NOTES: Mapping[Note, str] = {
    Note.ANIMATION: "animated: only the first of its {num_frames} pictures was translated",
    Note.PAGES: "only the first of its {num_frames} pages was translated",
    Note.PICTURES: "only the first of its {num_frames} pictures was translated",
    Note.GAIN_MAP: "its HDR gain map is left out: the result has the ordinary range of brightness",
    Note.VIDEO: "a motion photo: its video is left out",
    Note.CUT_OFF: "the file is damaged or cut off: a part of the picture is missing",
    Note.METADATA: "a part of its metadata cannot be read and is left out",
    Note.LONG_METADATA: "its longest metadata are left out, which a {format} file cannot hold",
    Note.LOCATION: "its XMP metadata are left out, which can name the place: they are too long",
    Note.PNG: "saved as PNG: the picture is longer than a {format} file can hold",
    Note.UNLIKE: "{subject} unlike the training pictures (distance {distance:.1f}, limit 1): the "
    "translation may be wrong",
    Note.DRAWINGS: "trained on drawings: on photographs of people or places expect wrong colours",
}


@dataclass(frozen=True)
class Refusal:
    """A photograph that is not translated: the reason, and the figures that its sentence needs."""

    code: Reason
    values: Mapping[str, object] = field(default_factory=dict)

    @property
    def kind(self) -> Kind:
        """The class of the reason, for programs."""
        return _KINDS.get(self.code, Kind.UNREADABLE)

    @property
    def reason(self) -> str:
        """The sentence of the command."""
        return self.sentence(Interface.COMMAND)

    def sentence(self, interface: Interface) -> str:
        """What was found, what was needed and what helps, without a full stop."""
        sentence = _SENTENCES_BY_INTERFACE[interface].get(self.code) or _SENTENCES[self.code]
        values = {
            name: value.sentence(interface) if isinstance(value, Sentence) else value
            for name, value in self.values.items()
        }
        return sentence.format(**_OPTIONS[interface], **values)


class Sentence:
    """A value of a refusal whose words depend on the interface."""

    def sentence(self, interface: Interface) -> str:
        """The words, without a full stop."""
        raise NotImplementedError


def option(interface: Interface, name: str, **values: object) -> str:
    """An option of the command or a field of a request with its value, as a person types it."""
    return _OPTIONS[interface][name].format(**values)


def note_text(note: Note, **values: object) -> str:
    """The sentence of a note, without a full stop; the same in the command and over HTTP."""
    return _NOTES[note].format(**values)
