"""What shares a record's fate: its place among the others, expiry, leftovers, companions."""
