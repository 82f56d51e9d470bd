"""Log-densities, in nats, and reparameterised samples."""
