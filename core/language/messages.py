"""What a person at a terminal reads, in English or Chinese.

The English text is the key of the catalogue ``zh_CN/LC_MESSAGES/suyan.po``, which
``tests/support/message_catalogue.py`` keeps complete and compiles.
"""

from __future__ import annotations

import gettext
import os
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Literal, get_args

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = get_args(Language)

DOMAIN = "suyan"
FOLDER = Path(__file__).parent

_chosen: ContextVar[Language | None] = ContextVar("chosen_language", default=None)
_VARIABLES = ("SUYAN_LANG", "LC_ALL", "LC_MESSAGES", "LANG")


def language() -> Language:
    """The language of ``choose_language``; without one ``zh`` where ``SUYAN_LANG``, or else the
    locale, names Chinese, and ``en`` otherwise.
    """
    if chosen := _chosen.get():
        return chosen
    name = next((os.environ[name] for name in _VARIABLES if os.environ.get(name)), "")
    return "zh" if name.lower().startswith("zh") else "en"


def choose_language(name: Language | None) -> None:
    """Let texts be in this language from here on, in this context; ``None``: the person's again."""
    _chosen.set(name)


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
