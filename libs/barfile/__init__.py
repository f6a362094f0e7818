"""Bars from files as people have them, CSV and Parquet: columns and times are guessed, and it is told how."""

from .errors import NoColumn, NoRows, NoZone, Unreadable
from .mapping import FIELDS
from .reading import SUFFIXES, BarFile, read
from .table import RefusedRow
from .times import zone_of

__all__ = [
    "read",
    "BarFile",
    "RefusedRow",
    "FIELDS",
    "SUFFIXES",
    "zone_of",
    "Unreadable",
    "NoColumn",
    "NoRows",
    "NoZone",
]
