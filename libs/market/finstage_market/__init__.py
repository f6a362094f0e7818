"""The domain's values, as every service and client knows them: interval, symbol, columns of bars, errors."""
