"""Pure torch: (weights, data, noise) to tensors. No MLflow, no click, no logging, no global seed."""
