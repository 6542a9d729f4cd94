"""What a confidence field does to stored records and their evidence."""
