"""`finstage up`: the whole system on one machine, as processes on the embedded defaults."""
