"""Fetching: what is asked of providers, when, and what it means for the series held."""
