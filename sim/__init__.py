"""A local market: an HTTP server that answers like Yahoo's chart API, from a seed, with faults on demand."""
