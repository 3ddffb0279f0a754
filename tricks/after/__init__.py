"""What came after the bag: one file a trick, off by default like those of the paper."""
