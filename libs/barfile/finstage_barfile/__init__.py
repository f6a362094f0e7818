"""Bars from files as people have them, CSV and Parquet: columns and times are guessed, and it is told how."""

from .errors import NoColumn, NoRows, NoZone, Unreadable
from .mapping import FIELDS
from .numbers import DECIMALS
from .reading import SUFFIXES, BarFile, read
from .table import Guess, RefusedRow
from .times import zone_of

__all__ = [
    "read",
    "BarFile",
    "RefusedRow",
    "Guess",
    "FIELDS",
    "DECIMALS",
    "SUFFIXES",
    "zone_of",
    "Unreadable",
    "NoColumn",
    "NoRows",
    "NoZone",
]
