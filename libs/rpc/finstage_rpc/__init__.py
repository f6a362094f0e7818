"""The one way to build a server or a channel: errors, deadlines, limits, TLS, metrics, logs, drain."""
