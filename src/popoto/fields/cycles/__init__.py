"""What a cyclic field does to stored records."""
