"""The one way to build a server or a channel: health, reflection, errors, deadlines, limits, TLS, metrics, logs, drain."""
