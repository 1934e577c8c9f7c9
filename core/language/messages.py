"""What a person at a terminal reads, in English or Chinese.

The English text is the key of the catalogue ``zh_CN/LC_MESSAGES/suyan.po``, which
``tests/support/message_catalogue.py`` keeps complete and compiles.
"""

from __future__ import annotations

import gettext
import os
from functools import cache
from pathlib import Path
from typing import Literal

Language = Literal["en", "zh"]

DOMAIN = "suyan"
FOLDER = Path(__file__).parent

_VARIABLES = ("SUYAN_LANG", "LC_ALL", "LC_MESSAGES", "LANG")


def language() -> Language:
    """``zh`` where ``SUYAN_LANG``, or else the locale, names Chinese; ``en`` otherwise."""
    name = next((os.environ[name] for name in _VARIABLES if os.environ.get(name)), "")
    return "zh" if name.lower().startswith("zh") else "en"


def localised(text: str, /, **values: object) -> str:
    """``text`` in the person's language, its fields (``{name}``) filled with ``values``.

    A text without a translation stays as it is. With no ``values``, braces are left alone.
    """
    translation = _translations(language()).gettext(text) if text else text
    return translation.format_map(values) if values else translation


def localisable(text: str) -> str:
    """``text`` itself, which the catalogue has: for a value that ``localised`` gets later."""
    return text


@cache
def _translations(name: Language) -> gettext.NullTranslations:
    names = ["zh_CN"] if name == "zh" else []
    return gettext.translation(DOMAIN, FOLDER, languages=names, fallback=True)
