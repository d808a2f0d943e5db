"""The recorder: as little as possible runs here, because it runs as root."""
