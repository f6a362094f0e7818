"""What programs run on: clocks, threads, background work, a circuit breaker, single flight."""
