"""Graph to Function, and Function to a better Function: one pass, one function, one file."""
