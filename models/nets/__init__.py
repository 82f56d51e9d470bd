"""Networks, and the latent-variable models that are made of them."""
