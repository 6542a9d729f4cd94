"""Index upkeep: checking, cleaning and rebuilding what stands beside the records."""
