"""The one definition of a symbol."""

import re

ACCEPTED = "1 to 32 characters of A-Z 0-9 . - = ^ & and _, with at least one letter or digit"

_SYMBOL = re.compile(r"(?=.*[A-Z0-9])[A-Z0-9.\-=^&_]{1,32}")


def parse_symbol(text: str) -> str:
    """Return the symbol in its canonical form: upper case, without surrounding blanks.

    Raises:
        ValueError: it is not a symbol; the message says what is accepted.
    """
    symbol = text.strip().upper()
    # str.upper() turns some other letters into ASCII: "ß" must not become SS.
    if not text.isascii() or not _SYMBOL.fullmatch(symbol) or ".." in symbol:
        raise ValueError(f"a symbol is {ACCEPTED}")
    return symbol
