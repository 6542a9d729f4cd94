"""The parts of the context assembler."""
