"""Builds in a new folder each time: old modules in a `build/` here would get into later wheels."""

import tempfile

from setuptools import setup

with tempfile.TemporaryDirectory() as folder:
    setup(options={"build": {"build_base": folder}})
