"""What stands behind embedding fields: who makes vectors, where they are kept, how they follow."""
