"""What a policy cache computes: fingerprints, bounds, tests of uniformity, values of actions."""
