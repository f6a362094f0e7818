"""Market hours: the grid of bars, exchange calendars, and the gaps they explain."""
