"""What a person at a terminal reads, in English or Chinese.

The English text is the key of the catalogue ``zh_CN/LC_MESSAGES/suyan.po``, which
``tests/support/message_catalogue.py`` keeps complete and compiles.
"""

from __future__ import annotations

import gettext
import os
from functools import cache
from pathlib import Path
from typing import Literal, get_args

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = get_args(Language)

DOMAIN = "suyan"
FOLDER = Path(__file__).parent

_VARIABLES = ("SUYAN_LANG", "LC_ALL", "LC_MESSAGES", "LANG")


def language() -> Language:
    """``zh`` where ``SUYAN_LANG``, or else the locale, names Chinese; ``en`` otherwise."""
    name = next((os.environ[name] for name in _VARIABLES if os.environ.get(name)), "")
    return "zh" if name.lower().startswith("zh") else "en"


def localised(text: str) -> str:
    """``text`` in the person's language; unchanged where the catalogue has no translation."""
    return _translations(language()).gettext(text) if text else text


@cache
def _translations(name: Language) -> gettext.NullTranslations:
    names = ["zh_CN"] if name == "zh" else []
    return gettext.translation(DOMAIN, FOLDER, languages=names, fallback=True)
