"""Reading: what other services are told of what is stored."""
