"""What changed in the memory of a record: the bounds of a history, and what its entries say."""
