"""What a claim says, the test of it in each cell, and how many seeds would decide it."""
