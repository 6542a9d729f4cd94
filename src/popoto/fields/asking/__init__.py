"""What is asked of fields: conditions as users write them, and what they become."""
