"""What stands behind content fields: references, the names of contents, collecting."""
