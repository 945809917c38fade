"""What the machine can do at most, and how near the training loops come to it."""
