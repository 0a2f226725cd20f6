"""A task outside of Recurra: the sum of the numbers in a line. The proof that a task is one package."""
