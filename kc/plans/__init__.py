"""The networks, fits, stores and files of every study; without torch."""
