"""What runs have learned, from the weights in the store: models, and pictures of them."""
