"""The maths: (weights, data, noise) to tensors, trained and measured; pure torch."""
