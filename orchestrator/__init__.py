"""From a sweep file to complete runs in the store, and from the store to what people read."""
