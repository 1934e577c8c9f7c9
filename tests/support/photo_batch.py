"""A batch of photographs, translated as the command does."""

from pathlib import Path

from serving.photo_paths import find_photos
from serving.translate import (
    OutputOptions,
    PhotoOutcome,
    TranslateOptions,
    Translator,
    translate,
)

WHOLE = TranslateOptions(mode="whole")


def translate_batch(
    given: list[Path],
    out: Path,
    translator: Translator,
    options: TranslateOptions = WHOLE,
    **output_options: object,
) -> list[PhotoOutcome]:
    """The outcome of each photograph; its result lies in ``out``."""
    inputs = find_photos([str(path) for path in given], out)
    return translate(inputs, out, translator, options, OutputOptions(**output_options))  # type: ignore[arg-type]
