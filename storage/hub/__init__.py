"""Models and datasets by name, on the Hugging Face hub and on ModelScope."""
