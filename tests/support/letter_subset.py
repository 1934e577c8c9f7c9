"""The letters that Suyan draws into pictures in Chinese, as a font of their own.

``python tests/support/letter_subset.py NotoSansCJK-Regular.ttc`` writes the subset of that font
with ``letters()`` as ``core/language/letters.otf``. A font with all of Chinese has 20 MB.
"""

from __future__ import annotations

import string
import sys
from pathlib import Path

from fontTools import subset, ttLib

from core.language.letters import LETTERS
from preprocessing.selection.reason_words import REASON_WORDS
from preprocessing.version.card_words import CARD_WORDS, SHEET_WORDS
from serving.labelling.visible_mark import MARK_TEXTS

_FACE = "Noto Sans CJK SC"
_NAME = "Suyan Letters"


def letters() -> set[str]:
    """Every letter of a mark, and of the title and labels of a contact sheet, in any language."""
    texts = [*MARK_TEXTS.values(), *(words.name.zh for words in REASON_WORDS.values())]
    texts += [CARD_WORDS[key].zh for key in SHEET_WORDS]
    return set(string.printable[:95]).union(*texts)


def main(collection: Path) -> None:
    """Write the font."""
    faces = ttLib.TTCollection(collection).fonts
    (face,) = (each for each in faces if each["name"].getDebugName(1) == _FACE)
    options = subset.Options(layout_features=[], hinting=False, notdef_outline=True)
    options.name_IDs, options.drop_tables = [0, 1, 2, 13], [*options.drop_tables, "BASE", "VORG"]
    subsetter = subset.Subsetter(options)
    subsetter.populate(text="".join(letters()))
    subsetter.subset(face)
    for record in face["name"].names:
        if record.nameID == 1:
            record.string = _NAME
    top = face["CFF "].cff
    top.fontNames, top[0].FullName, top[0].FamilyName = [_NAME.replace(" ", "")], _NAME, _NAME
    face.save(LETTERS)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
