"""`finstage up`: the whole system on one machine, as processes with embedded defaults."""
