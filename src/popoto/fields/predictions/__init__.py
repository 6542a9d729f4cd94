"""What a prediction ledger does to stored records."""
