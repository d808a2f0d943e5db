"""The contract between recorder and replay: the event's layout and the capture file's format (FORMAT.md)."""
