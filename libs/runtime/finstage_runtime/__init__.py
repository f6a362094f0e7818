"""What programs here run on: clocks, threads, background work, circuit breakers, single flight."""
