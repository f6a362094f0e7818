"""The values that all services and clients share: intervals, symbols, columns of bars, errors."""
