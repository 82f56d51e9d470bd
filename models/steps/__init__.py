"""How a step of a stack is made: eager (the reference), compiled on a CPU, recorded on a GPU."""
