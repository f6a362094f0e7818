"""The one way to build a gRPC server or channel: errors, deadlines, limits, TLS, metrics, logs, stop."""
