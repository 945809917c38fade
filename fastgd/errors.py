"""Errors that are fastgd's own; bad input raises ValueError or TypeError."""


class DivergenceError(ArithmeticError):
    """Training stopped being finite. The model keeps its last finite parameters."""
