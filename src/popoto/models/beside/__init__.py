"""What shares a record's fate: its place among the model's records, expiry, leftovers, companions."""
