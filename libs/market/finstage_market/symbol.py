"""Symbols: what one looks like, decided in one place."""

import re

ACCEPTED = "1 to 32 characters of A-Z 0-9 . - = ^ & and _, with at least one letter or digit"

_SYMBOL = re.compile(r"(?=.*[A-Z0-9])[A-Z0-9.\-=^&_]{1,32}")


def parse_symbol(text: str) -> str:
    """The symbol in its one form: upper case, no blanks around it.

    Raises:
        ValueError: it is none; the message says what is accepted.
    """
    symbol = text.strip().upper()
    # Upper case makes ASCII of some letters that are none: "ß" is not SS.
    if not text.isascii() or not _SYMBOL.fullmatch(symbol) or ".." in symbol:
        raise ValueError(f"a symbol is {ACCEPTED}")
    return symbol
