"""The version of this installation, as its package metadata says."""

from importlib.metadata import version

VERSION = version("ai-investment-backend")
