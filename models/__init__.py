"""Pure torch: (weights, data, noise) to tensors. No MLflow, click, logging or global seed."""
