"""What ingest keeps: series of bars, instruments, events, jobs, refused rows, and the log of commits."""
