"""Model versions on disk and in memory."""
