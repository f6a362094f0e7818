"""Writing: batches that clients send, from the stream to the store."""
