"""Jobs: work that runs beside the calls."""
