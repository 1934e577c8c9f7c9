"""Photographs: reading and writing their files, with the metadata that the result keeps.

The result keeps transparency and the metadata about the shot and its rights (camera, time,
exposure, author, copyright). It never keeps the orientation (which is applied), the embedded
thumbnail (which shows the untranslated photograph) and maker notes (whose content is unknown). The
location (EXIF's GPS block, and the XMP packet, which can hold place names) is kept on request only.
A ``label`` adds to the metadata that a model changed the picture.
"""

from __future__ import annotations

import io
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageFile, ImageOps, PngImagePlugin

from core.files import atomic_file
from core.image_formats import BY_NAME, PILLOW_NAMES, ImageFormat, sniff
from core.labels.ai_label import MAX_LABEL_BYTES, AiLabel, is_readable
from core.pictures import MAX_FRAMES, MAX_PIXELS, Rejected, read_picture, silent_decoders
from serving import file_parts
from serving.refusals import Note, Reason, Refusal, note_text

MAX_MEGAPIXELS = MAX_PIXELS / 1e6
JPEG, PNG, WEBP = BY_NAME["JPEG"], BY_NAME["PNG"], BY_NAME["WEBP"]
OUTPUT_FORMATS = (JPEG, PNG, WEBP)
_MAX_SIDES_PX = {"JPEG": 65_500, "WEBP": 16_383}  # longer pictures are written as PNG
_DROPPED_TAGS = {
    ExifTags.Base.Orientation,
    ExifTags.Base.ImageWidth,
    ExifTags.Base.ImageLength,
    ExifTags.Base.MakerNote,
    *ExifTags.IFD,
}
_MAX_SEGMENT_BYTES = 65_533  # of a JPEG: its EXIF block is one segment
_PNG_XMP = "XML:com.adobe.xmp"
_MAX_XMP_BYTES = 65_000 - MAX_LABEL_BYTES  # of a JPEG: a segment less its heading
_SOFTWARE = "Suyan (translated by a CycleGAN)"
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_MAX_MISSING_SHARE = 0.5  # of a damaged picture
_MAX_DAMAGED_BYTES = 200_000_000  # of a file that is read a second time, in memory
_REASONS = {"too-many-frames": Reason.TOO_MANY_FRAMES, "out-of-memory": Reason.OUT_OF_MEMORY}
# Whether damaged files are read is a setting of Pillow's for the whole process.
_DECODER = threading.Lock()


@dataclass(frozen=True)
class Photo:
    """A decoded photograph, upright, and the metadata for the file of the result."""

    pixels: NDArray[np.uint8]  # [H, W, 3], sRGB; transparent parts are on white
    alpha: NDArray[np.uint8] | None = None  # [H, W], 255 is opaque; None: opaque everywhere
    format: ImageFormat = JPEG  # of the result's file, one of OUTPUT_FORMATS
    exif: bytes = b""  # the part of the EXIF block that is kept
    xmp: bytes = b""  # empty unless the location is kept
    num_frames: int = 1  # of the file; pixels are those of the first
    notes: tuple[Note, ...] = ()  # what the result lacks
    label: AiLabel | None = None  # in the metadata of the file

    @property
    def note(self) -> str:
        """The notes for people, e.g. that the file is animated; "" for none."""
        values = {"num_frames": self.num_frames, "format": self.format.name}
        return "; ".join(note_text(note, **values) for note in self.notes)

    def with_pixels(self, pixels: NDArray[np.uint8]) -> Photo:
        """The same photograph with other pixels; transparency is dropped if the size changes.

        It is a PNG if its format cannot hold that size.
        """
        is_same_size = pixels.shape == self.pixels.shape
        return replace(
            self,
            pixels=pixels,
            alpha=self.alpha if is_same_size else None,
            format=self.format_for(pixels.shape),
        )

    def format_for(self, shape: tuple[int, ...]) -> ImageFormat:
        """The format of a picture of ``shape``: the photograph's, or PNG if that is too small."""
        return PNG if max(shape[:2]) > _MAX_SIDES_PX.get(self.format.name, 2**31) else self.format


def read_photo(
    path: Path, *, max_megapixels: float = MAX_MEGAPIXELS, keep_location: bool = False
) -> Photo | Refusal:
    """The photograph, or the reason why it cannot be read; a bad file raises no error.

    What a browser shows is read: also a file with broken metadata, or with at least half of its
    rows, with a note. ``max_megapixels``: largest picture that is decoded.
    """
    refusal = _file_refusal(path)
    if refusal is not None:
        return refusal
    with _DECODER, silent_decoders(), _pixel_limit(int(max_megapixels * 1e6)):
        try:
            photo = _read(path, max_megapixels, keep_location=keep_location)
            if isinstance(photo, Refusal) and photo.code is Reason.UNREADABLE:
                damaged = _read_damaged(path, max_megapixels, keep_location=keep_location)
                return photo if damaged is None else damaged
        except MemoryError:
            return Refusal(Reason.OUT_OF_MEMORY)
        except OSError as error:  # the file went away, or the disk for the second reading is full
            return Refusal(Reason.NOT_OPENED, {"error": error.strerror or error})
        return photo


def write_photo(path: Path, photo: Photo) -> None:
    """Write ``photo`` in its format, atomically. Raises ``OSError`` if it cannot be written."""
    write_photo_bytes(path, encode_photo(photo))


def write_photo_bytes(path: Path, content: bytes) -> None:
    """Write the bytes of a photograph, atomically. Raises ``OSError`` if that is impossible."""
    with atomic_file(path) as file:
        file.write(content)


def encode_photo(photo: Photo) -> bytes:
    """The bytes of ``photo``'s file; JPEG at quality 95 without chroma subsampling."""
    image = Image.fromarray(photo.pixels)
    if photo.alpha is not None and photo.format is not JPEG:
        image = Image.fromarray(_off_white(photo.pixels, photo.alpha))
        image.putalpha(Image.fromarray(photo.alpha))
    options: dict[str, object] = {"icc_profile": _srgb()}
    if photo.format is JPEG:
        options |= {"quality": 95, "subsampling": 0}
    elif photo.format is WEBP:
        options |= {"quality": 95, "method": 4}
    else:
        options |= {"compress_level": 4}
    if photo.exif:
        options["exif"] = photo.exif
    xmp = photo.label.xmp(photo.pixels, photo.xmp) if photo.label else photo.xmp
    if xmp and photo.format is PNG:
        text = PngImagePlugin.PngInfo()
        text.add_itxt(_PNG_XMP, xmp.decode())
        options["pnginfo"] = text
    elif xmp:
        options["xmp"] = xmp
    buffer = io.BytesIO()
    image.save(buffer, photo.format.name, **options)
    return buffer.getvalue()


def _off_white(pixels: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The colours that give ``pixels`` when they are put on white with ``alpha``."""
    share = np.maximum(alpha, 1)[..., None].astype(np.float32) / 255
    return np.asarray(np.clip(np.rint(255 - (255 - pixels) / share), 0, 255), np.uint8)


def _file_refusal(path: Path) -> Refusal | None:
    """The reason why the file cannot be read; ``None`` when it can."""
    try:
        if path.is_dir():
            return Refusal(Reason.FOLDER)
        if path.exists() and not path.is_file():
            return Refusal(Reason.NO_FILE)  # to open a pipe would wait for ever
        with path.open("rb") as file:
            head = file.read(64)
    except (OSError, ValueError) as error:
        text = error.strerror or str(error) if isinstance(error, OSError) else str(error)
        return Refusal(Reason.NOT_OPENED, {"error": text})
    if head[4:8] == b"ftyp" and head[8:12] in _HEIC_BRANDS and b"avif" not in head:
        return Refusal(Reason.HEIC)
    return None if head else Refusal(Reason.EMPTY)


@contextmanager
def _pixel_limit(num_pixels: int | None) -> Iterator[None]:
    """During the block Pillow's own limit is ``num_pixels`` or more; ``_DECODER`` is held.

    Its default is lower than the pictures of some phones.
    """
    default = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = num_pixels and max(default or 0, num_pixels)
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = default


def _read(path: Path, max_megapixels: float, *, keep_location: bool) -> Photo | Refusal:
    picture = read_picture(path, max_pixels=max_megapixels * 1e6)
    if not isinstance(picture, Rejected):
        try:
            return _with_metadata(path, picture, keep_location=keep_location)
        except MemoryError:
            raise
        except Exception:  # only the metadata are bad, for which Pillow raises a dozen types
            return Photo(picture, format=_format_of(path), notes=(Note.METADATA,))
    if picture.reason == "too-many-pixels":
        return _too_large(path, max_megapixels)
    reason = _REASONS.get(picture.reason, Reason.UNREADABLE)
    return Refusal(reason, {"limit": MAX_FRAMES} if reason is Reason.TOO_MANY_FRAMES else {})


def _read_damaged(
    path: Path, max_megapixels: float, *, keep_location: bool
) -> Photo | Refusal | None:
    """A picture without its metadata, else without its last rows; ``None`` for neither."""
    if path.stat().st_size > _MAX_DAMAGED_BYTES:
        return None
    content = path.read_bytes()
    if sniff(content[:16]) is None:
        return None
    with tempfile.NamedTemporaryFile(prefix="suyan-photo-") as file:
        file.write(file_parts.without_metadata(content))
        file.flush()
        copy = Path(file.name)
        photo = _read(copy, max_megapixels, keep_location=keep_location)
        if isinstance(photo, Photo):
            return replace(photo, notes=_unique(*photo.notes, Note.METADATA))
        with _damaged_allowed():
            for source in (path, copy):  # first with its metadata: they say which side is up
                photo = _read(source, max_megapixels, keep_location=keep_location)
                if isinstance(photo, Photo):
                    break
    if isinstance(photo, Refusal):
        return photo
    if _missing_share(photo.pixels) > _MAX_MISSING_SHARE:
        return Refusal(Reason.CUT_OFF)
    return replace(photo, notes=_unique(*photo.notes, Note.CUT_OFF))


@contextmanager
def _damaged_allowed() -> Iterator[None]:
    """During the block Pillow decodes what there is of a damaged file; ``_DECODER`` is held."""
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False


def _missing_share(pixels: NDArray[np.uint8]) -> float:
    """The share of a damaged picture that the decoder filled in: equal lines along one edge.

    Any edge, as a picture that was cut off at its end may have been turned.
    """
    shares = []
    for lines in (pixels, pixels[::-1], pixels.swapaxes(0, 1), pixels.swapaxes(0, 1)[::-1]):
        differing = (lines != lines[0]).any(axis=(1, 2))
        shares.append(differing.argmax() / len(lines) if differing.any() else 1.0)
    return float(max(shares))


def _with_metadata(path: Path, pixels: NDArray[np.uint8], *, keep_location: bool) -> Photo:
    """The photograph with what can be read of its metadata."""
    with (
        warnings.catch_warnings(record=True, action="always") as messages,
        Image.open(path, formats=PILLOW_NAMES) as image,
    ):
        usual = Photo(pixels, format=_format_of(path))
        output = usual.format_for(pixels.shape)
        frames = _num_frames(image)
        notes = [*_part_notes(path, image, frames), *([Note.PNG] if output != usual.format else [])]
        exif, exif_notes = _read_exif(image, output, keep_location=keep_location)
        xmp, xmp_notes = _read_xmp(image, output) if keep_location else (b"", ())
        alpha = _alpha(image, pixels) if output is not JPEG else None
    if any(message.filename.endswith("TiffImagePlugin.py") for message in messages):
        notes.append(Note.METADATA)  # a part of the EXIF block
    return Photo(pixels, alpha, output, exif, xmp, frames, _unique(*notes, *exif_notes, *xmp_notes))


def _format_of(path: Path) -> ImageFormat:
    """The format of the result of a file."""
    with path.open("rb") as file:
        source = sniff(file.read(16)) or JPEG
    return PNG if source.is_lossless else WEBP if source is WEBP else JPEG


def _num_frames(image: Image.Image) -> int:
    try:
        return int(getattr(image, "n_frames", 1))
    except Exception:  # broken frames after the first, for which Pillow raises a dozen types
        return 1


def _part_notes(path: Path, image: Image.Image, num_frames: int) -> list[Note]:
    """Notes about the parts of the file beside the picture that is translated."""
    notes = []
    if image.format in {"JPEG", "MPO"}:
        content = path.read_bytes()
        if file_parts.has_gain_map(content):
            notes.append(Note.GAIN_MAP)
        elif num_frames > 1 and not _are_thumbnails(image):
            notes.append(Note.PICTURES)
        if file_parts.has_video(content):
            notes.append(Note.VIDEO)
    elif num_frames > 1:
        notes.append(Note.PAGES if image.format == "TIFF" else Note.ANIMATION)
    return notes


def _are_thumbnails(image: Image.Image) -> bool:
    """Whether the further pictures of a multi-picture file are smaller copies of the first."""
    try:
        entries = getattr(image, "mpinfo", {})[0xB002]
        kinds = [str(entry["Attribute"]["MPType"]) for entry in entries[1:]]
    except Exception:  # a broken index
        return False
    return all(kind.startswith("Large Thumbnail") for kind in kinds)


def _read_exif(
    image: Image.Image, output: ImageFormat, *, keep_location: bool
) -> tuple[bytes, list[Note]]:
    """The part of the EXIF block that the result keeps, and notes about what it loses."""
    blocks = (ExifTags.IFD.Exif, *([ExifTags.IFD.GPSInfo] if keep_location else []))
    tags: dict[tuple[int, int], object] = {}  # (block, tag); the main block is 0
    is_broken = False
    try:
        exif = image.getexif()
        tags |= {(0, tag): value for tag, value in exif.items()}
        for block in blocks:
            tags |= {(block, tag): value for tag, value in exif.get_ifd(block).items()}
    except Exception:  # Pillow raises a dozen types
        is_broken = True
    tags = {key: value for key, value in tags.items() if key[1] not in _DROPPED_TAGS}
    writable = {key: value for key, value in tags.items() if _exif_bytes({key: value})}
    is_broken |= len(writable) < len(tags)
    notes = [Note.METADATA] if is_broken else []
    writable[0, ExifTags.Base.Software] = _SOFTWARE
    content = _exif_bytes(writable)
    while output is JPEG and len(content) > _MAX_SEGMENT_BYTES:
        del writable[max(writable, key=lambda key: len(_exif_bytes({key: writable[key]})))]
        notes.append(Note.LONG_METADATA)
        content = _exif_bytes(writable)
    return content, notes if content else [Note.METADATA]


def _exif_bytes(values: dict[tuple[int, int], object]) -> bytes:
    """An EXIF block of values by (block, tag); empty if Pillow cannot write them."""
    exif = Image.Exif()
    try:
        for (block, tag), value in values.items():
            (exif.get_ifd(block) if block else exif)[tag] = value
        return exif.tobytes()
    except Exception:  # Pillow raises a dozen types
        return b""


def _read_xmp(image: Image.Image, output: ImageFormat) -> tuple[bytes, list[Note]]:
    xmp = image.info.get("xmp") or image.info.get(_PNG_XMP, b"")
    content = xmp.encode("utf-8", "replace") if isinstance(xmp, str) else bytes(xmp)
    if output is JPEG and len(content) > _MAX_XMP_BYTES:
        return b"", [Note.LOCATION]
    return (b"", [Note.METADATA]) if content and not is_readable(content) else (content, [])


def _alpha(image: Image.Image, pixels: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    if not (image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info):
        return None
    image.seek(0)
    alpha = np.asarray(ImageOps.exif_transpose(image).convert("RGBA").getchannel("A"))
    return alpha if alpha.shape == pixels.shape[:2] and alpha.min() < 255 else None


def _unique(*notes: Note) -> tuple[Note, ...]:
    return tuple(dict.fromkeys(notes))


def _too_large(path: Path, max_megapixels: float) -> Refusal:
    try:
        with _pixel_limit(None), Image.open(path, formats=PILLOW_NAMES) as image:
            width, height = image.size
    except Exception:  # Pillow raises a dozen types
        return Refusal(Reason.UNREADABLE)
    megapixels = width * height / 1e6
    if megapixels <= max_megapixels:  # what is too large is one frame of an animation
        return Refusal(Reason.UNREADABLE)
    values = {"width": width, "height": height, "megapixels": megapixels}
    return Refusal(Reason.TOO_MANY_PIXELS, values | {"limit": max_megapixels})


def _srgb() -> bytes:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    return profile.tobytes()
