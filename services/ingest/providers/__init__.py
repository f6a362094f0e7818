"""Providers: where market data comes from, each behind the protocol of api.py."""
