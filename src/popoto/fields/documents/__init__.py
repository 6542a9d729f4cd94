"""What a field keeps of the words of records."""
