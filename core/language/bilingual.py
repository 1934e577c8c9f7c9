"""A text in both languages, for pages whose words do not come from the catalogue."""

from __future__ import annotations

from typing import NamedTuple

from core.language.messages import Language


class Text(NamedTuple):
    """A text in English and in Chinese."""

    en: str
    zh: str

    def in_language(self, language: Language) -> str:
        """The text in ``language``."""
        return self.zh if language == "zh" else self.en
