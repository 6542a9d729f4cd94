"""What the fields have in common that take in the words of each record's fingerprint."""
