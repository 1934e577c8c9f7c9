"""A remedy that is followed: what an error advises is done, and then the same works."""

import re
from collections.abc import Callable

import pytest

from core.errors import SuyanError


def remedy(text: str, wrong: Callable[[], object], right: Callable[[], object]) -> None:
    """Check that ``wrong`` is refused by the error that contains ``text``, and that ``right``,
    which does what the message advises, is not.

    ``text`` stands so in the code that raises; ``test_every_remedy.py`` finds it there.
    """
    with pytest.raises((SuyanError, ValueError, OSError), match=re.escape(text)):
        wrong()
    right()
