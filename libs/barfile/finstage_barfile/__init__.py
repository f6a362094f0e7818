"""Bars from files as people have them: columns and times are guessed, and the guesses are told."""

from .bar_file import BarFile
from .bars import Bars
from .column_names import FIELDS
from .errors import NoColumn, NoRows, NoZone, Unreadable, printable
from .numbers import DECIMALS
from .periods import STAMPS
from .reading import read
from .source import STDIN
from .splits import PRICES_ARE, FileEvent
from .table import Guess, RefusedRow
from .tables import SUFFIXES
from .times import zone_of

__all__ = [
    "read",
    "BarFile",
    "Bars",
    "FileEvent",
    "RefusedRow",
    "Guess",
    "FIELDS",
    "DECIMALS",
    "PRICES_ARE",
    "STAMPS",
    "STDIN",
    "SUFFIXES",
    "printable",
    "zone_of",
    "Unreadable",
    "NoColumn",
    "NoRows",
    "NoZone",
]
