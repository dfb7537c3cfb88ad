"""Pictures and videos: read, decoded, encoded and written; nothing here knows a model."""
