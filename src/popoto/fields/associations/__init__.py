"""What a co-occurrence field does to edges."""
