"""Input that wants to break something: as properties, which `make fuzz` searches further."""
