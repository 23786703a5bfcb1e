"""What every study needs: networks, fits, stores and files; without torch."""
