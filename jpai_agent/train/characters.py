"""The kanji that the model knows whatever the corpus holds: JIS X 0208's first level, which newspapers hardly leave."""

from __future__ import annotations

_ROWS, _CELLS = range(16, 48), range(1, 95)


def _level_one() -> str:
    """The 2 965 kanji of rows 16 to 47, in their order; the last row is not full."""
    coded = (bytes([0xA0 + row, 0xA0 + cell]) for row in _ROWS for cell in _CELLS)
    return "".join(char for code in coded if (char := code.decode("euc_jp", "ignore")) >= "一")


COMMON_KANJI = _level_one()
