"""The price service."""
