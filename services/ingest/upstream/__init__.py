"""Asking an upstream: one HTTP client with classified outcomes, retries, pace, breaker and budget."""
