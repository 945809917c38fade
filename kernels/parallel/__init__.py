"""The thread pool that shares the blocks of one piece of work."""
