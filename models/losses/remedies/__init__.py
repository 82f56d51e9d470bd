"""What keeps a VAE's posterior from collapse: settings of its loss, a file per published method."""
