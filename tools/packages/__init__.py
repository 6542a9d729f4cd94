"""The packages that popoto brings: what is known against them, and their bill of materials."""
